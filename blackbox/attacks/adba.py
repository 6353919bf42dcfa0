"""ADBA (Wang, Zuo, Huang & Chen 2024, arXiv:2406.04998)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.attacks.rays import start_signs, turned
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, rows


@dataclass(frozen=True)
class ADBA(Attack):
    """Which of two sign vectors has the nearer boundary? A radius at which one is adversarial and the other not tells.

    As in `RayS` the image is cut into 2, 4, 8 ... stretches of entries. Two neighbouring stretches are flipped, each by
    itself, and both candidates are looked at just inside the best radius so far. Where neither is adversarial the step is
    over after these two queries. Else the radius is lowered, until one candidate alone is left and has failed once: the
    best radius is then the last one at which it was adversarial, an *approximate* boundary, never an exact one. The first
    radius tried is the median of the boundaries of candidates that are better than the best, since it parts most pairs.

    Departs from the paper: the median is learned for each image while it is attacked (its share of the best radius falls a
    little when the radius is adversarial, rises when not), where the paper fits a density to many images beforehand; the
    share is squared from radius to radius while all are adversarial; a radius between one that was and one that was not is
    in the middle. Start and tolerance are those of `RayS`, and the radius of the start is bisected.

    Args:
        median: the first guess of that share: 0.9. rate: of its change: 0.05. rounds: radii for a pair: at most 8.
        tolerance: of the radius, in units of the image range: 1e-3; tries: sign vectors for a start; both as in `RayS`.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    minimises: ClassVar[bool] = True

    median: float = 0.9
    rate: float = 0.05
    rounds: int = 8
    tolerance: float = 1e-3
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        if not 0 < self.median < 1 or not 0 < self.rate < 1:
            raise ValueError(f"Expected median and rate in (0, 1), but they were {self.median} and {self.rate}.")
        if not self.tolerance > 0 or min(self.rounds, self.tries) < 1:
            raise ValueError(
                "Expected tolerance > 0 and rounds and tries of at least 1, but they were "
                f"{self.tolerance}, {self.rounds} and {self.tries}."
            )

    @dataclass
    class State:
        sign: Tensor  # [n, *shape] of the best ray
        radius: Tensor  # [n] adversarial on that ray
        median: Tensor  # [n] a share of the radius
        place: Tensor  # [n] int64 how many pairs of stretches have been tried

    def init(self, t: Task) -> Steps[Retire]:
        sign, found = yield from start_signs(t, self.tries)
        low, width = torch.zeros(t.n, device=t.x0.device), t.threat.upper - t.threat.lower
        radius = yield from search.bisect(lambda r: ray(t, sign, r), low, low + width, self.tolerance, found)
        return Retire(self.State(sign, radius, low + self.median, low.to(torch.int64)), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        tolerance = (s.radius / 50).clamp_max(self.tolerance).clamp_min(max(t.probe / 2, search.ROUNDING))
        one, other = (turned(t, s.sign, 2 * s.place + which) for which in (0, 1))  # the first and second stretch of the pair
        low, high, radius = torch.zeros_like(s.radius), s.radius, s.radius - tolerance
        left = right = todo = radius > 0  # which candidates are left, and which rows are undecided
        a = yield Ask(ray(t, one, radius), mask=todo)
        b = yield Ask(ray(t, other, radius), mask=todo)
        tried, better = a.paid & b.paid, a.adv | b.adv
        median, share = s.median, s.median
        for i in range(self.rounds):
            held = a.adv | b.adv
            failed = todo & ~held & (a.paid | ~left) & (b.paid | ~right)
            high, low = torch.where(held, radius, high), torch.where(failed, radius, low)
            left, right = torch.where(held, a.adv, left), torch.where(held, b.adv, right)
            if i == 1:  # the first radius was the median
                up = failed.to(median) - held.to(median)
                median = (median + self.rate * (1 - median) * up).clamp(0.5, 0.999)
            todo = (held | (failed & left & right & better)) & (high - low > tolerance)
            if i + 1 == self.rounds or not bool(todo.any()):
                break
            radius = torch.where(low > 0, (low + high) / 2, high * share)
            share = share * share
            a = yield Ask(ray(t, one, radius), mask=todo & left)
            b = yield Ask(ray(t, other, radius), mask=todo & right)
        sign = choose(better, choose(left, one, other), s.sign)
        return self.State(sign, high, median, s.place + tried)


def ray(t: Task, sign: Tensor, radius: Tensor) -> Tensor:
    """The point at ``radius`` [n] on each row's ray."""
    return t.x0 + rows(radius, sign) * sign
