"""Rows of a table as a data set: a ``.csv`` file, or the arrays ``rows`` and ``labels`` of a ``.npz`` file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blackbox.checks import as_labels
from surrogates.data.arrays import read_npz
from surrogates.data.dataset import Dataset, class_names
from surrogates.data.loaders import UNLABELLED

__all__ = ["TableSet", "table_rows"]

_MOST = 10_000  # classes that are counted from 0 on; labels beyond are words, one for each that occurs


@dataclass(frozen=True, eq=False)
class TableSet(Dataset):
    """Labelled rows of a table.

    Args:
        images: the rows, [N, columns] floats in the table's own units.
        columns: their names.

    Raises:
        ValueError: rows of another shape, or that are not finite; labels out of range or of another length.
    """

    columns: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        rows = torch.as_tensor(self.images)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns) or not len(rows):
            raise ValueError(f"Expected rows of {len(self.columns)} columns, but their shape was {tuple(rows.shape)}.")
        object.__setattr__(self, "images", rows)
        object.__setattr__(self, "labels", as_labels(self.labels, len(rows), len(self.classes), "labels"))
        object.__setattr__(self, "classes", tuple(map(str, self.classes)))

    def take(self, index: Any, name: str | None = None) -> TableSet:
        if not isinstance(index, (slice, torch.Tensor)):
            index = torch.as_tensor(np.asarray(index))
        return replace(self, images=self.images[index], labels=self.labels[index], name=name or self.name)

    def __repr__(self) -> str:
        return f"TableSet({self.name}: {len(self)} rows of {len(self.columns)} columns, {len(self.classes)} classes)"


def table_rows(
    path: str | Path, label: str | None = None, leave_out: Sequence[str] = (), classes: Sequence[str] | str | Path | None = None
) -> TableSet:
    """Load rows of a table.

    Args:
        path: a ``.csv`` file with a line of names, or a ``.npz`` file with the arrays ``rows`` [N, d] and ``labels`` [N], and
            ``columns`` [d] where they have names.
        label: of a ``.csv`` file the column of true classes; None: there are none, and all labels are 0, of the classes `UNLABELLED`.
        leave_out: columns that are not the model's.
        classes: the classes' names in index order, or a file of them. By default whole numbers are their own indices; words, and numbers
            with a fraction, are sorted.

    Raises:
        FileNotFoundError: no such file. ValueError: no such column, or a cell that is no number; it names line and column.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a table at {path}, but there is no such file.")
    names, cells, labels = _npz(path, label) if path.suffix == ".npz" else _csv(path, label)
    if unknown := [name for name in leave_out if name not in names]:
        raise ValueError(f"Expected to leave out columns of {path} ({', '.join(names[:12])}), but it has no {unknown[0]!r}.")
    kept = [i for i, name in enumerate(names) if name not in leave_out]
    rows = _numbers(cells[:, kept], [names[i] for i in kept], path)
    known, index = _classes(labels, len(rows), classes, path)
    return TableSet(torch.from_numpy(rows), torch.from_numpy(index), known, path.stem, columns=tuple(names[i] for i in kept))


def _csv(path: Path, label: str | None) -> tuple[list[str], np.ndarray, list[str] | None]:
    """Names, cells [N, d] as text, and the column of labels."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file) if line]
    if len(lines) < 2:
        raise ValueError(f"Expected {path} to hold a line of names and at least one row, but it has {len(lines)} lines.")
    names = [name.strip() for name in lines[0]]
    for i, line in enumerate(lines[1:]):
        if len(line) != len(names):
            raise ValueError(f"Expected {len(names)} cells in each line of {path}, but row {i} has {len(line)}.")
    cells = np.array(lines[1:], dtype=object)
    if label is None:
        return names, cells, None
    if label not in names:
        raise ValueError(f"Expected the label of {path} to be one of its columns ({', '.join(names[:12])}), but it was {label!r}.")
    at = names.index(label)
    labels = [str(cell).strip() for cell in cells[:, at]]
    return names[:at] + names[at + 1 :], np.delete(cells, at, 1), labels


def _npz(path: Path, label: str | None) -> tuple[list[str], np.ndarray, list[str] | None]:
    if label is not None:
        raise ValueError(f"Expected no label with {path}, whose labels are an array of that name, but it was {label!r}. Leave it out.")
    found, held = read_npz(path, "rows", "labels", "columns")
    rows = found.get("rows")
    if rows is None or rows.ndim != 2 or not len(rows):
        has = f"it has {held}" if rows is None else f"its shape was {rows.shape}"
        raise ValueError(f"Expected {path} to hold an array rows [N, columns], but {has}.")
    names = list(map(str, found["columns"].tolist())) if "columns" in found else list(map(str, range(rows.shape[1])))
    labels = list(map(str, found["labels"].tolist())) if "labels" in found else None
    return names, rows, labels


def _numbers(cells: np.ndarray, names: list[str], path: Path) -> np.ndarray:
    if cells.dtype.kind in "fiu":
        return cells.astype(np.float32 if cells.dtype == np.float32 else np.float64)
    out = np.empty(cells.shape)
    for (row, column), cell in np.ndenumerate(cells):
        try:
            out[row, column] = float(cell)
        except ValueError:
            said = f"{cell!r:.40}" if str(cell).strip() else "empty"
            raise ValueError(
                f"Expected numbers in the columns of {path}, but {names[column]!r} is {said} in row {row}. Encode categories (0, 1, … or "
                "one-hot), fill in what is missing, name the column of classes as label, or leave the column out (leave_out)."
            ) from None
    return out


def _classes(
    labels: list[str] | None, count: int, given: Sequence[str] | str | Path | None, path: Path
) -> tuple[tuple[str, ...], np.ndarray]:
    """The classes' names, and the index of each label."""
    known = None if given is None else class_names(given)
    if labels is None:
        return known or UNLABELLED, np.zeros(count, np.int64)
    if len(labels) != count:
        raise ValueError(f"Expected a label for each of the {count} rows of {path}, but there were {len(labels)}.")
    numbers = [_whole(label) for label in labels]
    if all(0 <= n < _MOST for n in numbers):
        return known or tuple(map(str, range(max(max(numbers) + 1, 2)))), np.array(numbers, np.int64)
    names = known or tuple(sorted(set(labels), key=_order))
    if unknown := sorted(set(labels) - set(names)):
        raise ValueError(f"Expected the labels of {path} to be among {', '.join(names[:12])}, but one was {unknown[0]!r}.")
    at = {name: i for i, name in enumerate(names)}
    return names if len(names) > 1 else (*names, "none"), np.array([at[label] for label in labels], np.int64)


def _whole(text: str) -> int:
    """The whole number that a label is, ``1`` or ``1.0``; -1 where it is none."""
    try:
        value = float(text)
    except ValueError:
        return -1
    return int(value) if value.is_integer() else -1


def _order(label: str) -> tuple[float, str]:
    """Numbers by their size, before words."""
    try:
        return float(label), label
    except ValueError:
        return np.inf, label
