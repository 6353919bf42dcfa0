"""Success and distance as functions of the number of queries, with intervals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blackbox.statistics.intervals import mean_estimate
from blackbox.statistics.outcomes import (
    Outcomes,
    array,
    complete,
    costs,
    horizon_of,
    known_within,
    perhaps_attacked,
    times,
    within,
)
from blackbox.statistics.rates import Estimate, Rate, wilson

BUDGETS = (10, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""The numbers of queries at which success is reported."""


@dataclass(frozen=True)
class Curve:
    """A step function of the number of queries, with a band: from ``at[i]`` on, the share ``value[i]`` is fooled."""

    at: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int
    level: float = 0.95

    def read(self, queries: Any) -> np.ndarray:
        """Share, low and high at these numbers of queries, [t, 3]."""
        i = np.searchsorted(self.at, np.asarray(queries), side="right") - 1
        return np.stack([self.value[i], self.low[i], self.high[i]], 1)


def success_at(result: Outcomes, budgets: Sequence[int] = BUDGETS, level: float = 0.95) -> dict[int, Rate]:
    """The success rate among attacked images within each number of queries, with Wilson intervals.

    Only up to the run's budget: beyond it, success is unknown.
    """
    most, among = int(result.config["budget"]), perhaps_attacked(result)
    rates = {b: Rate.of(within(result, b), among, known_within(result, b)) for b in budgets if b <= most}
    return {b: replace(rate, level=level) for b, rate in rates.items()}


def known_curve(result: Outcomes, budgets: Sequence[int] | np.ndarray) -> tuple[np.ndarray, list[Rate]]:
    """The success rate within each number of queries, ascending from 1, as far as the same images are known.

    A run that was cut off is known up to the query at which the first of its images was: further on only those that had
    been fooled would be left, and the share would be too large. Empty where nothing beyond the clean images is known.

    Returns:
        The numbers of queries that are left, and a rate for each.
    """
    at = np.asarray(budgets)
    among = perhaps_attacked(result)
    rates = [Rate.of(within(result, b), among, known_within(result, b)) for b in at.tolist()]
    kept = [i for i, rate in enumerate(rates) if rate.n and rate.unknown == rates[0].unknown]
    if kept and at[kept[-1]] == 1 < int(result.config["budget"]):
        kept = []
    return at[kept], [rates[i] for i in kept]


def censored_curve(result: Outcomes, level: float = 0.95) -> Curve:
    """The success curve with censoring: one minus the Kaplan-Meier survival estimate (Kaplan & Meier 1958).

    `scipy.stats.ecdf` of the query that first succeeded; failures are censored at the budget, samples that a failing target
    cut short at their last query. The band is pointwise, log-log (Kalbfleisch & Prentice); where that is undefined (before
    the first success, after the last sample) it is Wilson's for all attacked images.
    """
    from scipy.stats import CensoredData, ecdf

    time, event = times(result)
    n = len(time)
    if not n:
        return Curve(np.zeros(1), np.full(1, np.nan), np.zeros(1), np.ones(1), 0, level)
    cdf = ecdf(CensoredData(uncensored=time[event], right=time[~event])).cdf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the band is undefined at 0 and 1: filled below
        band = cdf.confidence_interval(level, method="log-log")
    at, value = np.r_[0.0, cdf.quantiles], np.r_[0.0, cdf.probabilities]
    low, high = np.r_[np.nan, band.low.probabilities], np.r_[np.nan, band.high.probabilities]
    for i in np.flatnonzero(np.isnan(low) | np.isnan(high)):
        low[i], high[i] = wilson(round(value[i] * n), n, level)
    return Curve(at, value, low, high, n, level)


def restricted_mean(result: Outcomes, horizon: int | None = None, level: float = 0.95, seed: int = 0) -> Estimate:
    """The mean queries an attacked image, with failures charged at ``horizon`` (by default the budget).

    The restricted mean survival time (Royston & Parmar 2013) of the queries charged, with a bootstrap-t interval over images
    (`mean_interval`). Images that a failing target cut short within the horizon are left out.
    """
    most = horizon_of([result], horizon)
    return mean_estimate(costs(result, most)[complete(result, most)], level, seed, bounds=(1, most))


def median_distance(result: Outcomes, budgets: Sequence[int], level: float = 0.95) -> dict[int, Estimate]:
    """The median over attacked images of the smallest distance found within each number of queries; inf if there is none.

    The interval is exact and distribution-free, from the order statistics (`scipy.stats.quantile_test`). Images that a
    failing target cut short within that number of queries are left out.
    """
    most = int(result.config["budget"])
    wanted = [int(b) for b in budgets if b <= most]
    out: dict[int, Estimate] = {}
    for b, row in zip(wanted, array(result.distance_at(wanted)), strict=True):
        out[b] = median(row[complete(result, b)], level)
    return out


def median(values: np.ndarray, level: float = 0.95) -> Estimate:
    """The median of non-negative values [N] (inf for none), with the exact interval of order statistics."""
    from scipy.stats import quantile_test

    d = np.sort(np.asarray(values, dtype=np.float64))
    if not len(d):
        return Estimate(float("nan"), 0.0, float("inf"), 0, level)
    lower, upper = d[(len(d) - 1) // 2], d[len(d) // 2]
    middle = lower if lower == upper else (lower + upper) / 2  # inf - inf is undefined
    interval = quantile_test(d, p=0.5).confidence_interval(level)
    low, high = float(interval.low), float(interval.high)
    return Estimate(
        float(middle), 0.0 if np.isnan(low) else low, float("inf") if np.isnan(high) else high, len(d), level
    )
