"""ZO-signSGD (Liu et al. 2019, "signSGD via Zeroth-Order Oracle", ICLR)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.attacks.finite_difference import Plan, plan_steps
from blackbox.estimators import Gaussian
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose


@dataclass(frozen=True)
class ZOSignSGD(Attack):
    """Steps along the sign of a gradient from one-sided random differences, averaged over directions.

    Each step costs ``samples`` queries for the gradient and 1 for the new point, whose loss is the next centre.

    Departs from the paper: Gaussian directions instead of the unit sphere's (the same up to a factor, which the sign
    drops), corrected for the clip to the box; the step is a share of eps. In L2 the step has that length and
    the gradient's own direction.

    Args:
        h: standard deviation of a pixel in a probe: 0.001 (ours). samples: directions a step: 30. step_size: as a share of
            eps: 0.2 (both BlackboxBench's configuration for CIFAR-10, Linf). own: a row's own directions.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    h: float = 0.001
    samples: int = 30
    step_size: float = 0.2
    own: bool = False

    @dataclass
    class State:
        x: Tensor
        loss: Tensor

    @property
    def estimator(self) -> Gaussian:
        return Gaussian(self.h, self.samples, two_sided=False, own=self.own)

    def plan(self, shape: tuple[int, ...], budget: int) -> Plan:
        """What a run will cost a sample of this shape that no step fools."""
        return plan_steps(self.estimator, shape, budget, None)

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        left = t.budget - 1 - k * (self.samples + 1)
        g = yield from self.estimator.estimate(t, s.x, k, s.loss, max(0, left - 1))
        eps = t.radius
        a = yield Ask(s.x + self.step_size * eps * t.threat.steepest(g))
        assert a.x is not None
        return self.State(choose(a.paid, a.x, s.x), torch.where(a.paid, a.loss, s.loss))
