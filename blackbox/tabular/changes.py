"""What changed in which column of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from blackbox.tabular.table import Tabular


class Change(NamedTuple):
    """One change: of sample ``sample`` (its place), of a column or a category, from one value to another, in the table's units (a
    one-hot category by its column's name). scaled: in parts of the column's range; 1 for a category."""

    sample: int
    column: str
    before: float | str
    after: float | str
    scaled: float


class Moves(NamedTuple):
    """How one column of numbers changed in several rows. far: the median change, of four digits. share: the same of the column's
    range. up, down: in how many rows."""

    far: float
    share: float
    up: int
    down: int

    @classmethod
    def of(cls, some: Sequence[Change]) -> Moves:
        """Those of a column's changes."""
        moves = np.array([float(c.after) - float(c.before) for c in some])
        far = float(f"{np.median(np.abs(moves)):.4g}")  # 19,130 and not 1.913e+04
        return cls(far, float(np.median([abs(c.scaled) for c in some])), int((moves > 0).sum()), int((moves < 0).sum()))


def by_column(found: Iterable[Change]) -> list[tuple[str, list[Change]]]:
    """The changes of each column, the columns that changed most often first."""
    out: dict[str, list[Change]] = {}
    for change in found:
        out.setdefault(change.column, []).append(change)
    return sorted(out.items(), key=lambda each: (-len(each[1]), each[0]))


def changes(table: Tabular, x: Tensor, x0: Tensor) -> list[Change]:
    """All changes from rows ``x0`` to ``x``, both [n, d]: sample by sample, the largest first."""
    layout, out = table.layout, []
    moved = layout.change(x, x0).numpy(force=True)
    k = len(layout.numeric)
    before, after = (torch.stack(layout.choices(v), 1).numpy() if layout.groups else np.zeros((len(v), 0)) for v in (x0, x))
    for row, column in zip(*np.nonzero(moved), strict=True):
        if column < k:
            place = int(layout.numeric[column])
            numbers = float(x0[row, place]), float(x[row, place])
            out.append(Change(int(row), table.columns[place], *numbers, float(moved[row, column])))
        else:
            group = layout.groups[column - k]
            members = table.categorical[group.name]
            pair = (int(before[row, column - k]), int(after[row, column - k]))
            was, now = (members[i] if len(members) > 1 else float(group.patterns[i, 0]) for i in pair)
            out.append(Change(int(row), group.name, was, now, 1.0))
    return sorted(out, key=lambda c: (c.sample, -abs(c.scaled), c.column))


def lines(table: Tabular, x: Tensor, x0: Tensor, most: int = 6) -> list[str]:
    """The columns that changed most often in rows ``x0`` [n, d], a line each."""
    often, n = by_column(changes(table, x, x0)), len(x)
    width = max((len(name) for name, _ in often[:most]), default=0)
    out = []
    for name, some in often[:most]:
        if name not in table.categorical:
            moves = Moves.of(some)
            told = f"by a median of {moves.far:,.6g} ({100 * moves.share:.3g} % of its range), up in {moves.up}, down in {moves.down}"
        else:
            pairs = [f"{c.before} to {c.after}" for c in some]
            told = f"most often {max(sorted(set(pairs)), key=pairs.count)}"
        out.append(f"  {name:<{width}}  in {len(some)} of {n}, {told}")
    return out + ([f"  and {len(often) - most} more columns"] if len(often) > most else [])
