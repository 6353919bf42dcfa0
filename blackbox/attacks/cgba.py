"""CGBA and CGBA-H (Reza, Rahmati, Wu & Dai 2023, arXiv:2308.03163)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blackbox import search
from blackbox.attacks.hop_skip_jump import HopSkipJump
from blackbox.proposals.bases import Basis
from blackbox.proposals.noise import Noise
from blackbox.protocol import Ask, Retire, Steps, Task
from blackbox.rowwise import choose, row_dot, row_norm, rows, unit

RIGHT = math.pi / 2  # the angle at which the half circle reaches the original


@dataclass(frozen=True)
class CGBA(HopSkipJump):
    """From boundary point to boundary point along a half circle, in the plane of the original and the boundary's normal.

    The half circle's diameter runs from the boundary point to the original, and it leaves the boundary point towards the
    estimated normal, on the adversarial side. Seen from the original at angle a its distance is cos(a) times the last, so
    that every crossing of the boundary is nearer; and it ends at the original, so that there is a crossing however the
    boundary bends. Where the boundary is flat the crossing is the nearest point in the plane. A bisection of the angle
    between 0 and 90 degrees finds one.

    Departs from the paper: the start, the schedule of labels, sqrt(k + 1) times the first number, the length of probes and
    the precision of the bisection are `HopSkipJump`'s.

    Args:
        evals: labels for the first normal: 30, as in the paper.
        noise, share: ``dct`` with half of each side; the paper keeps 1/4 of images of 224 pixels, and small images have less
            to spare (tried by hand on images and nets other than those reported on).
        others: as in `HopSkipJump`.
    """

    norms = ("L2",)

    evals: int = 30
    noise: str | Noise | Basis = "dct"
    share: float = 0.5

    def step(self, t: Task, s: HopSkipJump.State, k: int) -> Steps[HopSkipJump.State]:
        angle, x = yield from self.walk(t, s, k)
        return self.State(choose(angle > 0, x, s.x), t.distance(s.x))

    def walk(self, t: Task, s: HopSkipJump.State, k: int) -> Steps[tuple[Tensor, Tensor]]:
        """The angle [n] of a crossing, 0 where none was found, and the point there [n, \\*shape]."""
        g = yield from self.normal(t, s, k)
        u, reach = unit(s.x - t.x0), t.distance(s.x)
        v = unit(g - rows(row_dot(g, u), g) * u)

        def arc(angle: Tensor) -> Tensor:
            cos, sin = angle.cos(), angle.sin()
            return t.clip(t.x0 + rows(reach * cos * cos, u) * u + rows(reach * cos * sin, u) * v)

        angle = yield from self.crossing(t, s, arc, row_norm(v) > 0)
        return angle, arc(angle)

    def crossing(self, t: Task, s: HopSkipJump.State, arc: search.Path, todo: Tensor) -> Steps[Tensor]:
        zero = torch.zeros(t.n, device=s.x.device)
        return (yield from search.bisect(arc, zero + RIGHT, zero, search.fine(t, s.x, self.tolerance(t)), todo))


@dataclass(frozen=True)
class CGBAH(CGBA):
    """CGBA for boundaries of high curvature, as around a class to reach: the first crossing, not any.

    Such a region is left after a small angle and may be entered again nearer to the original, where little is gained by
    going on. So the walk begins with the last step's angle, is doubled while that is adversarial or else halved until it is,
    and only then bisected.

    Departs from the paper, whose text leaves open how the angle grows (chosen here: from the last one, by doubling), as
    `CGBA` does; the paper's search for a better first image is left to whoever gives a start.

    Args:
        first: angle of the first step, in degrees.
        others: as in `CGBA`.
    """

    first: float = 45.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.first < 90:
            raise ValueError(f"Expected first, an angle, in (0, 90) degrees, but it was {self.first}.")

    @dataclass
    class State(HopSkipJump.State):
        angle: Tensor = None  # type: ignore[assignment]  # [n] to begin with

    def init(self, t: Task) -> Steps[Retire]:
        made: Any = yield from super().init(t)
        s = made.state
        return Retire(self.State(s.x, s.reach, torch.full_like(s.reach, math.radians(self.first))), made.rows)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:  # type: ignore[override]
        angle, x = yield from self.walk(t, s, k)
        found = angle > 0
        least = search.fine(t, s.x, self.tolerance(t))
        return self.State(choose(found, x, s.x), t.distance(s.x), torch.where(found, angle, s.angle / 2).maximum(least))

    def crossing(self, t: Task, s: State, arc: search.Path, todo: Tensor) -> Steps[Tensor]:  # type: ignore[override]
        inner, held = yield from search.halve(arc, s.angle, todo, self.halvings)
        outer, grow = (2 * inner).clamp_max(RIGHT), held & (inner == s.angle)
        while bool((grow := grow & (outer < RIGHT)).any()):
            a = yield Ask(arc(outer), mask=grow)
            inner, grow = torch.where(a.adv, outer, inner), grow & a.adv
            outer = torch.where(grow, (2 * outer).clamp_max(RIGHT), outer)
        inner = yield from search.bisect(arc, outer, inner, search.fine(t, s.x, self.tolerance(t)), held)
        return torch.where(held, inner, torch.zeros_like(inner))
