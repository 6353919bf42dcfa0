"""`Layout`: the arithmetic between a table's own units and the columns in [0, 1] that an attack sees.

An attack sees first the columns of numbers, each scaled by its range, then each category as a one-hot group.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

_GRAIN = 1e-6  # of a range: what float32 adds to a scaled number must not cost a whole one


class Group(NamedTuple):
    """A category. columns: its places in the table; patterns [c, len(columns)]: what they hold for each of its c values."""

    name: str
    columns: Tensor
    patterns: Tensor
    fixed: bool


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each column of a table stands.

    numeric [k]: the places of the columns of numbers; low, high [k]: their ranges; integer, fixed, rising [k] bool.
    """

    numeric: Tensor
    low: Tensor
    high: Tensor
    integer: Tensor
    fixed: Tensor
    rising: Tensor
    groups: tuple[Group, ...]

    def to(self, device: torch.device) -> Layout:
        groups = tuple(Group(g.name, g.columns.to(device), g.patterns.to(device), g.fixed) for g in self.groups)
        columns = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "groups"}
        return Layout(**columns, groups=groups)

    @property
    def width(self) -> Tensor:
        """By what a column is divided: its range, or 1 where there is none."""
        return torch.where(self.high > self.low, self.high - self.low, 1.0)

    @property
    def step(self) -> float:
        """The least scaled change that is one in the table; 0 where a column that may change holds any number."""
        free = ~self.fixed & (self.high > self.low)
        if bool((free & ~self.integer).any()):
            return 0.0
        least = (1 / self.width[free]).min() if bool(free.any()) else torch.tensor(1.0)
        return float(least)

    def scale(self, x: Tensor) -> Tensor:
        """Rows [n, d] in the table's units as an attack sees them, [n, D] float32 in [0, 1]."""
        x = x.double()
        z = ((x[:, self.numeric] - self.low) / self.width).clamp(0.0, 1.0)
        picked = [torch.nn.functional.one_hot(c, len(g.patterns)) for g, c in zip(self.groups, self.choices(x), strict=True)]
        return torch.cat([z.float(), *(p.float() for p in picked)], 1)

    def choices(self, x: Tensor) -> list[Tensor]:
        """The category of each row [n, d] in each group: the nearest pattern, of equals the first."""
        x = x.double()
        return [(x[:, None, g.columns] - g.patterns[None]).square().sum(2).argmin(1) for g in self.groups]

    def free(self) -> Tensor:
        """Which of the D scaled columns may change, bool."""
        of_groups = [torch.full((len(g.patterns),), not g.fixed) for g in self.groups]
        return torch.cat([~self.fixed & (self.high > self.low), *(f.to(self.fixed.device) for f in of_groups)])

    def limits(self, x0: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest value of each number [n, k] in rows that were ``x0`` [n, d] once."""
        was = x0.double()[:, self.numeric]
        low, high = (torch.where(self.integer, whole, end) for whole, end in ((self.low.ceil(), self.low), (self.high.floor(), self.high)))
        return torch.where(self.fixed | self.rising, was, low), torch.where(self.fixed, was, high)

    def numbers(self, z: Tensor, z0: Tensor, x0: Tensor) -> Tensor:
        """The numbers [n, k] of scaled rows ``z`` [n, D], not yet whole or limited; those that are the same in ``z0`` as in ``x0``."""
        k = len(self.numeric)
        return torch.where(z[:, :k] == z0[:, :k], x0.double()[:, self.numeric], self.low + z[:, :k].double() * self.width)

    def picked(self, z: Tensor, z0: Tensor) -> list[Tensor]:
        """The category of each scaled row in each group: the largest entry; where the clean one has an equal, the other."""
        out, at = [], len(self.numeric)
        for group in self.groups:
            part = slice(at, at + len(group.patterns))
            at = part.stop
            clean, mine = z0[:, part].argmax(1), z[:, part]
            best = mine.scatter(1, clean[:, None], -1.0).max(1)
            out.append(torch.where(best.values >= mine.gather(1, clean[:, None])[:, 0], best.indices, clean))
        return out

    def settled(self, numbers: Tensor, choice: list[Tensor], x0: Tensor, towards: Tensor | None = None) -> Tensor:
        """The row [n, d], in the dtype of ``x0``, that numbers [n, k] and categories make: whole, limited, and fixed where it has to be.

        towards: [n, k] bool, numbers that are made whole in the direction of ``x0`` instead of to the nearest.
        """
        was, (low, high) = x0.double()[:, self.numeric], self.limits(x0)
        whole = numbers.round()
        if towards is not None:
            grain = _GRAIN * self.width
            nearer = torch.where(numbers >= was, (numbers + grain).floor().maximum(was), (numbers - grain).ceil().minimum(was))
            whole = torch.where(towards, nearer, whole)
        limited = torch.where(self.integer, whole, numbers).maximum(low).minimum(high)
        out = x0.clone()
        out[:, self.numeric] = _within(limited, low, high, x0.dtype)
        for group, picked in zip(self.groups, choice, strict=True):
            if not group.fixed:
                out[:, group.columns] = group.patterns[picked].to(x0.dtype)
        return out

    def change(self, x: Tensor, x0: Tensor) -> Tensor:
        """The change of rows [n, d], [n, k + groups] float64: of numbers in parts of their ranges, of a category 1."""
        was = x0.double()
        numbers = (x.double()[:, self.numeric] - was[:, self.numeric]) / self.width
        other = [(x[:, g.columns] != x0[:, g.columns]).any(1, keepdim=True).double() for g in self.groups]
        return torch.cat([numbers, *other], 1)


def _within(v: Tensor, low: Tensor, high: Tensor, dtype: torch.dtype) -> Tensor:
    """``v`` in another dtype, still between ``low`` and ``high``, which rounding might leave."""
    out, far = v.to(dtype), torch.full((), torch.inf, dtype=dtype, device=v.device)
    out = torch.where(out.double() > high, torch.nextafter(out, -far), out)
    return torch.where(out.double() < low, torch.nextafter(out, far), out)
