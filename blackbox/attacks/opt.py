"""OPT (Cheng, Le, Chen, Yi, Zhang & Hsieh 2019, arXiv:1807.04457)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from blackbox.attacks.sign_opt import SignOPT
from blackbox.estimators.ray import point
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose, rows, unit


@dataclass(frozen=True)
class OPT(SignOPT):
    """Descent on the distance of the boundary as a function of the direction, by its differences: Algorithms 1 and 2.

    The distance along a nearby direction is found by a search from the present one; the differences of ``probes`` of them are
    an estimate of the gradient. The length of the step is doubled while the distance gets smaller, or quartered until it does.

    Departs from the paper: the first direction comes from `blackbox.search.start` and ``directions`` more noise images, each
    looked at from the best distance so far; beta keeps above what float32 networks or 8-bit inputs can tell apart; a probe
    that is nearer than the step's end replaces it, as in the authors' code; beta was chosen on images and a net other than those
    reported on.

    Args:
        probes: directions a step: 10. beta: length of a probe: 0.01 (0.001 in the authors' code).
        fineness: the tolerance of a probe's distance, as a share of beta. first: how far beside the present distance it is looked
            for at first, as a share of beta, and twice as far up to ``doublings`` times. others: as in `SignOPT`.
    """

    probes: int = 10
    beta: float = 0.01
    fineness: float = 0.01
    first: float = 0.1
    doublings: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.doublings < 1 or not min(self.fineness, self.first) > 0:
            raise ValueError("Expected doublings of at least 1 and fineness and first > 0.")

    def step(self, t: Task, s: SignOPT.State, k: int) -> Steps[SignOPT.State]:
        beta = torch.maximum(s.beta, max(t.probe, 1e-5) * t.d**0.5 / s.reach.clamp_min(1e-12))
        g, u, reach = torch.zeros_like(s.u), s.u, s.reach
        for i in range(self.probes):
            v = unit(t.rng.normal(k, f"probe {i}", t.shape))
            other = unit(s.u + rows(beta, v) * v)
            there = yield from self.nearby(t, other, s.reach, beta)
            g += rows((there - s.reach) / beta, v) * v
            near = there < reach
            u, reach = choose(near, other, u), torch.where(near, there, reach)
        made = yield from self.descend(t, s, -unit(g))
        end = made.reach < reach
        return replace(made, u=choose(end, made.u, u), reach=torch.where(end, made.reach, reach))

    def nearby(self, t: Task, u: Tensor, reach: Tensor, beta: Tensor) -> Steps[Tensor]:
        """The distance [n] of the boundary along a direction near one whose distance is ``reach``."""
        every = torch.ones_like(reach, dtype=torch.bool)
        a = yield Ask(point(t, u, reach), mask=every)
        inner, todo, paid, width = a.adv, every, a.paid, beta * self.first
        low, high = torch.where(inner, 0, reach), reach
        for _ in range(self.doublings):  # away from there in steps that double, until the boundary is between two
            edge = torch.where(inner, high * (1 - width), high * (1 + width))
            if not bool(todo.any()):
                break
            a = yield Ask(point(t, u, edge), mask=todo)
            met = a.adv != inner
            low = torch.where(todo & a.paid & ~a.adv, edge, low)
            high = torch.where(todo & a.paid & (a.adv | ~inner), edge, high)
            todo, width = todo & a.paid & ~met, width * 2
        return (yield from self.find(lambda r: point(t, u, r), low, high, self.fineness * beta * reach, paid & (inner | ~todo)))
