"""Bootstrap resamples: of images, and of images and trainings of a surrogate."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

RESAMPLES = 9_999  # scipy's default
_NUMBERS = 4_000_000  # weights at once, to bound memory


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
    for b in blocks(images, count):
        yield drawn(rng, len(names), b)[:, of], drawn(rng, images, b)


def blocks(images: int, count: int) -> list[int]:
    """How many of ``count`` resamples are drawn at once, so that their weights fit into memory."""
    size = max(1, _NUMBERS // max(images, 1))
    return [min(size, count - start) for start in range(0, count, size)]


def drawn(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    """How often each of n items is drawn in n draws with replacement, [count, n] float64."""
    picked = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
    return np.bincount(picked.ravel(), minlength=n * count).reshape(count, n).astype(np.float64)


def weights_of(n: int, seed: int, count: int = RESAMPLES) -> Iterator[np.ndarray]:
    """Yield blocks of resamples of n values as weights, [b, n]. Small samples have the same ones again and again: theirs are kept."""
    if n * count <= _NUMBERS and n < 256:
        yield _kept(n, seed, count).astype(np.float64)
        return
    rng = np.random.default_rng(seed)
    for b in blocks(n, count):
        yield drawn(rng, n, b)


@lru_cache(maxsize=16)
def _kept(n: int, seed: int, count: int) -> np.ndarray:
    return drawn(np.random.default_rng(seed), n, count).astype(np.uint8)


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
