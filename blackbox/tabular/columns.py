"""Reads what a user says of columns: names, ranges and groups, each error in a sentence that names the column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Range = tuple[float, float]
_CODES = 100_000  # of a category: each is a scaled column


def names_of(columns: Any, count: int) -> tuple[str, ...]:
    """The columns' names, ``count`` different ones; their numbers where none are given.

    Raises:
        ValueError: another number of them, or one twice.
    """
    names = tuple(map(str, range(count))) if columns is None else tuple(map(str, columns))
    if len(names) != count:
        raise ValueError(f"Expected a name for each of the {count} columns, but columns had {len(names)}.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Expected columns to have different names, but {twice[0]!r} occurs {names.count(twice[0])} times.")
    return names


def named(column: Any, names: Sequence[str], where: str) -> str:
    """The name of a column that is given by its name or its place.

    Raises:
        ValueError: there is no such column.
    """
    if isinstance(column, (int, np.integer)) and not isinstance(column, bool) and -len(names) <= column < len(names):
        return names[int(column)]
    if str(column) in names:
        return str(column)
    among = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    raise ValueError(f"Expected {where} to name columns of the table ({among}), but {column!r} is none of them.")


def listed(columns: Any, names: Sequence[str], where: str) -> tuple[str, ...]:
    """The names of several columns, each once, in the table's order."""
    some = [columns] if isinstance(columns, (str, int)) else list(columns)
    found = {named(column, names, where) for column in some}
    return tuple(name for name in names if name in found)


def groups_of(categorical: Any, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The groups of one-hot columns, and the columns of codes (groups of one), by their names.

    Raises:
        ValueError: an unknown column, or one that is in two groups.
    """
    given: Iterable[tuple[Any, Any]]
    given = categorical.items() if isinstance(categorical, Mapping) else ((None, group) for group in _as_list(categorical))
    out: dict[str, tuple[str, ...]] = {}
    home: dict[str, str] = {}
    for name, group in given:
        alone = isinstance(group, (str, int, np.integer))
        members = (named(group, names, "categorical"),) if alone else tuple(named(c, names, "categorical") for c in group)
        if not members:
            raise ValueError("Expected each group of categorical to hold columns, but one is empty. Leave it out.")
        title = str(name) if name is not None else _title(members)
        for member in members:
            if member in home:
                raise ValueError(
                    f"Expected the groups of categorical to share no column, but {member!r} is in {home[member]!r} and in {title!r}. "
                    "Each one-hot column belongs to one group."
                )
            home[member] = title
        out[title] = members
    return out


def _as_list(categorical: Any) -> list[Any]:
    return [categorical] if isinstance(categorical, (str, int)) else list(categorical)


def _title(members: tuple[str, ...]) -> str:
    """What a group is called: what its columns' names begin with, ``colour`` of ``colour_red`` and ``colour_blue``."""
    if len(members) == 1:
        return members[0]
    shared = 0
    while len({member[: shared + 1] for member in members}) == 1:
        shared += 1
    return members[0][:shared].rstrip("_=-:. ") or " / ".join(members)


def ranges_of(ranges: Any, names: Sequence[str], default: Mapping[str, Range]) -> tuple[Range | None, ...]:
    """A range for each column: the one given, else the ``default``, else None.

    Raises:
        ValueError: an unknown column, no range (not two finite numbers, or the first above the second), or another range than the
            ``default``, which is that of one-hot columns.
    """
    if isinstance(ranges, Mapping):
        given = {named(column, names, "ranges"): pair for column, pair in ranges.items()}
    else:
        given = dict(zip(names, ranges, strict=True))
    out: list[Range | None] = []
    for name in names:
        pair = given.get(name)
        if pair is None:
            out.append(default.get(name))
            continue
        try:
            low, high = (float(end) for end in pair)
        except (TypeError, ValueError):
            raise ValueError(f"Expected the range of column {name!r} to be a pair (lowest, highest), but it was {pair!r}.") from None
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"Expected the range of column {name!r} to be finite, the lowest first, but it was ({low:g}, {high:g}).")
        if name in default and (low, high) != default[name]:
            raise ValueError(
                f"Expected the range of the one-hot column {name!r} to be (0, 1), but it was ({low:g}, {high:g}). Leave its range out; a "
                "category that must not be chosen is left out of the group, with its column immutable."
            )
        out.append((low, high))
    return tuple(out)


def check_kinds(
    names: Sequence[str], ranges: Sequence[Range | None], integer: Sequence[str], groups: Mapping[str, Sequence[str]],
    immutable: Sequence[str], increasing: Sequence[str],
) -> None:  # fmt: skip
    """Refuse what contradicts itself.

    Raises:
        ValueError: it names the column.
    """
    if both := [name for name in increasing if name in immutable]:
        raise ValueError(f"Expected a column to be immutable or increasing, but {both[0]!r} is both. Leave it out of one of them.")
    one_hot = {column: title for title, group in groups.items() for column in group}
    for kind, some in (("integer", integer), ("increasing", increasing)):
        if clash := [name for name in some if name in one_hot]:
            raise ValueError(
                f"Expected {kind} to name columns of numbers, but {clash[0]!r} holds a category (of {one_hot[clash[0]]!r}). "
                f"Leave it out of {kind}."
            )
    for title, group in groups.items():
        held = [column for column in group if column in immutable]
        if held and len(held) < len(group):
            free = next(column for column in group if column not in immutable)
            raise ValueError(
                f"Expected immutable to hold all columns of the category {title!r} or none, but {held[0]!r} is in it and {free!r} is "
                "not. Name all."
            )
    movable = False
    for name, pair in zip(names, ranges, strict=True):
        if pair is None and name not in immutable:
            raise ValueError(
                f"Expected a range for each column that may change, but {name!r} has none. Give ranges={{{name!r}: (lowest, highest)}}, "
                "make the table with Tabular.from_data, or name the column in immutable."
            )
        members = len(groups[one_hot[name]]) if name in one_hot else 0
        code, many = members == 1, members > 1  # of several columns each is 0 or 1, whatever was seen of it
        whole = code or name in integer
        if pair is not None and whole and math.ceil(pair[0]) > math.floor(pair[1]):
            raise ValueError(f"Expected a whole number in the range of column {name!r}, but there is none in ({pair[0]:g}, {pair[1]:g}).")
        if pair is not None and code and pair[1] - pair[0] > _CODES:
            raise ValueError(
                f"Expected a column of categories to hold {_CODES} codes at most, but the range of {name!r} is ({pair[0]:g}, {pair[1]:g}). "
                "Name it in integer, if it holds numbers, or in immutable instead."
            )
        one = pair is not None and not many and (pair[0] == pair[1] or (whole and math.ceil(pair[0]) == math.floor(pair[1])))
        movable = movable or (name not in immutable and not one)
    if not movable:
        raise ValueError("Expected something of a row to be free to change, but all columns are immutable, or have one value.")
