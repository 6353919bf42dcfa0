"""Stealthy RayS (Debenedetti, Carlini & Tramer 2024, arXiv:2306.02895)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox import search, stealth
from blackbox.attacks.rays import RayS
from blackbox.protocol import Ask, Retire, Steps, Task
from blackbox.rowwise import choose, rows


@dataclass(frozen=True)
class StealthyRayS(RayS):
    """RayS whose radius is found by a walk from the adversarial side instead of a bisection: section 5.

    A flip is tried at the best radius, as in RayS: one bad query if it fails. Where it holds, the radius is walked down in equal
    steps until an answer is not adversarial, ``stages`` times with smaller steps; RayS bisects, and half of those queries are bad.

    Departs from the paper: as `RayS` does; the steps of the last stage are of RayS's tolerance.

    Args:
        stages: bad queries of a search, the paper's k. tolerance, tries: as for RayS.
    """

    stages: int = stealth.STAGES

    def __post_init__(self) -> None:
        super().__post_init__()
        stealth.check_stages(self.stages)

    @dataclass
    class State(RayS.State):
        stride: Tensor = None  # type: ignore[assignment]  # [n] of the stage; 0 where there is no walk
        parts: Tensor = None  # type: ignore[assignment]  # [n] steps of a stage

    def init(self, t: Task) -> Steps[Retire]:
        first = yield from super().init(t)
        s = first.state
        many = stealth.parts(s.high, self.tolerance, self.stages)
        return Retire(self.State(s.sign, s.low, s.high, s.place, s.high / many, many), first.rows)

    def step(self, t: Task, s: RayS.State, k: int) -> Steps[RayS.State]:
        assert isinstance(s, StealthyRayS.State)
        tolerance = (s.high / 50).clamp_max(self.tolerance).clamp_min(max(t.probe / 2, search.ROUNDING))
        inside = s.stride > 0  # in the middle of a walk
        sign = choose(inside, s.sign, self.flip(t, s))
        radius = s.high - torch.where(inside, s.stride, tolerance)
        known = radius <= s.low + s.stride / 1000  # where the answer is known
        a = yield Ask(t.x0 + rows(radius, sign) * sign, mask=torch.where(inside, ~known, radius > 0))
        began, bad = ~inside & a.adv, inside & (known | (a.paid & ~a.adv))
        high = torch.where(a.adv, radius, s.high)
        many = torch.where(began, stealth.parts(high, tolerance, self.stages), s.parts)
        smaller = torch.where(s.stride > 1.001 * tolerance, torch.maximum(s.stride / s.parts.clamp_min(2), tolerance), 0)
        return self.State(
            sign=choose(a.adv, sign, s.sign),
            low=torch.where(began, 0, torch.where(bad, torch.maximum(radius, s.low), s.low)),
            high=high,
            place=s.place + (~inside & a.paid),
            stride=torch.where(began, high / many, torch.where(bad, smaller, s.stride)),
            parts=many,
        )
