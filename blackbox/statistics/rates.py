"""Rates with their denominators and intervals, curves, and comparisons. All derived from raw per-sample outcomes.

A failure is charged at the whole budget, also where the attack gave up before: more queries would not have helped it.
Only a sample that a failing target cut short (`Status.ERROR`) is *censored*: nobody knows what it would have cost.
A mean over the successes alone is not offered: it rewards an attack for failing on what is hard.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

BUDGETS = (10, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Numbers of queries at which success is reported."""

RESAMPLES = 9_999  # of a bootstrap: as scipy's default; the interval's own error is then below 1 % of its length


@lru_cache(maxsize=4096)
def _wilson(k: int, n: int, level: float) -> tuple[float, float]:
    if n == 0:
        return (0.0, 1.0)
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(confidence_level=level, method="wilson")
    return (float(interval.low), float(interval.high))


@dataclass(frozen=True)
class Rate:
    """``k`` of ``n``, with a Wilson interval (Wilson 1927). Of nothing (n = 0) it is NaN, between 0 and 1."""

    k: int
    n: int
    level: float = 0.95

    @classmethod
    def of(cls, outcomes: Any, among: Any = None) -> Rate:
        """The share of true ``outcomes`` [N] among the samples where ``among`` [N] holds (all by default)."""
        hit = np.asarray(outcomes, dtype=bool)
        keep = np.ones_like(hit) if among is None else np.asarray(among, dtype=bool)
        return cls(int((hit & keep).sum()), int(keep.sum()))

    @property
    def value(self) -> float:
        return self.k / self.n if self.n else float("nan")

    @property
    def low(self) -> float:
        return _wilson(self.k, self.n, self.level)[0]

    @property
    def high(self) -> float:
        return _wilson(self.k, self.n, self.level)[1]

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if not self.n:
            return "– (n = 0)"
        return f"{100 * self.value:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}] ({self.k}/{self.n})"


@dataclass(frozen=True)
class Detection:
    """How detectable a stream of queries was.

    queries: looked at. flagged: those that resembled an earlier one. first: the number of the first flagged query,
    0 where none was.
    """

    queries: int
    flagged: int
    first: int

    @classmethod
    def of(cls, flags: np.ndarray) -> Detection:
        """From [m] bool in the order of the queries."""
        hit = np.flatnonzero(flags)
        return cls(len(flags), len(hit), int(hit[0]) + 1 if len(hit) else 0)

    @property
    def share(self) -> float:
        return self.flagged / self.queries if self.queries else float("nan")

    def __str__(self) -> str:
        if not self.flagged:
            return f"none of {self.queries:,} queries flagged"
        return f"{100 * self.share:.1f} % of {self.queries:,} queries flagged, the first was query {self.first:,}"


class Outcomes(Protocol):
    """What is read of a result (`blackbox.AttackResult` has it): per-sample columns [N] and the run's settings."""

    @property
    def success(self) -> Any: ...
    @property
    def queries(self) -> Any: ...
    @property
    def first_success_query(self) -> Any: ...
    @property
    def attacked(self) -> Any: ...
    @property
    def status(self) -> Sequence[Any]: ...
    @property
    def ids(self) -> Any: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    def distance_at(self, budgets: Any) -> Any: ...


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


@dataclass(frozen=True)
class Curve:
    """A step function of the number of queries: from ``at[i]`` on the share ``value[i]`` is fooled, within a band."""

    at: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: int
    level: float = 0.95

    def read(self, queries: Any) -> np.ndarray:
        """[t, 3] share, low, high at these numbers of queries."""
        i = np.searchsorted(self.at, np.asarray(queries), side="right") - 1
        return np.stack([self.value[i], self.low[i], self.high[i]], 1)


def success_at(result: Outcomes, budgets: Sequence[int] = BUDGETS, level: float = 0.95) -> dict[int, Rate]:
    """Success within each number of queries, of the attacked images, up to the budget of the run; Wilson intervals.

    What a larger budget would have brought is unknown and not reported.
    """
    attacked, first, most = _array(result.attacked), _array(result.first_success_query), int(result.config["budget"])
    return {
        b: Rate(int((attacked & (first > 0) & (first <= b)).sum()), int(attacked.sum()), level) for b in budgets if b <= most
    }


def censored_curve(result: Outcomes, level: float = 0.95) -> Curve:
    """Success against queries with what was cut short taken into account: Kaplan & Meier 1958, one minus survival.

    `scipy.stats.ecdf` of the query that first succeeded; failures are censored at the budget, samples that a failing
    target cut short where they stood. The band is pointwise, log-log (Kalbfleisch & Prentice); where that is undefined
    (before the first success, after the last sample) it is Wilson's for all attacked images.
    """
    from scipy.stats import CensoredData, ecdf

    time, event = _times(result)
    n = len(time)
    if not n:
        return Curve(np.zeros(1), np.full(1, np.nan), np.zeros(1), np.ones(1), 0, level)
    cdf = ecdf(CensoredData(uncensored=time[event], right=time[~event])).cdf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it says that the band is undefined at 0 and 1: filled below
        band = cdf.confidence_interval(level, method="log-log")
    at, value = np.r_[0.0, cdf.quantiles], np.r_[0.0, cdf.probabilities]
    low, high = np.r_[np.nan, band.low.probabilities], np.r_[np.nan, band.high.probabilities]
    for i in np.flatnonzero(np.isnan(low) | np.isnan(high)):
        low[i], high[i] = _wilson(round(value[i] * n), n, level)
    return Curve(at, value, low, high, n, level)


def restricted_mean(result: Outcomes, horizon: int | None = None, level: float = 0.95, seed: int = 0) -> Estimate:
    """Mean queries an attacked image, a failure charged at ``horizon`` (the budget, unless a smaller one is given).

    The restricted mean survival time (Royston & Parmar 2013) of the queries charged, with a percentile bootstrap
    interval over images (Efron 1979). Images that a failing target cut short are left out.
    """
    cost = _costs(result, _horizon([result], horizon))[_whole(result)]
    return _bootstrap(cost, level, seed)


def median_distance(result: Outcomes, budgets: Sequence[int], level: float = 0.95) -> dict[int, Estimate]:
    """Median of the smallest distance found within each number of queries, over attacked images; inf where there is none.

    The interval is exact and free of assumptions, from the order statistics (`scipy.stats.quantile_test`).
    """
    keep, most = _array(result.attacked), int(result.config["budget"])
    wanted = [int(b) for b in budgets if b <= most]
    out: dict[int, Estimate] = {}
    for b, row in zip(wanted, _array(result.distance_at(wanted)), strict=True):
        out[b] = median(row[keep], level)
    return out


def median(values: np.ndarray, level: float = 0.95) -> Estimate:
    """Median of non-negative values [N] (inf: none, larger than any), with the exact interval of order statistics."""
    from scipy.stats import quantile_test

    d = np.sort(np.asarray(values, dtype=np.float64))
    if not len(d):
        return Estimate(float("nan"), 0.0, float("inf"), 0, level)
    lower, upper = d[(len(d) - 1) // 2], d[len(d) // 2]
    middle = lower if lower == upper else (lower + upper) / 2  # two infinities have no difference
    interval = quantile_test(d, p=0.5).confidence_interval(level)
    low, high = float(interval.low), float(interval.high)
    return Estimate(float(middle), 0.0 if np.isnan(low) else low, float("inf") if np.isnan(high) else high, len(d), level)


@dataclass(frozen=True)
class VirtualBest:
    """The best single attack of each image in hindsight: what a perfect choice among them would have reached.

    success: the images that at least one attack fooled. queries: mean of the fewest, failures charged. share: of the
    images that some attack fooled, on how many each was the quickest (ties count for all who tie).
    """

    success: Rate
    queries: Estimate
    share: dict[str, Rate]


def virtual_best(
    results: Mapping[str, Outcomes], horizon: int | None = None, level: float = 0.95, seed: int = 0
) -> VirtualBest:
    """The per-image best of several attacks on the same images (the "virtual best solver" of algorithm selection; Rice
    1976). It is optimistic where attacks are random: the best of several draws is better than any.

    Raises:
        ValueError: no results, or results about other samples.
    """
    if not results:
        raise ValueError("Expected at least one result, but there was none.")
    every = list(results.values())
    _same_samples(every)
    most = _horizon(every, horizon)
    keep = np.logical_and.reduce([_whole(r) for r in every])
    cost = np.stack([_costs(r, most)[keep] for r in every])
    hit = np.stack([_within(r, most)[keep] for r in every])
    best, found = cost.min(0), hit.any(0)
    share = {name: Rate.of(hit[i] & (cost[i] == best), found) for i, name in enumerate(results)}
    return VirtualBest(Rate.of(found), _bootstrap(best, level, seed), share)


@dataclass(frozen=True)
class Common:
    """Results on the images that all of them fooled. n: how many. mean, median: queries of each result there."""

    n: int
    mean: dict[str, Estimate]
    median: dict[str, float]


def common_success(results: Mapping[str, Outcomes], level: float = 0.95, seed: int = 0) -> Common:
    """Compare queries on the images that every attack fooled: fair between them, but easier than the rest.

    Raises:
        ValueError: the results are not about the same samples.
    """
    _same_samples(list(results.values()))
    both = np.logical_and.reduce([_array(r.success) for r in results.values()])
    queries = {name: _array(r.queries)[both].astype(np.float64) for name, r in results.items()}
    return Common(
        int(both.sum()),
        {name: _bootstrap(q, level, seed) for name, q in queries.items()},
        {name: float(np.median(q)) if len(q) else float("nan") for name, q in queries.items()},
    )


@dataclass(frozen=True)
class Paired:
    """Two attacks on the same images.

    both, first_only, second_only, neither: images fooled within the horizon. p: McNemar's exact test of equal success.
    saved: mean queries of the second less those of the first, failures at the horizon; above 0 the first is cheaper.
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    p: float
    saved: Estimate
    horizon: int

    def __str__(self) -> str:
        return (
            f"within {self.horizon:,} queries: both {self.both}, only the first {self.first_only}, only the second "
            f"{self.second_only}, neither {self.neither} (McNemar p = {self.p:.3g}); the first saves {self.saved} queries"
        )


def paired(first: Outcomes, second: Outcomes, horizon: int | None = None, level: float = 0.95, seed: int = 0) -> Paired:
    """Compare two attacks image by image, on those that both attacked.

    McNemar 1947, exact: of the images that only one of them fooled, either is as likely as the other
    (`scipy.stats.binomtest`). The difference of restricted means has a percentile bootstrap interval over images.

    Args:
        horizon: queries within which success counts, at most the smaller budget, and by default that.

    Raises:
        ValueError: the results are not about the same samples, or the horizon is beyond a budget.
    """
    _same_samples([first, second])
    most = _horizon([first, second], horizon)
    keep = _whole(first) & _whole(second)
    saved = _bootstrap((_costs(second, most) - _costs(first, most))[keep], level, seed)
    return Paired(*mcnemar(_within(first, most)[keep], _within(second, most)[keep]), saved, most)


class Discordance(NamedTuple):
    """Two outcomes on the same samples, counted, and p of McNemar's exact test that either fails as often."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> Discordance:
    """[N] bool, [N] bool -> counts, and the exact p (McNemar 1947): of the samples where one alone holds, either does with
    probability a half (`scipy.stats.binomtest`, two-sided); 1 where there is none."""
    from scipy.stats import binomtest

    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(binomtest(one, one + other).pvalue) if one + other else 1.0
    return Discordance(int((first & second).sum()), one, other, int((~first & ~second).sum()), p)


def logrank(first: Outcomes, second: Outcomes) -> float:
    """p of equal censored curves (Mantel 1966, `scipy.stats.logrank`), for two runs on *different* images.

    On the same images `paired` sees more; this test takes them for independent and is then too careful.
    """
    from scipy.stats import CensoredData
    from scipy.stats import logrank as test

    data = []
    for result in (first, second):
        time, event = _times(result)
        data.append(CensoredData(uncensored=time[event], right=time[~event]))
    return float(test(*data).pvalue)


def _array(column: Any) -> np.ndarray:
    return column.numpy(force=True) if hasattr(column, "numpy") else np.asarray(column)


def _cut_short(result: Outcomes) -> np.ndarray:
    return np.array([status.name == "ERROR" for status in result.status], dtype=bool)


def _whole(result: Outcomes) -> np.ndarray:
    """[N] bool: attacked, and not cut short."""
    return _array(result.attacked) & ~_cut_short(result)


def _times(result: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Of the attacked images: the query of the first success, or where it was censored; and which of the two."""
    keep, first = _array(result.attacked), _array(result.first_success_query)
    failed = np.where(_cut_short(result), _array(result.queries), int(result.config["budget"]))
    return np.where(first > 0, first, failed)[keep].astype(np.float64), (first > 0)[keep]


def _within(result: Outcomes, horizon: int) -> np.ndarray:
    first = _array(result.first_success_query)
    return (first > 0) & (first <= horizon)


def _costs(result: Outcomes, horizon: int) -> np.ndarray:
    """[N] queries charged, a failure at the horizon; no success costs more than the horizon either."""
    cost = np.where(_within(result, horizon), _array(result.queries), horizon)
    return np.minimum(cost, horizon).astype(np.float64)


def _horizon(results: Sequence[Outcomes], wanted: int | None) -> int:
    most = min(int(r.config["budget"]) for r in results)
    if wanted is not None and not 1 <= wanted <= most:
        raise ValueError(f"Expected a horizon from 1 to {most}, the smallest budget of the runs, but it was {wanted}.")
    return most if wanted is None else int(wanted)


def _same_samples(results: Sequence[Outcomes]) -> None:
    if not results:
        raise ValueError("Expected at least one result, but there was none.")
    for other in results[1:]:
        if not np.array_equal(_array(results[0].ids), _array(other.ids)):
            raise ValueError("Expected results about the same samples in the same order, but their ids differ.")


def _bootstrap(values: np.ndarray, level: float, seed: int) -> Estimate:
    """The mean with a percentile bootstrap interval; of equal values, the value itself."""
    from scipy.stats import bootstrap

    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"), 0, level)
    mean = float(values.mean())
    if len(values) == 1 or np.ptp(values) == 0:
        return Estimate(mean, mean, mean, len(values), level)
    interval = bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // len(values)),
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(values), level)
