"""Intervals over images for means, ratios of means and rates, also where each image was attacked with several seeds.

Seeds repeat an attack on the same images, so they say nothing of other images: an image's seeds are averaged first, and the interval is
over images. What holds within it is the mean over new images of the same kind, with as many seeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blackbox.statistics.bootstrap import RESAMPLES, weights_of
from blackbox.statistics.rates import Estimate, wilson_of

FEW = 100
"""Below so many images, intervals of means contain the truth less often than they say."""
_UNSEEN = 1_999  # draws for the bound on what a sample may have missed
_ALIKE = 1e-6  # a spread within rounding, as a share of the sample's

Bounds = tuple[float, float]


def few(n: int) -> str:
    """What is not reliable with ``n`` images, in a sentence; empty from `FEW` on."""
    if not 0 < n < FEW:
        return ""
    return f"{n} image{'s' * (n > 1)}: below {FEW}, intervals of means may be too short, and small differences are mostly chance"


def mean_estimate(
    values: Any, level: float = 0.95, seed: int = 0, *, among: Any = None, bounds: Bounds | None = None, count: int = RESAMPLES
) -> Estimate:  # fmt: skip
    """The mean over images, with a bootstrap-t interval; see `mean_interval`.

    Args:
        values: [N], or [R, N] for R seeds of the same images.
        among: which values count, of the same shape, by default all. An image counts if one of its seeds does.
        bounds: the least and the largest that a value can be, such as 1 and the budget. Without them, values that are all equal
            bound nothing: the interval is from -inf to inf.

    Raises:
        ValueError: shapes that do not match.
    """
    x = by_image(values, among)
    if not len(x):
        return Estimate(float("nan"), float("nan"), float("nan"), 0, level)
    low, high = mean_interval(x[None], level, seed, bounds=bounds, count=count)
    return Estimate(float(x.mean()), float(low[0]), float(high[0]), len(x), level)


def rate_estimate(outcomes: Any, among: Any = None, level: float = 0.95) -> Estimate:
    """The share of images for which an outcome holds, with an interval over images; see `rate_interval`.

    Args:
        outcomes: [N] bool, or [R, N] for R seeds of the same images.
        among: which outcomes count, of the same shape, by default all. An image counts if one of its seeds does.

    Raises:
        ValueError: shapes that do not match.
    """
    x = by_image(outcomes, among)
    if not len(x):
        return Estimate(float("nan"), 0.0, 1.0, 0, level)
    low, high = rate_interval(x[None], level, seeds=np.atleast_2d(np.asarray(outcomes)).shape[0])
    return Estimate(float(x.mean()), float(low[0]), float(high[0]), len(x), level)


def ratio(
    first: Any, second: Any, level: float = 0.95, seed: int = 0, *, among: Any = None, bounds: Bounds | None = None,
    count: int = RESAMPLES,
) -> Estimate:  # fmt: skip
    """The mean of ``first`` divided by the mean of ``second``, on the same images, with a bootstrap-t interval; see `ratio_interval`.

    Args:
        first, second: positive, [N] or [R, N]; with seeds, an image's are averaged first. The numbers of seeds may differ.
        among: [N] which images count, by default all.
        bounds: the least and the largest that a value can be, such as 1 and the budget.

    Raises:
        ValueError: other images, or a mean that is not positive.
    """
    a, b = np.atleast_2d(np.asarray(first, dtype=np.float64)), np.atleast_2d(np.asarray(second, dtype=np.float64))
    keep = np.ones(a.shape[1], dtype=bool) if among is None else np.asarray(among, dtype=bool)
    if a.shape[1:] != b.shape[1:] or keep.shape != a.shape[1:]:
        raise ValueError(f"Expected values of the same images, but they had shapes {a.shape}, {b.shape} and {keep.shape}.")
    x, y = a.mean(0)[keep], b.mean(0)[keep]
    if not len(x):
        return Estimate(float("nan"), float("nan"), float("nan"), 0, level)
    if not (x.mean() > 0 and y.mean() > 0):
        raise ValueError(f"Expected positive means for a ratio, but they were {x.mean():g} and {y.mean():g}.")
    low, high = ratio_interval(x[None], y[None], level, seed, bounds=bounds, count=count)
    return Estimate(float(x.mean() / y.mean()), float(low[0]), float(high[0]), len(x), level)


def by_image(values: Any, among: Any = None) -> np.ndarray:
    """The mean over its seeds of each image that counts; values, among [N] or [R, N]."""
    v = np.atleast_2d(np.asarray(values, dtype=np.float64))
    keep = np.ones(v.shape, dtype=bool) if among is None else np.atleast_2d(np.asarray(among, dtype=bool))
    if keep.shape != v.shape:
        raise ValueError(f"Expected to know of each value whether it counts, but their shapes were {v.shape} and {keep.shape}.")
    seeds = keep.sum(0)
    return np.where(keep, v, 0.0).sum(0)[seeds > 0] / seeds[seeds > 0]


def mean_interval(
    values: Any, level: float = 0.95, seed: int = 0, *, bounds: Bounds | None = None, count: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap-t intervals (Efron 1979; Hall 1988) for the means of M samples [M, N], all with the same resamples.

    Numbers of queries are skewed: many ones and twos, a long tail. Of the intervals in use this one covers best there (percentile
    and BCa are too short above). A sample may have missed rare large values altogether, which no resample shows; with
    ``bounds`` the interval ends at the latest where one more value at the bound would put it (Learned-Miller & Thomas 2019,
    arXiv:1905.06208). It is the whole interval of a sample of equal values, as the rule of three is for a rate.

    Returns:
        The lower and the upper ends, [M] each.
    """
    x = np.asarray(values, dtype=np.float64)
    n, mean, scale = x.shape[1], x.mean(1), x.std(1, ddof=1) if x.shape[1] > 1 else np.zeros(len(x))
    more = _with_farther(x, mean, bounds)
    m, centred = more.shape[1], (more - more.mean(1, keepdims=True)).T
    powers = np.concatenate([centred, centred**2], 1)

    def each(weights: np.ndarray) -> np.ndarray:
        shift, square = np.split(weights @ powers / m, 2, axis=1)
        spread = np.sqrt(np.maximum(square - shift**2, 0.0) * m / (m - 1))
        return _studentised(shift, spread, scale, m)

    low, high = _ends(mean, scale / np.sqrt(n), np.concatenate([each(w) for w in weights_of(m, seed, count)]), level)
    if bounds is None:
        return low, high
    weights = _unseen(n, seed)
    rest = weights[:, :-1] @ x.T
    least, most = (rest + weights[:, -1:] * end for end in bounds)
    return _within(low, high, least, most, level)


def ratio_interval(
    first: Any, second: Any, level: float = 0.95, seed: int = 0, *, bounds: Bounds | None = None, count: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap-t intervals for ratios of means of pairs of samples [M, N], on the logarithmic scale; bounds as in `mean_interval`.

    The standard error is that of the linearised ratio (the delta method), in the sample and in each resample.
    """
    a, b = np.asarray(first, dtype=np.float64).T, np.asarray(second, dtype=np.float64).T
    n, (ma, mb) = len(a), (a.mean(0), b.mean(0))
    scale = (a / ma - b / mb).std(0, ddof=1) if n > 1 else np.zeros(a.shape[1])
    x, y = _pairs_with_farther(a / ma, b / mb, ma, mb, bounds)
    m, powers = len(x), np.concatenate([x, y, x**2, x * y, y**2], 1)

    def each(weights: np.ndarray) -> np.ndarray:
        wx, wy, xx, xy, yy = np.split(weights @ powers / m, 5, axis=1)
        square = m * (xx / wx**2 - 2 * xy / (wx * wy) + yy / wy**2)
        return _studentised(np.log(wx / wy), np.sqrt(np.maximum(square, 0.0) / (m - 1)), scale, m)

    low, high = _ends(np.log(ma / mb), scale / np.sqrt(n), np.concatenate([each(w) for w in weights_of(m, seed, count)]), level)
    if bounds is not None:
        weights = _unseen(n, seed)
        over, under, last = weights[:, :-1] @ a, weights[:, :-1] @ b, weights[:, -1:]
        least, most = (np.log((over + last * one) / (under + last * other)) for one, other in (bounds, bounds[::-1]))
        low, high = _within(low, high, least, most, level)
    return np.exp(low), np.exp(high)


def rate_interval(shares: Any, level: float = 0.95, seeds: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Wilson intervals (Wilson 1927) for M samples [M, N] of images, each with the share of its seeds for which an outcome holds.

    N images with R seeds tell as much as some number of independent outcomes between N and N x R: the design effect
    (Kish 1965), from the spread of the shares, with one image added for which the outcome always holds and one for which it
    never does (else a lucky sample would count for too much). With one seed, or where the seeds of each image agree, it is N.

    Returns:
        The lower and the upper ends, [M] each.
    """
    from scipy.stats import norm

    x = np.asarray(shares, dtype=np.float64)
    n, mean = x.shape[1], x.mean(1)
    return wilson_of(mean, np.clip(n / design(x), n, n * seeds), float(norm.ppf((1 + level) / 2)))


def design(x: np.ndarray) -> np.ndarray:
    """The variance of shares [M, N] by that of images whose seeds agree, at most 1."""
    n = x.shape[1]
    middle = (x.sum(1) + 1) / (n + 2)
    return ((x**2).sum(1) + 1) / (n + 2) / (middle * (1 - middle)) - middle / (1 - middle)


def _with_farther(x: np.ndarray, mean: np.ndarray, bounds: Bounds | None) -> np.ndarray:
    """Samples [M, N] with two more values, twice as far from the mean as the farthest on either side, within the bounds."""
    low, high = bounds or (-np.inf, np.inf)
    ends = (np.clip(2 * end - mean, min(low, x.min()), max(high, x.max())) for end in (x.min(1), x.max(1)))
    return np.column_stack([x, *ends])


def _pairs_with_farther(
    a: np.ndarray, b: np.ndarray, ma: np.ndarray, mb: np.ndarray, bounds: Bounds | None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [N, M] in units of their means, with two more: those that speak most for either side, once more as much."""
    apart, k = a - b, np.arange(a.shape[1])
    i, j, most = apart.argmax(0), apart.argmin(0), np.inf if bounds is None else bounds[1]
    over = np.maximum(np.minimum(a[i, k] + np.maximum(apart[i, k], 0), most / ma), a[i, k])
    under = np.maximum(np.minimum(b[j, k] - np.minimum(apart[j, k], 0), most / mb), b[j, k])
    x, y = np.vstack([a, over, a[j, k]]), np.vstack([b, b[i, k], under])
    return x / x.mean(0), y / y.mean(0)


def _studentised(shift: np.ndarray, spread: np.ndarray, scale: np.ndarray, n: int) -> np.ndarray:
    """Shifts by their standard errors; infinite where a resample has no spread."""
    flat = spread <= _ALIKE * scale
    with np.errstate(invalid="ignore"):
        return np.where(flat, np.where(shift == 0, 0.0, np.sign(shift) * np.inf), shift / np.where(flat, 1.0, spread) * np.sqrt(n))


def _ends(value: np.ndarray, error: np.ndarray, drawn: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The ends of a bootstrap-t interval; value, error [M], the studentised resamples [count, M]."""
    above = np.quantile(drawn, (1 + level) / 2, axis=0, method="higher")
    below = np.quantile(drawn, (1 - level) / 2, axis=0, method="lower")
    equal = error <= 1e-12 * np.abs(value)
    with np.errstate(invalid="ignore"):
        return np.where(equal, -np.inf, value - above * error), np.where(equal, np.inf, value - below * error)


def _unseen(n: int, seed: int) -> np.ndarray:
    """Random weights of n values and of one more that was not seen, [draws, n + 1]."""
    return np.random.default_rng(seed).dirichlet(np.ones(n + 1), _UNSEEN)


def _within(low: np.ndarray, high: np.ndarray, least: np.ndarray, most: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends no farther out than one more value at a bound would put them; least, most [draws, M]."""
    return (
        np.maximum(low, np.quantile(least, (1 - level) / 2, axis=0)),
        np.minimum(high, np.quantile(most, (1 + level) / 2, axis=0)),
    )  # fmt: skip
