"""`TableRows`: rows of a table under attack: what the target is shown of the points of an attack, and how far that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blackbox.tabular.layout import Layout
from blackbox.threat import Threat


@dataclass(frozen=True, eq=False)
class TableRows:
    """Clean rows, and how the points of an attack on them become rows.

    x: [n, d] in the table's units, the dtype in which the target is asked. z: [n, D] the same as an attack sees them.
    """

    layout: Layout
    x: Tensor
    z: Tensor
    about: dict[str, Any]

    def take(self, index: Tensor) -> TableRows:
        """The rows ``index``."""
        return TableRows(self.layout, self.x.index_select(0, index), self.z.index_select(0, index), self.about)

    def to(self, device: torch.device) -> TableRows:
        if self.x.device == device:
            return self
        return TableRows(self.layout.to(device), self.x.to(device), self.z.to(device), self.about)

    @property
    def free(self) -> Tensor:
        """Which scaled columns may change, [n, D] bool."""
        return self.layout.free().expand(self.z.shape).clone()

    def shown(self, z: Tensor, row: Tensor | None = None, threat: Threat | None = None) -> Tensor:
        """The rows [m, d] that the target is asked about for points ``z`` [m, D] of the clean rows ``row`` [m].

        A whole number is the nearest, and a category the one with the largest entry. With a ``threat`` the row is within it,
        where the point is: numbers are made whole towards the clean one, and at last categories stay, where it would not be.
        """
        x0, z0 = (self.x, self.z) if row is None else (self.x[row], self.z[row])
        numbers, choice = self.layout.numbers(z, z0, x0), self.layout.picked(z, z0)
        made = self.layout.settled(numbers, choice, x0)
        if threat is None or threat.eps == math.inf:
            return made
        reach = threat.eps + threat.tolerance
        if threat.p == math.inf:  # entry by entry
            far = self.layout.change(made, x0).abs() > reach
            if not bool(far.any()):
                return made
            kept = choice if threat.eps >= 1 else self.layout.choices(x0)
            return self.layout.settled(numbers, kept, x0, far[:, : len(self.layout.numeric)])
        for stay in (False, True):
            far = threat.distance(change := self.layout.change(made, x0), torch.zeros_like(change)) > reach
            if not bool(far.any()):
                break
            kept = self.layout.choices(x0) if stay else choice
            nearer = self.layout.settled(numbers, kept, x0, torch.ones_like(numbers, dtype=torch.bool))
            made = torch.where(far[:, None], nearer, made)
        return made

    def distance(self, threat: Threat, x: Tensor, who: Tensor | None = None) -> Tensor:
        """How far rows ``x`` [m, d] are from the clean rows ``who`` [m], in the threat's norm over scaled columns, [m] float32."""
        change = self.layout.change(x, self.x if who is None else self.x[who])
        return threat.distance(change, torch.zeros_like(change)).float()
