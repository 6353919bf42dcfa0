"""The figures of the page on copies, from the rows of `experiments.studies.extraction`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import surrogates as sg
from experiments.measurements import results
from experiments.publishable import Figure, Table, figure

GENERATED = ("DFME", "MAZE", "generator, labels")


def _rows(target: str, way: str, budget: int) -> list[dict[str, Any]]:
    rows = results(f"extraction_{target}")["rows"]
    return sorted((r for r in rows if (r["way"], r["budget"]) == (way, budget)), key=lambda r: r["seed"])


def _outcomes(rows: Sequence[dict[str, Any]], what: str) -> np.ndarray:
    """[seeds, images]: all seeds measure on the same images."""
    return np.array([[c == "1" for c in r[what]] for r in rows])


def _share(rows: Sequence[dict[str, Any]], what: str, minus: Sequence[dict[str, Any]] | None = None) -> Figure:
    other = None if minus is None else _outcomes(minus, what)
    found = sg.two_level(_outcomes(rows, what), minus=other)
    return Figure(found.value, found.low, found.high, found.n, percent=True)


@figure
def copy_share(target: str, way: str, budget: str, what: str = "agreement") -> Figure:
    """The share of images on which a copy agrees with the target, or whose examples carry over, over images and seeds."""
    return _share(_rows(target, way, int(budget)), what)


@figure
def copy_gain(target: str, way: str, other: str, budget: str, what: str = "agreement") -> Figure:
    """What a way is ahead of another: the difference of the shares, on the same images and seeds."""
    return _share(_rows(target, way, int(budget)), what, _rows(target, other, int(budget)))


@figure
def copy_table(target: str, what: str) -> Table:
    """A way a line, a budget a column."""
    rows = results(f"extraction_{target}")["rows"]
    budgets = sorted({r["budget"] for r in rows})
    lines = []
    for way in dict.fromkeys(r["way"] for r in rows):
        found = [_rows(target, way, b) for b in budgets]
        n = max(_outcomes(some, what).shape[1] for some in found if some)
        lines.append([way, n, *(_share(some, what) if some else "" for some in found)])
    return Table(["asked about", "images", *(f"{b:,} answers" for b in budgets)], lines)


@figure
def copy_both(target: str, budget: str) -> Table:
    """A way a line: agreement and transfer."""
    rows = {r["way"]: _rows(target, r["way"], int(budget)) for r in results(f"extraction_{target}")["rows"]}
    both = ("agreement", "transfer")
    lines = [[way, _outcomes(some, both[0]).shape[1], *(_share(some, what) for what in both)] for way, some in rows.items()]
    return Table(["asked about", "images", "agreement", "transfer"], lines)


@figure
def copy_floor(target: str) -> Figure:
    """The share of images whose class random signs change, of the same size as the examples."""
    return _share(results(f"extraction_{target}")["floors"], "transfer")


@figure
def copies_collapsed(target: str) -> int:
    """How many runs saw a generator collapse."""
    return sum(bool(r["notes"]) for r in results(f"extraction_{target}")["rows"])


@figure
def copies_generated(target: str) -> int:
    """How many runs had a generator."""
    return sum(r["way"] in GENERATED for r in results(f"extraction_{target}")["rows"])
