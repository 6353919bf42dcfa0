"""`Tabular`: what a row of a table may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_tensor
from blackbox.tabular import columns as read
from blackbox.tabular.layout import Group, Layout
from blackbox.tabular.rows import TableRows
from blackbox.threat import Threat

KINDS = ("ranges", "integer", "categorical", "immutable", "increasing")


@dataclass(frozen=True)
class Tabular:
    """What a row of a table may be: whole numbers, categories, columns that stay or only grow, ranges.

    ``blackbox.attack(oracle, x, y, ..., table=table)`` takes rows ``x`` [N, d] in the table's own units (age 37, income 52,000), an
    array or a pandas table. The attack sees each column scaled by its range to [0, 1], and the threat's norm is over these; a change
    of category counts as one. The target is asked in the table's units, and every query is a valid row, to the bit.

    Columns are named by their names or their places. `from_data` learns ranges from a table.

    Args:
        ranges: the lowest and the highest value of each column, a list of pairs or a mapping; not needed of one-hot and immutable
            columns.
        columns: the names, in their order; by default the keys of ``ranges`` if it is a mapping of names, else numbers.
        integer: columns of whole numbers.
        categorical: groups of one-hot columns, each a list, or a mapping of names to lists; a single column instead of a list
            holds whole-number codes of categories, from the lowest to the highest of its range. All categories are as near.
        immutable: columns that never change. Of a one-hot group all are.
        increasing: columns that never go below their clean value.

    Raises:
        ValueError: an unknown column, groups that overlap, a column both immutable and increasing, and the like; it names the column.
    """

    ranges: Any
    columns: Any = None
    integer: Any = ()
    categorical: Any = ()
    immutable: Any = ()
    increasing: Any = ()
    named: bool = field(default=True, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = self.columns
        if not hasattr(self.ranges, "__len__"):
            raise ValueError(
                f"Expected ranges as a pair (lowest, highest) for each column, or a mapping of columns to pairs, but they were "
                f"{self.ranges!r:.40}. Tabular.from_data(X) learns them."
            )
        if given is None and isinstance(self.ranges, Mapping):
            if not all(isinstance(name, str) for name in self.ranges):
                raise ValueError("Expected columns=names with ranges for some of the columns, but there were none. Give all the names.")
            given = list(self.ranges)
        count = len(self.ranges) if given is None or not isinstance(self.ranges, Mapping) else len(list(given))
        names = read.names_of(given, count)
        groups = read.groups_of(self.categorical, names)
        one_hot = {column: (0.0, 1.0) for group in groups.values() if len(group) > 1 for column in group}
        made = {
            "columns": names,
            "ranges": read.ranges_of(self.ranges, names, one_hot),
            "integer": read.listed(self.integer, names, "integer"),
            "categorical": groups,
            "immutable": read.listed(self.immutable, names, "immutable"),
            "increasing": read.listed(self.increasing, names, "increasing"),
            "named": given is not None and names != tuple(map(str, range(count))),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)
        read.check_kinds(names, self.ranges, self.integer, groups, self.immutable, self.increasing)

    @classmethod
    def from_data(
        cls, x: Any, *, columns: Any = None, integer: Any = (), categorical: Any = (), immutable: Any = (), increasing: Any = (),
        ranges: Mapping[Any, Any] | None = None,
    ) -> Tabular:  # fmt: skip
        """A table whose ranges are the smallest and the largest values of rows ``x`` [n, d], an array or a pandas table, whose
        column names it takes; of one-hot columns 0 and 1, whatever occurs. ``ranges``: for some columns instead of those.

        Raises:
            ValueError: as `Tabular`; or the rows hold words or NaN.
        """
        found = list(x.columns) if columns is None and hasattr(x, "columns") else columns
        rows = _numbers(x, "x")
        if rows.ndim != 2 or not len(rows):
            raise ValueError(f"Expected rows [n, columns] of a table, but x had shape {tuple(rows.shape)}.")
        names = read.names_of(found, rows.shape[1])
        _check_finite(rows, names)
        learned = dict(zip(names, zip(rows.amin(0).tolist(), rows.amax(0).tolist(), strict=True), strict=True))
        for group in read.groups_of(categorical, names).values():
            if len(group) > 1:  # of a category that these rows lack, a row may be all the same
                learned.update(dict.fromkeys(group, (0.0, 1.0)))
        chosen = {read.named(column, names, "ranges"): pair for column, pair in (ranges or {}).items()}
        return cls({**learned, **chosen}, names, integer, categorical, immutable, increasing)

    def about(self) -> dict[str, Any]:
        """The settings, as JSON has them: ``Tabular(**table.about())`` is the same table."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    # -- rows --------------------------------------------------------------------------------------------------------

    def scale(self, x: Any) -> Tensor:
        """Rows [n, d] as an attack sees them: first the columns of numbers, in [0, 1], then each category as a one-hot group,
        [n, D] float32. A surrogate for a ``prior`` takes these."""
        return self.layout.scale(self._read(x, "x"))

    def project(self, x: Any, x0: Any) -> Tensor:
        """The valid rows nearest to rows ``x`` [n, d] that were ``x0`` [n, d] once, column by column: [n, d] in the dtype of ``x0``."""
        clean, new = self.rows(x0).x, self._read(x, "x")
        return self.layout.settled(new.double()[:, self.layout.numeric], self.layout.choices(new), clean)

    def distance(self, x: Any, x0: Any, threat: Threat) -> Tensor:
        """How far rows ``x`` are from ``x0``, both [n, d], in the threat's norm over scaled columns, [n]."""
        return self.rows(x0).distance(threat, self._read(x, "x"))

    def violations(self, x: Any, x0: Any) -> dict[str, np.ndarray]:
        """Which rows ``x`` [n, d], that were ``x0`` once, are not valid, and why: of each kind [n] bool."""
        new, old = self._read(x, "x").double().numpy(), self._read(x0, "x0").double().numpy()
        at = {name: i for i, name in enumerate(self.columns)}
        ends = [pair or (-np.inf, np.inf) for pair in self.ranges]
        low, high = np.array(ends).T
        kept = self.project(x, x0).double().numpy()
        kinds = {"integer": self.integer, "immutable": self.immutable, "increasing": self.increasing}
        some = {kind: np.array([at[name] for name in names], dtype=int) for kind, names in kinds.items()}
        out = {
            "ranges": ~(np.isfinite(new) & (low <= new) & (new <= high)).all(1),
            "integer": (new != np.round(new))[:, some["integer"]].any(1),
            "categorical": np.zeros(len(new), bool),
            "immutable": (new != old)[:, some["immutable"]].any(1),
            "increasing": (new < old)[:, some["increasing"]].any(1),
        }
        for group in self.categorical.values():
            cells = [at[name] for name in group]
            out["categorical"] |= (new != kept)[:, cells].any(1) & ~(new == old)[:, cells].all(1)
        return out

    def valid(self, x: Any, x0: Any) -> np.ndarray:
        """Which rows ``x`` [n, d], that were ``x0`` once, are what a row may be, [n] bool."""
        found: np.ndarray = ~np.any(list(self.violations(x, x0).values()), axis=0)
        return found

    def rows(self, x: Any, name: str = "x") -> TableRows:
        """Check clean rows ``x`` [N, d], and prepare them for an attack.

        Raises:
            ValueError: other columns; words, NaN, a number outside its range or not whole, a one-hot group that does not hold exactly one
                1; it names the sample and the column.
        """
        rows = self._read(x, name)
        _check_finite(rows, self.columns)
        self._check(rows)
        return TableRows(self.layout, rows, self.layout.scale(rows), self.about())

    @cached_property
    def layout(self) -> Layout:
        """The arithmetic of this table."""
        grouped = {column for group in self.categorical.values() for column in group}
        at = {name: i for i, name in enumerate(self.columns)}
        numeric = [name for name in self.columns if name not in grouped]
        ends = [self.ranges[at[name]] or (0.0, 0.0) for name in numeric]

        def among(names: tuple[str, ...]) -> Tensor:
            return torch.tensor([name in names for name in numeric], dtype=torch.bool)

        groups = []
        for title, members in self.categorical.items():
            place = torch.tensor([at[m] for m in members])
            low, high = self.ranges[at[members[0]]]
            codes = torch.arange(math.ceil(low), math.floor(high) + 1, dtype=torch.float64)[:, None]
            patterns = codes if len(members) == 1 else torch.eye(len(members), dtype=torch.float64)
            groups.append(Group(title, place, patterns, members[0] in self.immutable))
        low, high = torch.tensor(ends, dtype=torch.float64).view(-1, 2).T
        places = torch.tensor([at[name] for name in numeric], dtype=torch.int64)
        kinds = (among(self.integer), among(self.immutable), among(self.increasing))
        return Layout(places, low.clone(), high.clone(), *kinds, tuple(groups))

    def _read(self, x: Any, name: str) -> Tensor:
        """Rows as a tensor of floats, columns in the table's order."""
        if hasattr(x, "columns") and self.named:
            if lacking := [c for c in self.columns if c not in set(map(str, x.columns))]:
                raise ValueError(f"Expected {name} to have the table's columns, but it has no {lacking[0]!r}.")
            x = x[[next(c for c in x.columns if str(c) == own) for own in self.columns]]
        rows = _numbers(x, name)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns) or not len(rows):
            raise ValueError(f"Expected {name} to be rows of {len(self.columns)} columns, but it had shape {tuple(rows.shape)}.")
        return rows

    def _check(self, rows: Tensor) -> None:
        v = rows.double()
        for i, (name, pair) in enumerate(zip(self.columns, self.ranges, strict=True)):
            free = name not in self.immutable
            if free and pair is not None:
                low, high = pair
                mend = f"Give ranges={{{name!r}: …}} that hold it, or learn them from these rows too."
                _refuse(v[:, i], (v[:, i] < low) | (v[:, i] > high), name, f"within its range [{low:g}, {high:g}]", mend)
            if name in self.integer:
                _refuse(v[:, i], v[:, i] != v[:, i].round(), name, "a whole number", "Round it, or leave the column out of integer.")
        at = {name: i for i, name in enumerate(self.columns)}
        for title, group in self.categorical.items():
            cells = v[:, [at[name] for name in group]]
            if len(group) == 1:
                off = cells[:, 0] != cells[:, 0].round()
                _refuse(cells[:, 0], off, group[0], "the whole-number code of a category", "Encode the categories 0, 1, 2, ….")
            elif len(bad := ((cells == 1).sum(1).ne(1) | ((cells != 0) & (cells != 1)).any(1)).nonzero()):
                row = int(bad[0])
                ones, more = int((cells[row] == 1).sum()), f" ({len(bad)} such)" if len(bad) > 1 else ""
                raise ValueError(
                    f"Expected exactly one 1 among the columns of the category {title!r} ({', '.join(group[:4])}, …), and 0 elsewhere, but "
                    f"sample {row} has {ones} and holds {cells[row].tolist()[:8]}{more}. Mend the row, or the group."
                )


def _refuse(values: Tensor, bad: Tensor, column: str, what: str, mend: str) -> None:
    if bool(bad.any()):
        row, more = int(bad.nonzero()[0]), f" ({int(bad.sum())} such)" if int(bad.sum()) > 1 else ""
        raise ValueError(f"Expected column {column!r} to be {what}, but it is {float(values[row]):.6g} in sample {row}{more}. {mend}")


def _check_finite(rows: Tensor, names: tuple[str, ...]) -> None:
    if not bool(rows.isfinite().all()):
        row, column = (~rows.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"Expected a number in each column, but sample {row} has {float(rows[row, column])} in {names[column]!r}. Fill it in, or leave "
            "the row out."
        )


def _numbers(x: Any, name: str) -> Tensor:
    """Rows as floats: float32 and float64 stay, whole numbers become float64."""
    if hasattr(x, "columns"):
        found = {str(c): _column(x[c], str(c), name) for c in x.columns}
        kinds = {a.dtype for a in found.values()}
        dtype = np.float32 if kinds == {np.dtype(np.float32)} else np.float64
        return torch.from_numpy(np.stack([a.astype(dtype) for a in found.values()], 1))
    rows = as_tensor(x, name).cpu()
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.double()


def _column(column: Any, title: str, name: str) -> np.ndarray:
    values: np.ndarray = np.asarray(column)
    if values.dtype.kind not in "biuf":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            word = next((v for v in values.tolist() if isinstance(v, str)), values.dtype)
            raise ValueError(
                f"Expected {name} to hold numbers, but its column {title!r} holds {word!r}. Encode the categories (0, 1, … or one-hot), "
                "and decode them in the target."
            ) from None
    return values
