"""RayS (Chen & Gu 2020, arXiv:2006.12792)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.proposals.orders import runs
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, rows


@dataclass(frozen=True)
class RayS(Attack):
    """Search over sign vectors for the ray with the nearest boundary, block by block: Algorithms 1 to 3.

    The image is cut into 2, 4, 8 ... stretches of entries; the signs of one stretch are flipped at a time. One query
    at the best radius so far rejects most flips; one that holds is followed by a bisection of the radius. A step is
    one query: a row tries a flip or is in the middle of its bisection, so that no row waits for another's (hence not
    `search.bisect`, which would take the same queries in several times as many calls).

    Departs from the paper: the tolerance is no more than 1/50 of the radius, for targets whose boundary is that near; a
    flip is tried one tolerance inside the best radius, so that none is kept that gains less than the bisection could
    tell; the start is the first of all +1, all -1 and random signs that leads to an adversarial corner of the box, or
    the signs of a given start. After single entries the search begins again with halves.

    Args:
        tolerance: of the radius, in units of the image range: 1e-3 (the authors' code, where it is an L2 length).
        tries: sign vectors for a start.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    minimises: ClassVar[bool] = True

    tolerance: float = 1e-3
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        if not self.tolerance > 0 or self.tries < 1:
            raise ValueError(
                f"Expected tolerance > 0 and tries of at least 1, but they were {self.tolerance} and {self.tries}."
            )

    @dataclass
    class State:
        sign: Tensor  # [n, *shape] of the best ray
        low: Tensor  # [n] not adversarial on that ray; equal to high where there is nothing to bisect
        high: Tensor  # [n] adversarial on that ray: the best radius so far
        place: Tensor  # [n] int64 how many stretches have been tried

    def init(self, t: Task) -> Steps[Retire]:
        sign, found = yield from start_signs(t, self.tries)
        low = torch.zeros(t.n, device=t.x0.device)
        width = t.threat.upper - t.threat.lower
        return Retire(self.State(sign, low, low + width, torch.zeros_like(low, dtype=torch.int64)), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        tolerance = (s.high / 50).clamp_max(self.tolerance).clamp_min(max(t.probe / 2, search.ROUNDING))
        inside = s.high - s.low > tolerance  # in the middle of a bisection
        sign = choose(inside, s.sign, self.flip(t, s))
        radius = torch.where(inside, (s.low + s.high) / 2, s.high - tolerance)
        a = yield Ask(t.x0 + rows(radius, sign) * sign, mask=radius > 0)
        failed = torch.where(a.paid, torch.where(inside, radius, s.high), s.low)
        return self.State(
            sign=choose(a.adv, sign, s.sign),
            low=torch.where(a.adv, torch.where(inside, s.low, torch.zeros_like(s.low)), failed),
            high=torch.where(a.adv, radius, s.high),
            place=s.place + (~inside & a.paid),
        )

    def flip(self, t: Task, s: State) -> Tensor:
        """The best signs with the stretch at ``s.place`` turned."""
        return turned(t, s.sign, s.place)


def start_signs(t: Task, tries: int) -> Steps[tuple[Tensor, Tensor]]:
    """Signs that lead to an adversarial corner of the box, and [n] where some were found: those of a given start, all +1, all -1,
    then random ones."""
    width = t.threat.upper - t.threat.lower
    sign, todo = torch.ones_like(t.x0), torch.ones(t.n, dtype=torch.bool, device=t.x0.device)
    known = [sign, -sign] if t.start is None else [torch.where(t.start >= t.x0, sign, -sign), sign, -sign]
    for i in range(tries):
        if not bool(todo.any()):
            break
        trial = known[i] if i < len(known) else t.rng.signs(0, f"start {i}", t.shape)
        a = yield Ask(t.x0 + width * trial, mask=todo)
        sign, todo = choose(a.adv, trial, sign), todo & ~a.adv
    return sign, ~todo


def turned(t: Task, sign: Tensor, place: Tensor) -> Tensor:
    """The signs with one stretch of entries turned: the one at ``place`` [n] of halves, quarters, ... single entries, and again."""
    stretches = runs(t.d)[1 if t.d > 1 else 0 :].to(place.device)
    start, stop = stretches[place % len(stretches)].unbind(1)
    entry = torch.arange(t.d, device=start.device)
    turn = (entry >= start[:, None]) & (entry < stop[:, None])
    return torch.where(turn.view_as(sign), -sign, sign)
