"""SurFree (Maho, Furon & Le Merrer 2021, arXiv:2011.12807)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.proposals.bases import Basis
from blackbox.proposals.noise import Noise, check_shape, named
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, row_dot, row_norm, rows, unit


@dataclass(frozen=True)
class SurFree(Attack):
    """No gradient: along circles through the current point and the original, in one random direction after another.

    In the plane of the current change u and an orthogonal direction v, the circle whose diameter runs from the original
    to the current point gets nearer to the original with the angle: at angle a the distance is cos(a) times the last.
    A step tries a = +angle and -angle in a new v; where one is adversarial, the angle is enlarged and bisected.
    Algorithm 1; the angle tried shrinks after a failure and grows after a success.

    Departs from the paper: directions are drawn in sets of ``past`` that are orthogonal to each other, shared by all
    samples, where the paper makes each orthogonal to the sample's own last 100 (memory would grow with 100 images a
    sample); each is made orthogonal to the current change; the angle is held and adapted as 1 - cos.

    Args:
        angle: of the first tries, in degrees: 30. rho: factor of its adaption: 0.98. precision: of the bisection, in
            1 - cos: 0.01. past: directions in a set: 100. bisections: at most 10. All from the authors' code.
        noise, share: where directions come from: ``dct`` with half of each side, as in the paper; see `HopSkipJump`.
        tries: noise images for a start.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L2",)
    minimises: ClassVar[bool] = True

    angle: float = 30.0
    rho: float = 0.98
    precision: float = 0.01
    past: int = 100
    bisections: int = 10
    noise: str | Noise | Basis = "dct"
    share: float = 0.5
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        named(self.noise, self.share)
        if not 0 < self.angle < 90 or not 0 < self.rho < 1 or not self.precision > 0:
            raise ValueError(
                "Expected angle in (0, 90) degrees, rho in (0, 1) and precision > 0, but they were "
                f"{self.angle}, {self.rho} and {self.precision}."
            )
        if min(self.past, self.bisections, self.tries) < 1:
            raise ValueError("Expected past, bisections and tries of at least 1.")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        check_shape(named(self.noise, self.share), shape)

    @dataclass
    class State:
        x: Tensor
        bend: Tensor  # [n] 1 - cos of the angle to try

    def init(self, t: Task) -> Steps[Retire]:
        x, found = yield from search.boundary_start(t, self.tries)
        bend = 1 - float(torch.tensor(self.angle).deg2rad().cos())
        return Retire(self.State(x, torch.full((t.n,), bend, device=x.device)), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        v = directions(
            Draw(named(self.noise, self.share), t.rng.seed, k // self.past, self.past, t.shape, t.rng)
        )
        u, reach = unit(s.x - t.x0), t.distance(s.x)
        v = v[k % len(v)].to(s.x)[None].expand_as(u)
        v = unit(v - rows(row_dot(u, v), u) * u)

        def circle(side: Tensor, bend: Tensor) -> Tensor:
            cos, sin = 1 - bend, side * (bend * (2 - bend)).sqrt()
            return t.clip(t.x0 + rows(reach * cos * cos, u) * u + rows(reach * cos * sin, u) * v)

        one = torch.ones_like(reach)
        a = yield Ask(circle(one, s.bend))
        b = yield Ask(circle(-one, s.bend), mask=~a.adv)
        side, found = torch.where(a.adv, one, -one), a.adv | b.adv
        best, beyond, todo = s.bend, (4 * s.bend).clamp_max(1.0), found
        for _ in range(4):  # twice the angle each time; at 1 it would be the original itself
            todo = todo & (beyond < 1)
            if not bool(todo.any()):
                break
            c = yield Ask(circle(side, beyond), mask=todo)
            best, todo = torch.where(c.adv, beyond, best), todo & c.adv
            beyond = torch.where(todo, (4 * beyond).clamp_max(1.0), beyond)
        best = yield from search.bisect(
            lambda bend: circle(side, bend), beyond, best, self.precision, found, self.bisections
        )
        x = choose(found, circle(side, best), s.x)
        paid = a.paid & (b.paid | a.adv)
        factor = torch.where(found, self.rho**-2, torch.where(paid, self.rho**2, 1.0))
        # an angle too small to move any entry visibly finds nothing and costs as much
        least = (max(t.probe, search.ROUNDING) * t.d**0.5 / reach.clamp_min(1e-12)) ** 2 / 2
        bend = torch.maximum(s.bend * factor, least.clamp_max(0.5)).clamp_max(0.5)
        return self.State(choose(row_norm(v) > 0, x, s.x), bend)


@dataclass(frozen=True)
class Draw:
    """What a set of directions is a function of, and the stream to draw it from."""

    noise: Any  # hashable, as a frozen dataclass is
    seed: int
    turn: int
    count: int
    shape: tuple[int, ...]
    rng: Any = field(compare=False)


@lru_cache(maxsize=2)
def directions(of: Draw) -> Tensor:
    """Orthonormal directions [at most count, \\*shape], shared by all samples."""
    drawn = of.noise.draw(of.rng, of.turn, "circle", of.count, of.shape).flatten(1)
    q, r = torch.linalg.qr(drawn[: drawn.shape[1]].double().T)
    sound = r.diagonal().abs() > 1e-6 * r.diagonal().abs().max()
    return q.T[sound].float().reshape(-1, *of.shape).contiguous()
