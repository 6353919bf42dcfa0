"""P-BO (Cheng et al. 2024, arXiv:2405.19098)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blackbox.attacks.bo import BO, Mean
from blackbox.candidates.craft import CraftGoal, slope
from blackbox.estimators.gaussian_process import Process, Reduced, fit
from blackbox.prior import Guided, Prior
from blackbox.protocol import Task
from blackbox.rowwise import row_dot, rows


class Foretold(Mean):
    """The prior's margin, times the ``coefficient`` [n], in the whole image or, with ``space``, in the reduced one.

    Its rise is summed up along the way from the clean image, gradient by gradient, so that a prior whose gradients lead elsewhere than
    they say foretells what does not come, and loses its weight."""

    def __init__(self, prior: Prior, t: Task, coefficient: Tensor, renew: int, space: Reduced | None) -> None:
        self.prior, self.goal, self.coefficient = prior, CraftGoal.of(t), rows(coefficient, t.x0)
        self.renew, self.space = renew, space
        self.x, self.g, self.sum = t.x0, slope(prior, t.x0, self.goal), torch.zeros_like(coefficient)

    def go(self, x: Tensor) -> None:
        """Take the gradient at ``x``, and add the rise on the way there, by the mean of those at its ends."""
        g = slope(self.prior, x, self.goal)
        self.sum = self.sum + 0.5 * row_dot(self.g + g, x - self.x)
        self.x, self.g = x, g

    def slope(self, x: Tensor, step: int) -> Tensor:
        if step % self.renew == 0 and x is not self.x:
            self.go(x)
        return self.coefficient * (self.g if self.space is None else self.space.smooth(self.g))

    def rise(self, x: Tensor) -> Tensor:
        self.go(x)
        return self.sum


@dataclass(frozen=True)
class PBO(Guided, BO):
    """`BO`, where the surrogates' margin, times a coefficient, is the mean of the Gaussian process.

    The first query is for the best example on the surrogates. From then on the coefficient is fitted, image by image, to all
    answers, so that neither the unit of the surrogates' scores nor their training matters: what they foretell is scaled to what came,
    and if nothing of it came the coefficient is 0, and the search is `BO` but for the queries spent until then.

    Departs from the paper: the first example uses the whole image, all later points the reduced space of `BO` alone; a surrogate's
    rise is that of its gradients along the way, not of its scores; the coefficient is bounded.

    Args:
        prior: `surrogates.prior(nets)`. coefficient: None, fitted; or a number for all images. renew: the surrogates' gradient is
            taken at every so many steps of the climb (of the first, at all). The others: see `BO`.
    """

    coefficient: float | None = None
    renew: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.renew < 1 or not (self.coefficient is None or self.coefficient >= 0):
            raise ValueError(
                "Expected renew of at least 1 and a coefficient of None or at least 0, but they were "
                f"{self.renew} and {self.coefficient}."
            )

    def fit(self, z: np.ndarray, y: np.ndarray, foretold: np.ndarray, shares: tuple[float, ...]) -> Process | None:
        return fit(z, y, foretold, self.coefficient, shares)

    def begin(self, t: Task, space: Reduced, k: int) -> Tensor:
        return t.x0 if k == 0 else super().begin(t, space, k)

    def mean(self, t: Task, models: list[Process | None], x: Tensor, k: int) -> Foretold:
        trust = 1.0 if self.coefficient is None else self.coefficient
        coefficient = torch.tensor([trust if m is None else m.coefficient for m in models], device=x.device)
        if k == 0:
            return Foretold(self.known, t, coefficient, 1, None)
        return Foretold(self.known, t, coefficient, self.renew, Reduced.of_task(t, self.cells))
