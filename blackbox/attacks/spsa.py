"""SPSA (Uesato et al. 2018, arXiv:1802.05666)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from blackbox.attacks.finite_difference import Plan, plan_steps
from blackbox.direction import Direction
from blackbox.estimators import Rademacher
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose, rows


def adam(first: float = 0.9, second: float = 0.999) -> Direction:
    """Adam's step at learning rate 1 (Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1)."""

    def init(x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.zeros_like(x0), torch.zeros_like(x0), x0.new_zeros(len(x0))

    def update(g: Tensor, state: Any) -> tuple[Tensor, Any]:
        mean, square, count = state
        count = count + 1
        mean, square = first * mean + (1 - first) * g, second * square + (1 - second) * g * g
        unbiased = square / rows(1 - second**count, g)
        return mean / rows(1 - first**count, g) / (unbiased.sqrt() + 1e-8), (mean, square, count)

    return Direction(init, update)


@dataclass(frozen=True)
class SPSA(Attack):
    """Projected Adam steps along a gradient from random-sign probes, Algorithm 1.

    Each step costs ``samples`` queries for the gradient and 1 for the new point.

    Departs from the paper: probes are corrected for the clip to the box (`estimators.Rademacher`); the learning rate is
    a share of eps; the loop ends with the budget instead of after 100 steps.

    Args:
        h: a pixel's change in a probe (the paper: 0.01). samples: probes a step, half of them pairs (128, the default
            of the paper's code in CleverHans; the paper goes up to 8,192 against defended nets).
        step_size: Adam's learning rate as a share of eps (the paper's 0.01 at eps 8/255 is 0.32). own: a row's own signs.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    h: float = 0.01
    samples: int = 128
    step_size: float = 0.32
    own: bool = False

    @dataclass
    class State:
        x: Tensor
        direction: Any

    @property
    def estimator(self) -> Rademacher:
        return Rademacher(self.h, self.samples, self.own)

    def plan(self, shape: tuple[int, ...], budget: int) -> Plan:
        """What a run will cost a sample of this shape that no step fools."""
        return plan_steps(self.estimator, shape, budget, None)

    def init(self, t: Task) -> State:
        return self.State(t.x0, adam().init(t.x0))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        left = t.budget - 1 - k * (self.samples + 1)
        g = yield from self.estimator.estimate(t, s.x, k, None, max(0, left - 1))
        u, direction = adam().update(g, s.direction)
        eps = t.radius
        # In L2 a pixel's share of eps is eps / sqrt(d), so that a step of 1 still has length eps.
        rate = self.step_size * eps / (t.d**0.5 if t.threat.norm == "L2" else 1)
        a = yield Ask(s.x + rate * u)
        assert a.x is not None
        return self.State(choose(a.paid, a.x, s.x), direction)
