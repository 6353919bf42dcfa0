"""Rows of results files, and what may be published of them: never a mean without its interval and its number of images.

A file of experiments/results/queries keeps a row for each attack and seed, with two lists in the order of the images: ``queries``
(what each image was charged, its clean check included) and ``found`` (whether it was fooled). All figures are of images: an image's
seeds are averaged first, and intervals are over images (`blackbox.statistics`).
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import blackbox as bb
from blackbox import statistics
from experiments.runner import RESULTS

ROOT = Path(__file__).resolve().parents[1]
ROUNDING = 1e-9
FIGURES: dict[str, Callable[..., Any]] = {}  # what marks may name
LEAST = 2  # images: fewer have no interval


def figure(made: Callable[..., Any]) -> Callable[..., Any]:
    """A mark may name this function: with - for _. Raises ValueError: another module has one of this name."""
    name = made.__name__.replace("_", "-")
    if name in FIGURES and FIGURES[name].__module__ != made.__module__:
        raise ValueError(f"Expected a name of its own for {made.__module__}.{made.__name__}, but {FIGURES[name].__module__} has one, too.")
    FIGURES[name] = made
    return made


def table(columns: str | Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Markdown; a bar in a cell would end it. columns: names, or one text with bars between them."""
    head = columns.split(" | ") if isinstance(columns, str) else list(columns)
    lines = [head, ["---"] * len(head), *([str(cell).replace("|", "/") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True)
class Figure:
    """A number from ``n`` images with its 95 % interval, as text ``112 [98, 128] (n = 206)``.

    percent: of a share from 0 to 1. digits: behind the point; by default as many as three figures take, and one at most.

    Raises:
        ValueError: no interval, or of fewer than two images.
    """

    value: float
    low: float
    high: float
    n: int
    percent: bool = False
    digits: int | None = None

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (self.value, self.low, self.high)))
        around = finite and self.low < self.high and self.low - ROUNDING <= self.value <= self.high + ROUNDING
        if self.n < LEAST or not around:
            raise ValueError(
                f"Expected a figure with an interval around it, of {LEAST} images or more, but it was {self.value:g} "
                f"[{self.low:g}, {self.high:g}] of {self.n}. Publish no mean without its interval."
            )

    @property
    def brief(self) -> str:
        """Without n, for tables that have it in a column."""
        factor, digits = (100, 0) if self.percent else (1, self.digits)
        if digits is None:
            digits = 0 if self.value >= 100 else 1 if self.value >= 2 else 2
        value, low, high = (f"{factor * v:,.{digits}f}" for v in (self.value, self.low, self.high))
        return f"{value}{' %' if self.percent else ''} [{low}, {high}]"

    def __str__(self) -> str:
        return f"{self.brief} (n = {self.n:,})"


@dataclass(frozen=True)
class Spread:
    """The median of repeated runs of a clock, with the smallest and the largest: ``1.10 [0.95, 1.28] (5 runs)``."""

    middle: float
    least: float
    most: float
    runs: int

    @property
    def brief(self) -> str:
        return f"{self.middle:.2f} [{self.least:.2f}, {self.most:.2f}]"

    def __str__(self) -> str:
        return f"{self.brief} ({self.runs} runs)"


@dataclass(frozen=True)
class Middle:
    """The median over images with its 95 % interval, by order statistics: ``3 [3, 4] (n = 206)``. Both may be one number."""

    value: float
    low: float
    high: float
    n: int

    @property
    def brief(self) -> str:
        value, low, high = (f"{v:,.0f}" if v >= 100 or v == int(v) else f"{v:,.1f}" for v in (self.value, self.low, self.high))
        return f"{value} [{low}, {high}]"

    def __str__(self) -> str:
        return f"{self.brief} (n = {self.n:,})"


@dataclass(frozen=True)
class Words:
    """Names, commands and settings: text that claims nothing."""

    text: str

    def __str__(self) -> str:
        return self.text


class OneImage(Words):
    """What was seen on one image, once: a confidence, a radius. No mean, and nothing follows from it for other images."""


@dataclass(frozen=True)
class Table:
    """A Markdown table of figures. One of its columns is called ``images`` or ``n``, or each figure says its own n."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]

    def __str__(self) -> str:
        counted = bool({"images", "n", "runs"} & {name.strip().lower() for name in self.columns})
        made = table(self.columns, [[told(cell, counted) for cell in row] for row in self.rows])
        return f"\n\n{made}\n\n"


def told(value: Any, brief: bool = False) -> str:
    """What may be published as text; a bare number may not, but a count of what was done may.

    Raises:
        ValueError: a number without an interval.
    """
    if isinstance(value, Figure | Spread | Middle):
        return value.brief if brief else str(value)
    if isinstance(value, bb.Rate) and value.n and not value.unknown:
        digits = int(value.high < 0.02 or value.low > 0.98)  # 0 % [0.0, 0.4]
        share, low, high = (100 * v for v in (value.value, value.low, value.high))
        return f"{share:.{digits if 0 < value.k < value.n else 0}f} % [{low:.{digits}f}, {high:.{digits}f}] ({value.k:,}/{value.n:,})"
    if isinstance(value, Words | Table):
        return str(value)
    if isinstance(value, list):  # a cell with several
        return ", ".join(told(one, brief) for one in value)
    if isinstance(value, str):  # a cell: a name
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    raise ValueError(
        f"Expected a figure with its interval and number of images, but it was {value!r}. "
        "Give a Figure, a Rate or a Spread of experiments/measurements.py, or a whole number that counts what was done."
    )


@dataclass(frozen=True)
class Rows:
    """One attack on one target: a row for each seed, all of the same images."""

    source: str
    rows: tuple[dict[str, Any], ...]
    about: dict[str, Any] = field(default_factory=dict)  # what the file says of its target and images

    def __post_init__(self) -> None:
        if len({len(r["queries"]) for r in self.rows}) != 1 or any(len(r["found"]) != len(r["queries"]) for r in self.rows):
            raise ValueError(f"Expected rows of the same images in {self.source}, but their lists have other lengths.")

    @property
    def n(self) -> int:
        return len(self.rows[0]["queries"])

    @property
    def seeds(self) -> list[int]:
        return [r["seed"] for r in self.rows]

    @property
    def ids(self) -> list[int]:
        """Of the images."""
        return list(self.about.get("ids") or range(self.n))

    @property
    def budget(self) -> int:
        """Raises ValueError where the rows have several: means with several caps must not be compared."""
        caps = {r["budget"] for r in self.rows}
        if len(caps) != 1:
            raise ValueError(f"Expected one budget in {self.source}, but the rows have {sorted(caps)}.")
        return int(next(iter(caps)))

    @property
    def spent(self) -> np.ndarray:
        """[seeds, images] queries, failures at the budget."""
        return np.array([np.where(r["found"], r["queries"], self.budget) for r in self.rows], dtype=float)

    @property
    def found(self) -> np.ndarray:
        """[seeds, images] whether fooled."""
        return np.array([r["found"] for r in self.rows], dtype=bool)

    def mean(self) -> Figure:
        """Mean queries, failures charged at the budget."""
        return mean_of(self.spent, self.budget)

    def rate(self) -> Figure:
        """The share fooled."""
        return share_of(self.found)

    def median(self) -> Middle:
        """The median over images of their queries, an image's seeds averaged first; failures charged at the budget."""
        e = statistics.median(self.spent.mean(0))
        return Middle(e.value, e.low, e.high, e.n)

    def over(self, other: Rows) -> Figure:
        """Mean queries over those of another attack on the same images: a ratio, its interval from images drawn together.

        Of the seeds that both have: attacks that draw alike differ less on one seed than two seeds of either do.
        """
        if self.ids != other.ids or self.budget != other.budget:
            raise ValueError(f"Expected the same images and budget, but {self.source} and {other.source} have others.")
        ours, theirs = ([r.get("seed") for r in some.rows] for some in (self, other))
        both = [seed for seed in ours if seed in theirs]
        if not both:
            raise ValueError(f"Expected seeds that both have, but {self.source} has {ours} and {other.source} {theirs}.")
        a, b = self.spent[[ours.index(s) for s in both]], other.spent[[theirs.index(s) for s in both]]
        return ratio_of(a, b, self.budget)


def has(source: str) -> bool:
    return (ROOT / RESULTS / f"{source}.json").exists()


def results(source: str) -> dict[str, Any]:
    """What stands in experiments/results/SOURCE.json.

    Raises:
        ValueError: there is no such file.
    """
    path = ROOT / RESULTS / f"{source}.json"
    if not path.exists():
        raise ValueError(f"Expected experiments/results/{source}.json, but it is not there. Publish what rests on committed rows.")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, time: int) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def rows(source: str, use: str = "reporting", **key: Any) -> Rows:
    """The rows of experiments/results/SOURCE.json that have these values, one a seed.

    use: what the ground (experiments/ground.toml) has to keep their target, images and seeds for; ``"choosing"`` where a page tells
    how a setting was chosen, and nowhere else.

    Raises:
        ValueError: there is no such file, or no such row, or two of one seed, or they were measured on what is kept for another use.
    """
    found = results(source)
    some = tuple(r for r in found["rows"] if all(str(r.get(name)) == str(value) for name, value in key.items()))
    if not some:
        raise ValueError(f"Expected rows of {source}.json with {key}, but there are none. Publish what rests on committed rows.")
    if len({r.get("seed") for r in some}) != len(some):
        raise ValueError(f"Expected one row a seed of {source}.json with {key}, but there are {len(some)}. Say more of the row.")
    grounded(source, found, [r["seed"] for r in some], use)
    return Rows(source, some, {name: found[name] for name in ("target", "images", "ids") if name in found})


def grounded(source: str, found: dict[str, Any], seeds: Iterable[int], use: str = "reporting") -> None:
    """Raises ValueError where what was measured is not kept for this use by the ground, or is not on the ground at all."""
    tables = ground()
    try:
        target, among = tables["targets"][found["target"]["name"]], tables["images"][found["images"]["among"]]
    except (KeyError, TypeError):
        raise ValueError(
            f"Expected {source}.json to name a target and images of experiments/ground.toml, but it does not. Measure it there anew."
        ) from None
    wrong = [f"the {what} {name}" for what, name, kept in (
        ("target", found["target"]["name"], target["use"]), ("set of images", found["images"]["among"], among["use"]),
        *(("seed", seed, next((u for u in tables["seeds"] if seed in tables["seeds"][u]), "nothing")) for seed in seeds),
    ) if kept != use]  # fmt: skip
    if wrong:
        raise ValueError(
            f"Expected {source}.json to rest on what is for {use}, but {', '.join(wrong)} is not. See experiments/ground.toml."
        )


@lru_cache(maxsize=1)
def ground() -> dict[str, Any]:
    """The tables of experiments/ground.toml."""
    return tomllib.loads((Path(__file__).parent / "ground.toml").read_text(encoding="utf-8"))


def mean_of(values: Any, budget: int | None = None) -> Figure:
    """The mean over images; values [n] or [seeds, n]. budget: the most that a value can be, where 1 is the least."""
    return _figure(statistics.mean_estimate(values, bounds=_bounds(budget)))


def share_of(found: Any) -> Figure:
    """The share of truths [n] or [seeds, n], over images: as certain as one seed where an image's seeds agree."""
    return replace(_figure(statistics.rate_estimate(found)), percent=True)


def ratio_of(ours: Any, theirs: Any, budget: int | None = None) -> Figure:
    """The ratio of two means over the same images, each [n] or [seeds, n]; budget as in `mean_of`."""
    return replace(_figure(statistics.ratio(ours, theirs, bounds=_bounds(budget))), digits=2)


def _figure(e: statistics.Estimate) -> Figure:
    return Figure(e.value, e.low, e.high, e.n)


def _bounds(budget: int | None) -> tuple[float, float] | None:
    return None if budget is None else (1.0, float(budget))
