"""Floors: what every table of the league shows beside the attacks, so that it can be seen what a search adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from blackbox.protocol import Access, Ask, Attack, Steps, Task

FLOORS = {"noise": f"{__file__}:Noise", "square": "square"}
"""The floors by their names, as `blackbox.attacks.build` takes them."""


@dataclass(frozen=True)
class Noise(Attack):
    """Asks about fresh noise of the whole radius, one point a query, and learns nothing from the answers.

    In Linf each entry moves by eps, up or down; in other norms the change is normal, cut to the threat.

    Needs: labels. State: none.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2", "L1", "L0")

    def init(self, t: Task) -> int:
        return 0

    def step(self, t: Task, s: int, k: int) -> Steps[int]:
        draw = t.rng.signs(k, "noise", t.shape) if t.threat.norm == "Linf" else t.rng.normal(k, "noise", t.shape)
        yield Ask(t.threat.clip(t.x0 + t.threat.eps * draw.view_as(t.x0)))
        return s + 1
