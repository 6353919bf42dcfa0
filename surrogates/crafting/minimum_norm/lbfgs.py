"""Box-constrained L-BFGS: Szegedy et al. 2013, "Intriguing properties of neural networks"."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.targets.outputs import scores_of
from surrogates.crafting.minimum_norm.core import Box, Case, MinimumNorm, nearest_classes, positive, prepare
from surrogates.nets.predict import frozen


def lbfgs(
    nets: nn.Module | Sequence[nn.Module],
    x: Any,
    y: Any,
    *,
    target: Any = None,
    squared: bool = False,
    c: float = 1.0,
    bisections: int = 10,
    iterations: int = 30,
    candidates: int = 3,
    margin: float = 1e-4,
    box: Box = (0.0, 1.0),
) -> MinimumNorm:
    """Minimise c |r|_2 + CE(f(x + r), l) subject to x + r in the box, for the largest c at which f(x + r) = l.

    Szegedy et al. 2013, arXiv:1312.6199, section 4.1. One problem an image, in float64, by SciPy's L-BFGS-B, from r = 0
    and then from the nearest success so far; c in steps of 10 down to a success and up to a failure, then by bisection
    of its logarithm.

    Args:
        nets: a net that gives logits for images in [0, 1], or several (the mean of their logits).
        x: [N, \\*shape] images in the box. y: [N] true labels.
        target: a class, or [N] classes, l. None: each of the ``candidates`` classes whose boundary is nearest to first
            order, and the nearest result of all.
        squared: c |r|_2^2 instead (smooth at r = 0), as in older toolkits.
        c, bisections, iterations: the first c, how often an interval of a factor 10 is halved, and L-BFGS's iterations
            for each c. Ours.
        margin: by how much (in logits) l must win, so that rounding to float32 does not undo it. Ours.

    Returns:
        A `MinimumNorm` in L2, with the c found.

    *Departs from the paper*, which says "minimum c"; with c as the weight of the norm it must be the largest. Success is not
    monotone in c, so the nearest result of all successful solves is kept.

    Raises:
        ValueError: as `prepare`; a setting that is not positive.
    """
    positive(c=c, bisections=bisections, iterations=iterations, candidates=candidates)
    case = prepare(nets, x, y, target, box, None)
    classes = nearest_classes(case, candidates)
    search = _Search(squared, c, bisections, iterations, margin, box)
    x_adv, weight = case.x0.clone(), torch.full((len(case.x0),), torch.nan)
    spent, cost = torch.zeros(2, len(case.x0), dtype=torch.int64)
    if target is None:
        cost += case.scores.classes * len(case.scores.nets)
    twins = [copy.deepcopy(net).double() for net in case.scores.nets]
    with frozen(twins):
        for i in (~case.already).nonzero()[:, 0].tolist():
            tries = [search.solve(_Image(twins, case, i, int(k))) for k in classes[i]]
            spent[i] += sum(t.iterations for t in tries)
            cost[i] += sum(t.gradients for t in tries) * len(twins)
            best = min(tries, key=lambda t: t.distance)
            if best.point is not None:
                x_adv[i], weight[i] = best.point, best.c
    return case.result(x_adv, "L2", spent, cost, weight)


class _Image:
    """Cross-entropy and its gradient for one image and one class, in the form SciPy expects."""

    def __init__(self, nets: list[nn.Module], case: Case, row: int, goal: int) -> None:
        self.nets, self.goal, self.x0 = nets, goal, case.x0[row : row + 1].double()
        self.start = self.x0.cpu().numpy().ravel()

    def scores(self, x: Tensor) -> Tensor:
        return sum((scores_of(net(x)) for net in self.nets), torch.zeros((), dtype=x.dtype, device=x.device))[0] / len(self.nets)

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(flat).to(self.x0).view_as(self.x0).requires_grad_()
        with torch.enable_grad():
            loss = -self.scores(x).log_softmax(0)[self.goal]
            g = torch.autograd.grad(loss, x)[0]
        return float(loss.detach()), g.cpu().numpy().ravel()

    def lead(self, x: Tensor) -> float:
        """By how much the goal wins at the float32 image ``x`` [1, \\*shape]."""
        with torch.no_grad():
            z = self.scores(x.double())
        own = z[self.goal].clone()
        z[self.goal] = -torch.inf
        return float(own - z.max())


@dataclass
class _Found:
    point: Tensor | None = None
    distance: float = np.inf
    c: float = np.nan
    iterations: int = 0
    gradients: int = 0


@dataclass(frozen=True)
class _Search:
    squared: bool
    c: float
    bisections: int
    iterations: int
    margin: float
    box: Box

    def solve(self, image: _Image) -> _Found:
        """Find the largest c that succeeds, and its result."""
        found, c = _Found(), self.c
        for _ in range(_DECADES):
            if self._try(image, c, found):
                break
            c /= 10
        else:
            return found
        # upwards also after going down: a c that failed from r = 0 may succeed from the point found
        for _ in range(_DECADES):
            if not self._try(image, c * 10, found):
                break
            c *= 10
        top = c * 10
        for _ in range(self.bisections):
            middle = (c * top) ** 0.5
            c, top = (middle, top) if self._try(image, middle, found) else (c, middle)
        return found

    def _try(self, image: _Image, c: float, found: _Found) -> bool:
        from scipy.optimize import minimize

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            loss, g = image(flat)
            r = flat - image.start
            length = float(np.linalg.norm(r))
            if self.squared:
                return loss + c * length**2, g + 2 * c * r
            if length:
                return loss + c * length, g + c * r / length
            # at the kink r = 0: the subgradient of steepest descent, with -g restricted to the box
            free = g * np.where(g > 0, flat > self.box[0], flat < self.box[1])
            return loss, g - free * min(1.0, c / max(float(np.linalg.norm(free)), 1e-300))

        start = image.start if found.point is None else found.point.double().cpu().numpy().ravel()
        made = minimize(
            objective, start, jac=True, method="L-BFGS-B", bounds=[self.box] * len(image.start),
            options={"maxiter": self.iterations},
        )  # fmt: skip
        found.iterations += int(made.nit)
        found.gradients += int(made.nfev)
        point = torch.from_numpy(made.x).float().clamp(*self.box).view_as(image.x0).to(image.x0.device)
        if image.lead(point) < self.margin:
            return False
        distance = float((point.double() - image.x0).norm())
        if distance < found.distance:
            found.point, found.distance, found.c = point[0], distance, c
        return True


_DECADES = 12  # c is searched within this many powers of ten; beyond them the goal is out of reach
