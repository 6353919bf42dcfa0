"""Means over runs of a surrogate and images, with intervals for new runs and new images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.statistics.bootstrap import RESAMPLES, means
from blackbox.statistics.intervals import Bounds, design, mean_interval
from blackbox.statistics.rates import Estimate, wilson_of


@dataclass(frozen=True)
class TwoLevel(Estimate):
    """A mean over runs and images. n: images in a denominator (of any run). runs: trainings (or seeds).

    With ``runs`` = 1 the interval covers images only: nothing is known of other trainings.
    """

    runs: int = 1

    def __str__(self) -> str:
        if not self.n:
            return "– (n = 0)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] ({self.runs} run{'s' * (self.runs > 1)} x {self.n} images)"


def two_level(
    values: Any, among: Any = None, clusters: Any = None, *, minus: Any = None, level: float = 0.95, seed: int = 0,
    count: int = RESAMPLES, bounds: Bounds | None = None,
) -> TwoLevel:  # fmt: skip
    """The mean of per-image values over runs, with an interval for new images and, of two runs or more, for new runs.

    For runs that are trainings of a surrogate. Seeds of an attack are repeats, and averaged for each image: `rate_estimate`,
    `mean_estimate`. Runs and images are crossed, and their variances add up (Owen 2007, arXiv:0712.1111); Satterthwaite's
    degrees of freedom (1946) are few where few runs lie far apart, and the interval is then wide. Outcomes of yes or no have a
    Wilson interval with as many images as such a variance stands for; the difference of two (``minus``) a t interval with half
    an image of a single run added to each of the four pairs of outcomes (Agresti & Min 2005); other values a t interval, or that of
    `mean_interval` if there is one run.

    Args:
        values: [R, N] outcomes (or [N]: one run).
        among: the images in each run's denominator, by default all.
        clusters: [R] which runs belong together, as seeds of one training; by default each is by itself.
        minus: [R, N] outcomes to subtract, with the same runs, images and denominators: the mean difference.
        seed, count: of resamples.
        bounds: the least and the largest that a value can be, as in `mean_interval`.

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
    x, between = _parts(v, keep, which, value)
    if not np.isin(v[keep], (0, 1) if minus is None else (-1, 0, 1)).all():
        if runs == 1:
            low, high = (float(end[0]) for end in mean_interval(x[None], level, seed, count=count, bounds=bounds))
        else:
            low, high = _t(value, x.var(ddof=1) / n if n > 1 else np.inf, between, n, runs, level)
    elif minus is None:
        low, high = _wilson(value, float(design(x[None])[0]), between, n, keep.sum(), runs, level)
    else:
        middle = n * value / (n + 2)
        within = ((x**2).sum() + 1 / len(v)) / (n + 2) - middle**2
        low, high = _t(middle, within / (n + 2), between, n, runs, level)
        low, high = max(min(low, value), -1.0), min(max(high, value), 1.0)
    return TwoLevel(value, low, high, n, level, runs)


def _parts(v: np.ndarray, keep: np.ndarray, which: np.ndarray, value: float) -> tuple[np.ndarray, float]:
    """What each image says of the mean [n] (its mean over runs, where all runs have the same images), and the variance of the
    mean that runs add, less what chance within them explains."""
    there, images = keep.any(1), keep.any(0)
    v, keep, which = v[there][:, images], keep[there][:, images], which[there]
    n, size = keep.shape[1], keep.sum(1, keepdims=True)
    each = np.where(keep, v, 0.0).sum(1, keepdims=True) / size
    apart = np.where(keep, v - each, 0.0) * n / size
    names, of = np.unique(which, return_inverse=True)
    member = (of == np.arange(len(names))[:, None]).astype(np.float64)
    weight = member.sum(1) / len(which)
    of_cluster = member @ apart / member.sum(1, keepdims=True)
    image = weight @ of_cluster
    if len(names) == 1 or n == 1:
        return value + image, 0.0
    more = len(names) / (len(names) - 1)
    raw = more * float(weight**2 @ ((member @ each[:, 0]) / member.sum(1) - value) ** 2)
    chance = more * float(weight**2 @ (of_cluster - image).var(1, ddof=1)) / n
    return value + image, max(raw - chance, 0.0)


def _t(value: float, within: float, between: float, n: int, runs: int, level: float) -> tuple[float, float]:
    half = _quantile(within, between, n, runs, level) * np.sqrt(within + between)
    return float(value - half), float(value + half)


def _wilson(value: float, effect: float, between: float, n: int, most: int, runs: int, level: float) -> tuple[float, float]:
    """Wilson's interval with as many images as have this variance; effect: of images, by that of images whose runs agree."""
    alone = value * (1 - value) / n
    whole = effect + (between / alone if alone else 0.0)
    z = _quantile(effect * alone, between, n, runs, level)
    low, high = wilson_of(np.array([value]), np.array([min(n / whole, most)]), z)
    return float(low[0]), float(high[0])


def _quantile(within: float, between: float, n: int, runs: int, level: float) -> float:
    """Student's quantile with Satterthwaite's degrees of freedom; the normal one where runs add nothing."""
    from scipy.stats import norm, t

    if not between:
        return float(norm.ppf((1 + level) / 2))
    freedom = (within + between) ** 2 / (within**2 / max(n - 1, 1) + between**2 / (runs - 1))
    return float(t.ppf((1 + level) / 2, freedom))
