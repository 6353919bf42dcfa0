"""Iterative FGSM on gradients by finite differences (Bhagoji et al. 2018, arXiv:1712.09491)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from blackbox.ascent import Ascent, queried_step
from blackbox.attacks.finite_difference import FiniteDifferences
from blackbox.attacks.plan import Plan, plan_steps
from blackbox.direction import Direction, chain, mean_abs, momentum, stateless
from blackbox.estimators import Estimator
from blackbox.protocol import Steps, Task


@dataclass(frozen=True)
class FDIFGSM(FiniteDifferences):
    """Steps along the estimated gradient's steepest direction, each projected; IFD-logit where the loss is the margin.

    A step costs one estimate and one query for the new point, whose answer also serves as the centre of the next
    estimate. A row that succeeds stops paying, within a sweep too. Where the budget ends within an estimate, the
    estimate is cut to what can be paid and the last point is still tried.

    Departs from the paper: its 40 steps of 0.01 at eps 0.3 (MNIST) and 10 of 1 at eps 8 (CIFAR-10) are given as shares
    of eps, and a success ends the loop.

    Args:
        method, h, size, count, two_sided, images, estimator: as in `FDFGSM`.
        step_size: the length of a step as a share of eps: 1/8, the paper's for CIFAR-10 (1/30 for MNIST).
        steps: how many at most: 10, the paper's for CIFAR-10 (40 for MNIST); None: as long as the budget lasts.
        momentum: decay of the accumulated gradient (MI-FGSM, arXiv:1710.06081, takes 1.0); 0 for none.
    """

    estimator: Estimator | None = None
    step_size: float = 0.125
    steps: int | None = 10
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if self.estimator is None:
            object.__setattr__(self, "estimator", self.chosen())
        if not self.step_size > 0 or (self.steps is not None and self.steps < 1) or not self.momentum >= 0:
            raise ValueError(
                f"Expected step_size > 0, steps of at least 1 and momentum >= 0, but they were {self.step_size}, "
                f"{self.steps} and {self.momentum}."
            )

    @dataclass
    class State:
        x: Tensor
        loss: Tensor
        direction: Any

    def plan(self, shape: tuple[int, ...], budget: int) -> Plan:
        """What a run will cost a sample of this shape that no step fools."""
        assert self.estimator is not None
        return plan_steps(self.estimator, shape, budget, self.steps)

    def chain(self, t: Task) -> Direction:
        """From gradients to steps; the same parts as on the gradient side."""
        steepest = stateless(t.threat.steepest)
        return chain(mean_abs(), momentum(self.momentum), steepest) if self.momentum else chain(steepest)

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0, self.chain(t).init(t.x0))

    def step(self, t: Task, s: State, k: int) -> Steps[State | None]:
        estimator, bill = self.estimator, self.plan(t.shape, t.budget).gradient
        assert estimator is not None
        if k >= len(bill):
            return None
        loop = Ascent(
            lambda x, k: estimator.estimate(t, x, k, s.loss, bill[k]),
            self.chain(t),
            lambda u, x, k: self.step_size * t.radius * u,
        )
        return self.State(*(yield from queried_step(loop, s.x, s.loss, s.direction, k)))
