"""What may be published, as text: never a mean without its interval and its number of images.

All figures are of images: an image's seeds are averaged first, and intervals are over images (`blackbox.statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

import blackbox as bb
from blackbox import statistics

ROUNDING = 1e-9
FIGURES: dict[str, Callable[..., Any]] = {}  # what marks may name
LEAST = 2  # images: fewer have no interval

_Array = tuple[bytes, str, tuple[int, ...]]  # its bytes, type and shape: what a cache can have as a key


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

    @classmethod
    def of(cls, e: statistics.Estimate | statistics.TwoLevel | bb.Rate, percent: bool = False, digits: int | None = None) -> Figure:
        """The figure of an estimate, or of a rate."""
        return cls(e.value, e.low, e.high, e.n, percent, digits)

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
        "Give a Figure, a Rate or a Spread of experiments/publishable.py, or a whole number that counts what was done."
    )


def mean_of(values: Any, budget: int | None = None) -> Figure:
    """The mean over images; values [n] or [seeds, n]. budget: the most that a value can be, where 1 is the least."""
    return Figure.of(_known(statistics.mean_estimate, values, bounds=_bounds(budget)))


def median_of(values: Any) -> Middle:
    """The median over images; values [seeds, n], an image's seeds averaged first."""
    e = statistics.median(np.asarray(values).mean(0))
    return Middle(e.value, e.low, e.high, e.n)


def share_of(found: Any) -> Figure:
    """The share of truths [n] or [seeds, n], over images: as certain as one seed where an image's seeds agree."""
    return Figure.of(_known(statistics.rate_estimate, found), percent=True)


def mean_share_of(values: Any) -> Figure:
    """The mean over images of one share each, from 0 to 1, such as that of the targets an example fools; values [n] or [seeds, n]."""
    return Figure.of(_known(statistics.mean_estimate, values, bounds=(0.0, 1.0)), percent=True)


def points_of(differences: Any) -> Figure:
    """The mean over images of differences of two shares, each from -1 to 1, in points; differences [n] or [seeds, n]."""
    return Figure.of(_known(statistics.mean_estimate, 100 * differences, bounds=(-100.0, 100.0)), digits=1)


def ratio_of(ours: Any, theirs: Any, budget: int | None = None) -> Figure:
    """The ratio of two means over the same images, each [n] or [seeds, n]; budget as in `mean_of`."""
    return Figure.of(_known(statistics.ratio, ours, theirs, bounds=_bounds(budget)), digits=2)


def _known(make: Callable[..., statistics.Estimate], *values: Any, **more: Any) -> statistics.Estimate:
    """An estimate, made once for the same numbers: tables, pages and their checks show the same ones many times over."""
    return _made(make, tuple((a.tobytes(), a.dtype.str, a.shape) for a in map(np.ascontiguousarray, values)), **more)


@lru_cache(maxsize=4096)
def _made(make: Callable[..., statistics.Estimate], arrays: tuple[_Array, ...], **more: Any) -> statistics.Estimate:
    return make(*(np.frombuffer(data, kind).reshape(shape) for data, kind, shape in arrays), **more)


def _bounds(budget: int | None) -> tuple[float, float] | None:
    return None if budget is None else (1.0, float(budget))
