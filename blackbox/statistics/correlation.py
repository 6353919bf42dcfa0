"""Spearman's rank correlation of a predictor with measured transfer rates, with an interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from blackbox.statistics.bootstrap import RESAMPLES, drawn
from blackbox.statistics.rates import Estimate


def rank_correlation(
    predictor: Any, outcomes: Any, among: Any = None, *, level: float = 0.95, seed: int = 0, count: int = RESAMPLES
) -> Estimate:
    """Spearman's rho between K predictions and K transfer rates (Spearman 1904), as in Demontis et al. 2019, table 4.

    Args:
        predictor: [K], one number a pair of source and target, or [K, N], one an image (means are ranked; NaN left out).
        outcomes: [K, N] whether image i transferred.
        among: [K, N] the denominators, by default all.

    The percentile interval resamples both pairs and images, and leaves out resamples that consist of a single pair. With few
    pairs it is wide, as it should be.

    Raises:
        ValueError: fewer than four pairs, or shapes that do not match.
    """
    hits = np.asarray(outcomes, dtype=np.float64)
    keep = np.ones(hits.shape, dtype=bool) if among is None else np.asarray(among, dtype=bool)
    given = np.asarray(predictor, dtype=np.float64)
    given = given[:, None] + np.zeros(hits.shape) if given.ndim == 1 and len(given) == len(hits) else given
    if hits.ndim != 2 or keep.shape != hits.shape or given.shape != hits.shape:
        raise ValueError(
            f"Expected a prediction, outcomes and denominators of the same pairs and images, but they had shapes "
            f"{np.shape(predictor)}, {hits.shape} and {keep.shape}."
        )
    pairs, images = hits.shape
    if pairs < 4:
        raise ValueError(f"Expected at least 4 pairs of source and target to rank, but there were {pairs}.")
    known = ~np.isnan(given)
    rng, found = np.random.default_rng(seed), []
    value = float(_rho(_mean(given, known, np.ones((1, images))), _mean(hits, keep, np.ones((1, images))))[0])
    block = max(1, 4_000_000 // images)
    for start in range(0, count, block):
        b = min(block, count - start)
        weight = drawn(rng, images, b)
        pick = rng.integers(0, pairs, (b, pairs))
        means = (np.take_along_axis(_mean(v, k, weight), pick, 1) for v, k in ((given, known), (hits, keep)))
        found.append(_rho(*means))
    low, high = np.nanquantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), pairs, level)


def _mean(values: np.ndarray, keep: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """[b, K] weighted means; values, keep [K, N], weight [b, N]."""
    total = weight @ keep.T
    return (weight @ (np.where(keep, values, 0.0) * keep).T) / np.where(total > 0, total, np.nan)


def _rho(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's correlation of mean ranks, [b, K], [b, K] -> [b]; NaN where one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(np.round(v, 12), axis=1) for v in (a, b)]
    p, q = (r - r.mean(1, keepdims=True) for r in ranks)
    scale = np.sqrt((p * p).sum(1) * (q * q).sum(1))
    out = np.where(scale > 0, (p * q).sum(1) / np.where(scale > 0, scale, 1), np.nan)
    return np.where(np.isnan(a).any(1) | np.isnan(b).any(1), np.nan, out)
