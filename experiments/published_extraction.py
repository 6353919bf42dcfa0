"""The figures of the page on copies, from the rows of `experiments.studies.extraction`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

import surrogates as sg
from experiments.measurements import results
from experiments.publishable import Figure, Table, Words, figure

SMALL = {"batch": 16, "copy_steps": 1}  # many steps of a generator for its answers; chosen by --study choose --budgets 20000
TRAINED = {
    "DFME, small batches": sg.acquire.DFME(**SMALL), "MAZE, small batches": sg.acquire.MAZE(batch=16),
    "generator, labels, more steps": sg.acquire.HardLabel(generator_steps=5),
}  # fmt: skip
RAISED = {
    **{f"DFME, {loss}": sg.acquire.DFME(loss=loss, **SMALL) for loss in ("l1", "kl", "minimax", "non-saturating")},
    **{f"labels, {loss}": sg.acquire.HardLabel(loss=loss, generator_steps=5) for loss in ("balanced", "minimax", "non-saturating")},
}  # what a generator raises
GENERATED = {"DFME": sg.acquire.DFME(), "MAZE": sg.acquire.MAZE(), "generator, labels": sg.acquire.HardLabel(), **TRAINED, **RAISED}
TARGETS = ("digits", "resnet8")
PILOT = 0.15  # of the queries, as surrogates.extract has it
SHAPE = (1, 8, 8)  # the methods ask as much about any other


def _rows(target: str, way: str, budget: int) -> list[dict[str, Any]]:
    rows = results(f"extraction_{target}")["rows"]
    return sorted((r for r in rows if (r["way"], r["budget"]) == (way, budget)), key=lambda r: r["seed"])


def _outcomes(rows: Sequence[dict[str, Any]], what: str) -> np.ndarray:
    """[seeds, images]: all seeds measure on the same images."""
    return np.array([[c == "1" for c in r[what]] for r in rows])


def share(rows: Sequence[dict[str, Any]], what: str) -> Figure:
    """Over images and, where there are several, trainings."""
    return Figure.of(sg.two_level(_outcomes(rows, what)), percent=True)


def _points(more: Sequence[dict[str, Any]], less: Sequence[dict[str, Any]], what: str, of_the_other: str = "") -> Figure:
    """The difference in points, on the same images and seeds; a digit more where an end would be written as zero, on which side it lies."""
    found = sg.two_level(_outcomes(more, what), minus=_outcomes(less, of_the_other or what))
    value, low, high = (100 * v for v in (found.value, found.low, found.high))
    digits = int(round(low) == 0 or round(high) == 0)
    return Figure(round(value, digits) + 0.0, low, high, found.n, digits=digits)  # + 0: no -0


@figure
def copy_share(target: str, way: str, budget: str, what: str = "agreement") -> Figure:
    """The share of images on which a copy agrees with the target, or whose examples carry over, over images and seeds."""
    return share(_rows(target, way, int(budget)), what)


@figure
def copy_gain(target: str, way: str, other: str, budget: str, what: str = "agreement") -> Figure:
    """What a way is ahead of another, in points."""
    return _points(_rows(target, way, int(budget)), _rows(target, other, int(budget)), what)


@figure
def copy_gain_along(target: str, way: str, other: str, budget: str) -> Figure:
    """What a way is ahead in agreement of the copy that learned along the way from a generator."""
    return _points(_rows(target, way, int(budget)), _rows(target, other, int(budget)), "agreement", "agreed_along")


@figure
def copy_table(target: str, what: str, *among: str) -> Table:
    """A way a line, a budget a column."""
    budgets = [int(b) for b in among]
    rows = [r for r in results(f"extraction_{target}")["rows"] if r["budget"] in budgets]
    lines = []
    for way in dict.fromkeys(r["way"] for r in rows):
        found = [_rows(target, way, b) for b in budgets]
        n = max(_outcomes(some, what).shape[1] for some in found if some)
        lines.append([way, n, *(share(some, what) if some else "" for some in found)])
    return Table(["asked about", "images", *(f"{b:,} answers" for b in budgets)], lines)


@figure
def copy_both(target: str, budget: str) -> Table:
    """A way a line: agreement and transfer."""
    rows = {r["way"]: _rows(target, r["way"], int(budget)) for r in results(f"extraction_{target}")["rows"]}
    both = ("agreement", "transfer")
    lines = [[way, _outcomes(some, both[0]).shape[1], *(share(some, what) for what in both)] for way, some in rows.items() if some]
    return Table(["asked about", "images", "agreement", "transfer"], lines)


@figure
def copy_trained(target: str, budget: str) -> Table:
    """A generator a line: its steps, agreement of the copy that learned along the way, and both measures of one trained anew."""
    rows = {r["way"]: _rows(target, r["way"], int(budget)) for r in results(f"extraction_{target}")["rows"] if r["way"] in GENERATED}
    lines = []
    for way, some in rows.items():
        if some:
            three = [share(some, what) for what in ("agreed_along", "agreement", "transfer")]
            lines.append([way, _outcomes(some, "agreement").shape[1], generator_steps(way, budget, target), *three])
    return Table(["method", "images", "steps of the generator", "agreement along the way", "agreement", "transfer"], lines)


@figure
def pilot_table() -> Table:
    """A case a line: which pool a pilot takes, and how far copies get by each way."""
    found = results("extraction_pilot")
    ways = list(dict.fromkeys(r["way"] for r in found["rows"]))
    lines = []
    for case in dict.fromkeys(r["case"] for r in found["rows"]):
        rows = {r["way"]: r for r in found["rows"] if r["case"] == case}
        shares = [share([rows[way]], "agreement") for way in ways]
        lines.append([case.replace(" ", ", "), shares[0].n, rows[f"pilot {PILOT:.0%}"]["best"], *shares])
    return Table(["target, other images", "images", "a pilot takes", *ways], lines)


@figure
def pilot_right(measure: str, points: str) -> Words:
    """In how many cases, of those where the pools' copies are so many points apart, a measure on the first images names the better pool."""
    found, right, cases = results("extraction_pilot"), 0, 0
    for row in found["criteria"]:
        other, mixed = (
            next(r["agreement"].count("1") / len(r["agreement"]) for r in found["rows"] if (r["case"], r["way"]) == (row["case"], way))
            for way in ("other", "mixed")
        )
        if abs(other - mixed) >= int(points) / 100:
            cases, right = cases + 1, right + ((row[measure][0] > row[measure][1]) == (other > mixed))
    return Words(f"{right} of {cases}")


@figure
def copy_floor(target: str) -> Figure:
    """The share of images whose class random signs change, of the same size as the examples."""
    return share(results(f"extraction_{target}")["floors"], "transfer")


@figure
def copy_below_floor(target: str, way: str, budget: str) -> Figure:
    """How many points fewer classes a copy's examples change than random signs do."""
    return _points(results(f"extraction_{target}")["floors"], _rows(target, way, int(budget)), "transfer")


@figure
def copies_below_floor(target: str, budget: str) -> Words:
    """Of how many copies the examples change fewer classes than random signs, with an interval above zero."""
    ways = dict.fromkeys(r["way"] for r in results(f"extraction_{target}")["rows"])
    return Words(f"{sum(copy_below_floor(target, way, budget).low > 0 for way in ways)} of {len(ways)}")


@figure
def generator_steps(way: str, budget: str, *among: str) -> int:
    """The steps that a generator took: what its method's rounds leave of the budget.

    Raises:
        ValueError: the rows' bills tell of another number.
    """
    how, left, steps = GENERATED[way], int(budget), 0
    while left > 0:
        for _ in range(how.generator_steps):
            if left > how.cost(SHAPE):
                steps, left = steps + 1, left - how.cost(SHAPE)
        left -= how.batch * how.copy_steps
    estimates = steps * max(how.cost(SHAPE) - how.batch, 0)
    for row in (r for target in among or TARGETS for r in _rows(target, way, int(budget))):
        told = re.search(r"([\d,]+) to estimate", row["bill"])
        if row["notes"] or (int(told[1].replace(",", "")) if told else 0) != estimates:
            raise ValueError(f"Expected {estimates} queries to estimate gradients and no collapse, but the bill was {row['bill']!r}.")
    return steps


@figure
def generator_table(target: str) -> Table:
    """A method a line: queries a step of its generator, and the steps it took, a budget a column."""
    budgets = sorted({r["budget"] for r in results(f"extraction_{target}")["rows"]})
    ways = {way: how for way, how in GENERATED.items() if way not in RAISED}
    lines = [
        [way, how.cost(SHAPE), *(generator_steps(way, str(b), target) if _rows(target, way, b) else "" for b in budgets)]
        for way, how in ways.items()
    ]
    return Table(["method", "queries a step", *(f"steps with {b:,} answers" for b in budgets)], lines)


@figure
def copies_collapsed(target: str) -> int:
    """How many runs saw a generator collapse."""
    return sum(bool(r["notes"]) for r in results(f"extraction_{target}")["rows"])


@figure
def copies_generated(target: str) -> int:
    """How many runs had a generator."""
    return sum(r["way"] in GENERATED for r in results(f"extraction_{target}")["rows"])
