"""OPT (Cheng, Le, Chen, Yi, Zhang & Hsieh 2019, arXiv:1807.04457)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.attacks.sign_opt import ray
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, row_norm, rows, unit


@dataclass(frozen=True)
class OPT(Attack):
    """Descent on the distance of the boundary as a function of the direction, by its differences: Algorithms 1 and 2.

    The distance along a nearby direction is found by a search from the present one; the differences of ``probes`` of them are
    an estimate of the gradient. The length of the step is doubled while the distance gets smaller, or quartered until it does.

    Departs from the paper: the first direction comes from `blackbox.search.start` and ``directions`` more noise images, each
    looked at from the best distance so far; beta keeps above what float32 networks or 8-bit inputs can tell apart; a probe
    that is nearer than the step's end replaces it, as in the authors' code; beta was chosen on images and a net other than those
    reported on.

    Args:
        probes: directions a step: 10. alpha: first length of a step: 0.2. beta: length of a probe: 0.01 (0.001 in the authors' code).
            halvings: of the step, doublings likewise: 15. directions: 20. tolerance: of a distance, as a share of it: 1e-3.
        fineness: the tolerance of a probe's distance, as a share of beta. first: how far beside the present distance it is looked
            for at first, as a share of beta, and twice as far up to ``doublings`` times. tries: noise images for a start.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L2",)
    minimises: ClassVar[bool] = True

    probes: int = 10
    alpha: float = 0.2
    beta: float = 0.01
    halvings: int = 15
    directions: int = 20
    tolerance: float = 1e-3
    fineness: float = 0.01
    first: float = 0.1
    doublings: int = 8
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        if min(self.probes, self.halvings, self.doublings, self.tries) < 1 or self.directions < 0:
            raise ValueError("Expected probes, halvings, doublings and tries of at least 1 and directions of at least 0.")
        if not min(self.alpha, self.beta, self.tolerance, self.fineness, self.first) > 0:
            raise ValueError("Expected alpha, beta, tolerance, fineness and first > 0.")

    @dataclass
    class State:
        u: Tensor  # [n, *shape] unit direction
        reach: Tensor  # [n] distance of the boundary along it
        alpha: Tensor  # [n]
        beta: Tensor  # [n]

    def find(self, path: search.Path, low: Tensor, high: Tensor, tolerance: Tensor, todo: Tensor) -> Steps[Tensor]:
        """The search between ``low``, which is not adversarial, and ``high``, which is."""
        return search.bisect(path, low, high, tolerance, todo)

    def init(self, t: Task) -> Steps[Retire]:
        x, found = yield from search.start(t, self.tries)
        u, reach = unit(x - t.x0), t.distance(x)
        zero = torch.zeros_like(reach)
        reach = yield from self.find(lambda r: ray(t, u, r), zero, reach, self.tolerance * reach, found)
        for i in range(self.directions):
            u, reach, _ = yield from self.nearer(t, u, reach, unit(search.noise(t, 4 * self.tries + i) - t.x0), found)
        return Retire(self.State(u, reach, zero + self.alpha, zero + self.beta), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        beta = torch.maximum(s.beta, max(t.probe, 1e-5) * t.d**0.5 / s.reach.clamp_min(1e-12))
        g, u, reach = torch.zeros_like(s.u), s.u, s.reach
        for i in range(self.probes):
            v = unit(t.rng.normal(k, f"probe {i}", t.shape))
            other = unit(s.u + rows(beta, v) * v)
            there = yield from self.nearby(t, other, s.reach, beta)
            g += rows((there - s.reach) / beta, v) * v
            near = there < reach
            u, reach = choose(near, other, u), torch.where(near, there, reach)
        g = unit(g)
        best, far, alpha = s.u, s.reach, s.alpha
        up = row_norm(g) > 0
        todo, better = up, torch.zeros_like(up)
        for _ in range(self.halvings):  # longer while that is nearer
            if not bool(todo.any()):
                break
            best, far, todo = yield from self.nearer(t, best, far, unit(s.u - rows(alpha, g) * g), todo)
            better, alpha = better | todo, torch.where(todo, alpha * 2, alpha)
        todo = up & ~better
        for _ in range(self.halvings):  # shorter until it is
            if not bool(todo.any()):
                break
            alpha = torch.where(todo, alpha / 4, alpha)
            best, far, now = yield from self.nearer(t, best, far, unit(s.u - rows(alpha, g) * g), todo)
            better, todo = better | now, todo & ~now & (alpha > 1e-4)
        end = far < reach
        flat = up & ~better
        return self.State(
            choose(end, best, u), torch.where(end, far, reach), torch.where(flat, self.alpha, alpha), torch.where(flat, s.beta / 10, s.beta)
        )

    def nearby(self, t: Task, u: Tensor, reach: Tensor, beta: Tensor) -> Steps[Tensor]:
        """The distance [n] of the boundary along a direction near one whose distance is ``reach``."""
        every = torch.ones_like(reach, dtype=torch.bool)
        a = yield Ask(ray(t, u, reach), mask=every)
        inner, todo, paid, width = a.adv, every, a.paid, beta * self.first
        low, high = torch.where(inner, 0, reach), reach
        for _ in range(self.doublings):  # away from there in steps that double, until the boundary is between two
            edge = torch.where(inner, high * (1 - width), high * (1 + width))
            if not bool(todo.any()):
                break
            a = yield Ask(ray(t, u, edge), mask=todo)
            met = a.adv != inner
            low = torch.where(todo & a.paid & ~a.adv, edge, low)
            high = torch.where(todo & a.paid & (a.adv | ~inner), edge, high)
            todo, width = todo & a.paid & ~met, width * 2
        return (yield from self.find(lambda r: ray(t, u, r), low, high, self.fineness * beta * reach, paid & (inner | ~todo)))

    def nearer(self, t: Task, u: Tensor, reach: Tensor, other: Tensor, todo: Tensor) -> Steps[tuple[Tensor, Tensor, Tensor]]:
        """Direction ``other`` where the boundary is nearer along it than ``reach``, else ``u``; its distance; where."""
        inside = reach * (1 - self.tolerance)
        a = yield Ask(ray(t, other, inside), mask=todo)
        end = yield from self.find(lambda r: ray(t, other, r), torch.zeros_like(reach), inside, self.tolerance * reach, a.adv)
        return choose(a.adv, other, u), torch.where(a.adv, end, reach), a.adv
