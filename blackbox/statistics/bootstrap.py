"""Bootstrap intervals: over images, and over images and trainings of a surrogate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.statistics.rates import Estimate

RESAMPLES = 9_999  # scipy's default
_NUMBERS = 4_000_000  # weights at once, to bound memory


@dataclass(frozen=True)
class TwoLevel(Estimate):
    """A mean over runs and images. n: images in a denominator (of any run). runs: resampled trainings (or seeds).

    With ``runs`` = 1 the interval covers images only: nothing is known of other trainings.
    """

    runs: int = 1

    def __str__(self) -> str:
        if not self.n:
            return "– (n = 0)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] ({self.runs} run{'s' * (self.runs > 1)} x {self.n} images)"


def resamples(
    clusters: np.ndarray, images: int, seed: int = 0, count: int = RESAMPLES
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of resamples as weights: how often each run [b, R] and each image [b, N] was drawn.

    Runs are drawn by cluster, images independently of them: every run has the same images, so the two are crossed (the
    pigeonhole bootstrap, Owen 2007, arXiv:0712.1111). It is conservative where runs and images interact; with few clusters
    its intervals are too short, by a factor of about sqrt((R - 1) / R).
    """
    rng = np.random.default_rng(seed)
    names, of = np.unique(clusters, return_inverse=True)
    block = max(1, _NUMBERS // max(images, 1))
    for start in range(0, count, block):
        b = min(block, count - start)
        yield drawn(rng, len(names), b)[:, of], drawn(rng, images, b)


def drawn(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    """How often each of n items is drawn in n draws with replacement, [count, n] float64."""
    picked = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
    return np.bincount(picked.ravel(), minlength=n * count).reshape(count, n).astype(np.float64)


def means(values: np.ndarray, among: np.ndarray, runs: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The mean over runs of each run's mean over its images, [b]; values, among [R, N]; weights [b, R], [b, N].

    NaN where no image of a denominator was drawn.
    """
    kept = among.astype(np.float64)
    hits, whole = images @ (np.where(among, values, 0.0) * kept).T, images @ kept.T
    with np.errstate(invalid="ignore"):
        each = np.where(whole > 0, hits / np.where(whole > 0, whole, 1), np.nan)
        usable = runs * ~np.isnan(each)
        total = usable.sum(1)
        return np.where(total > 0, (usable * np.nan_to_num(each)).sum(1) / np.where(total > 0, total, 1), np.nan)


def two_level(
    values: Any, among: Any = None, clusters: Any = None, *, minus: Any = None, level: float = 0.95, seed: int = 0,
    count: int = RESAMPLES,
) -> TwoLevel:  # fmt: skip
    """The mean of per-image values over runs, with a percentile interval that resamples both.

    Args:
        values: [R, N] outcomes (or [N]: one run).
        among: the images in each run's denominator, by default all.
        clusters: [R] which runs are resampled together; by default each by itself.
        minus: [R, N] outcomes to subtract, with the same runs, images and denominators: the mean difference.

    Raises:
        ValueError: shapes that do not match.
    """
    v = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if minus is not None:
        v = v - np.atleast_2d(np.asarray(minus, dtype=np.float64))
    keep = np.ones(v.shape, dtype=bool) if among is None else np.atleast_2d(np.asarray(among, dtype=bool))
    which = np.arange(len(v)) if clusters is None else np.asarray(clusters)
    if keep.shape != v.shape or which.shape != (len(v),):
        raise ValueError(
            f"Expected outcomes, denominators and clusters of the same runs, but they had shapes {v.shape}, {keep.shape} and "
            f"{which.shape}."
        )
    n, runs = int(keep.any(0).sum()), len(np.unique(which))
    if not n:
        nan = float("nan")
        return TwoLevel(nan, nan, nan, 0, level, runs)
    value = float(means(v, keep, np.ones((1, len(v))), np.ones((1, v.shape[1])))[0])
    if np.ptp(v[keep]) == 0:
        return TwoLevel(value, value, value, n, level, runs)
    found = np.concatenate([means(v, keep, r, i) for r, i in resamples(which, v.shape[1], seed, count)])
    low, high = np.nanquantile(found, [(1 - level) / 2, (1 + level) / 2])
    return TwoLevel(value, float(low), float(high), n, level, runs)


def mean_estimate(values: np.ndarray, level: float = 0.95, seed: int = 0) -> Estimate:
    """The mean of values [N] with a percentile bootstrap interval (Efron 1979), which is a point if all values are equal."""
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
