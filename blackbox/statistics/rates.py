"""Rates and estimates with their denominators and intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np


@lru_cache(maxsize=4096)
def wilson(k: int, n: int, level: float) -> tuple[float, float]:
    if n == 0:
        return (0.0, 1.0)
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(confidence_level=level, method="wilson")
    return (float(interval.low), float(interval.high))


def wilson_of(share: np.ndarray, n: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval for shares of numbers of outcomes that need not be whole, which scipy has not; z: the quantile."""
    middle, more = (share + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n)
    half = more * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


@dataclass(frozen=True)
class Rate:
    """``k`` of ``n``, with a Wilson interval (Wilson 1927). For n = 0 the value is NaN and the interval [0, 1].

    unknown: samples of the denominator whose outcome is not known, because the run ended first; neither ``k`` nor ``n``
    counts them. The interval is that of the known ones, `bounds` what the whole denominator can be.
    """

    k: int
    n: int
    level: float = 0.95
    unknown: int = 0

    @classmethod
    def of(cls, outcomes: Any, among: Any = None, known: Any = None) -> Rate:
        """The share of true ``outcomes`` [N] among the samples where ``among`` [N] holds (all by default).

        known: [N] whether a sample's outcome is known, by default all are. The others are counted in ``unknown`` alone.
        """
        hit = np.asarray(outcomes, dtype=bool)
        keep = np.ones_like(hit) if among is None else np.asarray(among, dtype=bool)
        told = np.ones_like(hit) if known is None else np.asarray(known, dtype=bool)
        return cls(int((hit & keep & told).sum()), int((keep & told).sum()), unknown=int((keep & ~told).sum()))

    @property
    def value(self) -> float:
        return self.k / self.n if self.n else float("nan")

    @property
    def low(self) -> float:
        return wilson(self.k, self.n, self.level)[0]

    @property
    def high(self) -> float:
        return wilson(self.k, self.n, self.level)[1]

    @property
    def bounds(self) -> tuple[float, float]:
        """The share if the outcome of every unknown sample were false, and if it were true."""
        every = self.n + self.unknown
        return (self.k / every, (self.k + self.unknown) / every) if every else (0.0, 1.0)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if not self.n:
            return f"unknown (n = 0; {self.unknown} unknown)" if self.unknown else "– (n = 0)"
        text = f"{100 * self.value:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}] ({self.k}/{self.n}"
        if not self.unknown:
            return f"{text})"
        least, most = self.bounds
        return f"{text}; {self.unknown} unknown: between {100 * least:.0f} and {100 * most:.0f} %)"


@dataclass(frozen=True)
class Detection:
    """How detectable a stream of queries was.

    queries: how many were checked. flagged: how many resembled an earlier one. first: the number of the first flagged query,
    0 if there was none.
    """

    queries: int
    flagged: int
    first: int

    @classmethod
    def of(cls, flags: np.ndarray) -> Detection:
        """Count flags [m] bool in the order of the queries."""
        hit = np.flatnonzero(flags)
        return cls(len(flags), len(hit), int(hit[0]) + 1 if len(hit) else 0)

    @property
    def share(self) -> float:
        return self.flagged / self.queries if self.queries else float("nan")

    def __str__(self) -> str:
        if not self.flagged:
            return f"none of {self.queries:,} queries flagged"
        return f"{100 * self.share:.1f} % of {self.queries:,} queries flagged, the first was query {self.first:,}"


@dataclass(frozen=True)
class Estimate:
    """A number from ``n`` samples, with an interval."""

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:,.4g} [{self.low:,.4g}, {self.high:,.4g}] (n = {self.n})" if self.n else "– (n = 0)"
