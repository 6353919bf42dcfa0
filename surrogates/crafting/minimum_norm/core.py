"""Shared by the minimum-norm attacks: the nets as one function, the checked problem, the result, the nearest classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blackbox.checks import as_images, as_labels
from blackbox.rowwise import row_norm
from blackbox.statistics import Rate
from surrogates.crafting.goal import as_target
from surrogates.crafting.gradients import Autograd, check_gradients, slope
from surrogates.nets.predict import check_scores, chunk_rows, cut, frozen, pieces, piecewise, place

Box = tuple[float, float]


@dataclass(frozen=True, eq=False)
class MinimumNorm:
    """The nearest adversarial examples that an attack found, verified in float32.

    Attributes:
        x_adv: [N, \\*shape] float32; the original where nothing was found.
        success: [N] bool.
        already: [N] bool, adversarial without a change (a success at distance 0, at no cost).
        distance: [N] float32 between x_adv and x in ``norm`` (L0 counts entries), infinite where nothing was found.
        label: [N] int64, the class the nets give x_adv.
        iterations: [N] int64, of the attack's own loop (L-BFGS: of the solver).
        gradients: [N] int64, the image's forward-and-backward passes, over all nets.
        c: [N] float32, the weight at which the example was found, for the attacks that have one.
    """

    x_adv: Tensor
    success: Tensor
    already: Tensor
    distance: Tensor
    norm: str
    label: Tensor
    iterations: Tensor
    gradients: Tensor
    c: Tensor | None = None

    @property
    def rate(self) -> Rate:
        """The success rate among images that were not adversarial already."""
        return Rate.of(self.success.cpu().numpy(), ~self.already.cpu().numpy())

    def rms(self, x: Any) -> Tensor:
        """[N]: the distortion sqrt(mean((x_adv - x)^2)) of Szegedy et al. 2013; 0 where nothing was found."""
        change = self.x_adv - as_images(x, "x")
        return row_norm(change) / math.sqrt(change[0].numel())


class Scores:
    """Evaluates one or several nets (the mean of their logits) and their gradients, independently for each image.

    Every call has exactly ``chunk`` images, so no image depends on the batch; by default a quarter of `chunk_rows`, because
    images finish at different times.
    """

    def __init__(self, nets: nn.Module | Sequence[nn.Module], x: Tensor, chunk: int | None = None) -> None:
        known = Autograd(nets, x, chunk=chunk)  # checks that the nets fit the images and each other
        self.nets, self.classes, self.device = known.nets, known.classes, known.device
        self.chunk = chunk or max(4, chunk_rows(tuple(x.shape[1:]), self.device) // 4)

    def _fused(self, x: Tensor) -> Tensor:
        total = self.nets[0](x.to(place(self.nets[0])[1])).float()
        for net in self.nets[1:]:
            total = total + net(x.to(place(net)[1])).float()
        return total / len(self.nets)

    def __call__(self, x: Tensor) -> Tensor:
        """The scores [n, C] of images [n, \\*shape], without gradients."""
        with frozen(self.nets), torch.no_grad():
            return check_scores(piecewise(self._fused, self.chunk, x))

    def pull(self, x: Tensor, losses: Callable[..., Sequence[Tensor]], *each: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores [n, C] and the gradient [n, \\*shape] of every loss.

        ``losses(scores, *each)`` returns one or more losses [m] of m images; ``each``: further tensors that it needs, with
        one row an image, sliced like the images.
        """
        scores, found = [], []
        with frozen(self.nets):
            for where, fill in pieces(len(x), self.chunk):
                point = cut(x, where, fill).detach().requires_grad_()
                keep = slice(0, where.stop - where.start)
                with torch.enable_grad():
                    s = self._fused(point)
                    parts = losses(s, *(cut(e, where, fill) for e in each))
                    last = len(parts) - 1
                    g = [slope(part.sum(), point, self.nets, keep=i < last) for i, part in enumerate(parts)]
                scores.append(s.detach()[keep])
                found.append([part[keep] for part in g])
        return torch.cat(scores), [check_gradients(torch.cat(part)) for part in zip(*found, strict=True)]


@dataclass(frozen=True, eq=False)
class Case:
    """A checked problem. goal: [N] classes to reach, or None. already: [N], adversarial without a change."""

    scores: Scores
    x0: Tensor
    y: Tensor
    goal: Tensor | None
    clean: Tensor
    already: Tensor
    box: Box
    home: torch.device

    @property
    def wanted(self) -> Tensor:
        """The classes to reach [N]; without a target, those to leave."""
        return self.y if self.goal is None else self.goal

    def won(self, scores: Tensor, rows: Tensor | None = None) -> Tensor:
        """Whether scores [m, C] (of ``rows``, all by default) mean success, [m] bool."""
        label, wanted = scores.argmax(1), self.wanted if rows is None else self.wanted[rows]
        return label != wanted if self.goal is None else label == wanted

    def result(self, x_adv: Tensor, norm: str, iterations: Tensor, gradients: Tensor, c: Tensor | None) -> MinimumNorm:
        """Verify the candidates ``x_adv`` (x0 where there is none)."""
        scores = self.scores(x_adv)
        success = self.won(scores)
        x_adv = torch.where(_wide(success, x_adv), x_adv, self.x0)
        change = x_adv - self.x0
        size = {"L2": 2.0, "Linf": math.inf}
        length = (change != 0).flatten(1).sum(1).float() if norm == "L0" else row_norm(change, size[norm])
        label = torch.where(success, scores.argmax(1), self.clean.argmax(1))
        out = [x_adv, success, self.already, torch.where(success, length, math.inf), label, iterations, gradients]
        x_adv, success, already, distance, label, iterations, gradients = (v.to(self.home) for v in out)
        c = None if c is None else c.to(self.home)
        return MinimumNorm(x_adv, success, already, distance, norm, label, iterations, gradients, c)


def _wide(keep: Tensor, like: Tensor) -> Tensor:
    return keep.view(-1, *[1] * (like.ndim - 1))


def prepare(nets: nn.Module | Sequence[nn.Module], x: Any, y: Any, target: Any, box: Box, chunk: int | None) -> Case:
    """Check the input of an attack.

    Raises:
        ValueError: images, labels, targets or nets that do not fit each other; a target that is the true label; images
            outside the box.
    """
    x0 = as_images(x, "x")
    if not box[0] < box[1]:
        raise ValueError(f"Expected box to be (lower, upper) with lower < upper, but it was {box}.")
    if bool((bad := ((x0 < box[0]) | (x0 > box[1])).flatten(1).any(1)).any()):
        raise ValueError(f"Expected x to lie in the box {box}, but sample {int(bad.nonzero()[0])} does not.")
    scores = Scores(nets, x0, chunk)
    labels = as_labels(y, len(x0), scores.classes, "y")
    goal = None if target is None else as_target(target, labels, scores.classes).to(scores.device)
    home, x0, labels = x0.device, x0.to(scores.device), labels.to(scores.device)
    clean = scores(x0)
    label = clean.argmax(1)
    return Case(scores, x0, labels, goal, clean, label != labels if goal is None else label == goal, box, home)


def positive(**given: float) -> None:
    """Refuse a setting that is not positive."""
    for name, value in given.items():
        if not 0 < value < math.inf:
            raise ValueError(f"Expected {name} to be positive and finite, but it was {value!r}.")


def nearest_classes(case: Case, count: int) -> Tensor:
    """The classes to try [N, k]: the target, or the ``count`` others whose boundary is nearest to first order.

    The distance to class j is (z_y - z_j) / |grad (z_y - z_j)|, DeepFool's (Moosavi-Dezfooli et al. 2016,
    arXiv:1511.04599, eq. 8). Costs one gradient a class.
    """
    if case.goal is not None:
        return case.goal[:, None]
    far = torch.full((len(case.x0), case.scores.classes), math.inf, device=case.x0.device)
    own = case.clean.gather(1, case.y[:, None])
    _, slopes = case.scores.pull(case.x0, all_margins, case.y)
    for j, g in enumerate(slopes):
        far[:, j] = (own[:, 0] - case.clean[:, j]) / row_norm(g).clamp_min(1e-12)
    far.scatter_(1, case.y[:, None], math.inf)
    return far.argsort(dim=1, stable=True)[:, : min(count, case.scores.classes - 1)]


def all_margins(scores: Tensor, y: Tensor) -> list[Tensor]:
    """z_y - z_j for every class j."""
    own = scores.gather(1, y[:, None])[:, 0]
    return [own - scores[:, j] for j in range(scores.shape[1])]
