"""Sign-OPT (Cheng, Singh, Chen, Chen, Liu & Hsieh 2020, arXiv:1909.10773)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.estimators import boundary
from blackbox.estimators.boundary import BLOCK
from blackbox.estimators.probes import Own, blocks
from blackbox.estimators.ray import point
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, row_norm, rows, unit


@dataclass(frozen=True)
class SignOPT(Attack):
    """Descent on the distance of the boundary as a function of the direction, by signs of its differences: Algorithm 1.

    A probe of a nearby direction costs one query: is it adversarial at the current distance? If so the boundary is
    nearer there. The mean of the probes, with these signs, is the step; its length is doubled while the distance, found
    by bisection, gets smaller, or quartered until it does.

    Departs from the paper: the first direction comes from `blackbox.search.start` and ``directions`` more noise images,
    each looked at from the best distance so far; distances are bisected to ``tolerance`` of themselves, as finer ones
    cost queries that buy less than a step; beta keeps above what float32 networks or 8-bit inputs can tell apart.

    Args:
        probes: a step: 200. alpha: first length of a step: 0.2. beta: length of a probe's entries: 0.001. halvings: of
            the step, doublings likewise: 15 (section 4 and the authors' code). directions: 20 (100 there).
        tolerance: 1e-3. tries: noise images for a start.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L2",)
    minimises: ClassVar[bool] = True

    probes: int = 200
    alpha: float = 0.2
    beta: float = 0.001
    halvings: int = 15
    directions: int = 20
    tolerance: float = 1e-3
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        if min(self.probes, self.halvings, self.tries) < 1 or self.directions < 0:
            raise ValueError("Expected probes, halvings and tries of at least 1 and directions of at least 0.")
        if not min(self.alpha, self.beta, self.tolerance) > 0:
            raise ValueError("Expected alpha, beta and tolerance > 0.")

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
        reach = yield from self.find(lambda r: point(t, u, r), zero, reach, self.tolerance * reach, found)
        for i in range(self.directions):
            other = unit(search.noise(t, 4 * self.tries + i) - t.x0)
            u, reach, _ = yield from self.nearer(t, u, reach, other, found)
        return Retire(self.State(u, reach, zero + self.alpha, zero + self.beta), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        g = yield from self.slope(t, s, k)
        return (yield from self.descend(t, s, g))

    def descend(self, t: Task, s: State, g: Tensor) -> Steps[State]:
        """A step along ``g`` [n, \\*shape], of the length that brings the boundary nearest: doubled, or quartered until it helps."""
        u, reach, alpha = s.u, s.reach, s.alpha
        todo = up = row_norm(g) > 0
        better = torch.zeros_like(todo)
        for _ in range(self.halvings):  # longer while that is nearer
            if not bool(todo.any()):
                break
            u, reach, todo = yield from self.nearer(t, u, reach, unit(s.u + rows(alpha, g) * g), todo)
            better, alpha = better | todo, torch.where(todo, alpha * 2, alpha)
        todo = up & ~better
        for _ in range(self.halvings):  # shorter until it is
            if not bool(todo.any()):
                break
            alpha = torch.where(todo, alpha / 4, alpha)
            u, reach, now = yield from self.nearer(t, u, reach, unit(s.u + rows(alpha, g) * g), todo)
            better, todo = better | now, todo & ~now & (alpha > 1e-4)
        flat = up & ~better  # no length helps: the probes were too long, as the authors' code has it
        return self.State(u, reach, torch.where(flat, self.alpha, alpha), torch.where(flat, s.beta / 10, s.beta))

    def slope(self, t: Task, s: State, k: int) -> Steps[Tensor]:
        """Unit direction [n, \\*shape] in which the boundary gets nearer."""
        least = max(t.probe, boundary.ROUGH) / s.reach.clamp_min(1e-12)
        beta = torch.maximum(s.beta, least)
        centre, total = point(t, s.u, s.reach), torch.zeros_like(s.u)
        for start, stop in blocks(self.probes, BLOCK):
            v = t.rng.shared_normal(k, f"probe {start}", (stop - start, *t.shape))

            def make(row: Tensor, index: Tensor, v: Tensor = v) -> Tensor:
                near = unit(s.u[row] + rows(beta[row], s.u[row]) * v[index])
                return t.x0[row] + rows(s.reach[row], near) * near - centre[row]

            a = yield Ask(centre, u=Own(len(v), make))
            side = torch.where(a.paid, a.adv * 2.0 - 1.0, torch.zeros(()).to(total))
            for j in range(len(v)):
                total += rows(side[:, j], total) * v[j]
        return unit(total)

    def nearer(
        self, t: Task, u: Tensor, reach: Tensor, other: Tensor, todo: Tensor
    ) -> Steps[tuple[Tensor, Tensor, Tensor]]:
        """Direction ``other`` where the boundary is nearer along it than ``reach``, else ``u``; its distance; where."""
        inside = reach * (1 - self.tolerance)
        a = yield Ask(point(t, other, inside), mask=todo)
        tolerance = self.tolerance * reach
        end = yield from self.find(lambda r: point(t, other, r), torch.zeros_like(reach), inside, tolerance, a.adv)
        return choose(a.adv, other, u), torch.where(a.adv, end, reach), a.adv
