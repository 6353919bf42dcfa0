"""Ranks of attacks, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blackbox.statistics.bootstrap import RESAMPLES, means, resamples


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks of K attacks, best first.

    names: [K]. value: rates. rank: 1 is best, ties share the mean. low, high: percentile interval of the rank over resamples
    of runs and images. first: the share of resamples in which it was best (ties shared)."""

    names: tuple[str, ...]
    value: np.ndarray
    rank: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    n: int


def ranks(
    names: Sequence[str], hits: np.ndarray, among: np.ndarray, clusters: np.ndarray, *, level: float = 0.95, seed: int = 0,
    count: int = RESAMPLES,
) -> Ranks:  # fmt: skip
    """Rank K attacks by their rate on the same runs and images.

    Args:
        hits: [K, R, N]. among: [R, N] the common denominator. clusters: [R], as for `two_level`.

    All attacks use the same resamples, so an image that is hard for all of them changes no rank.
    """
    from scipy.stats import rankdata

    whole = (np.ones((1, hits.shape[1])), np.ones((1, hits.shape[2])))
    value = np.array([means(h, among, *whole)[0] for h in hits])
    drawn = np.concatenate(
        [np.stack([means(h, among, r, i) for h in hits], 1) for r, i in resamples(clusters, hits.shape[2], seed, count)]
    )
    drawn = drawn[~np.isnan(drawn).any(1)]
    # differences within rounding are ties
    each = rankdata(-np.round(drawn, 12), axis=1)
    best = each == each.min(1, keepdims=True)
    first = (best / best.sum(1, keepdims=True)).mean(0)
    low, high = np.quantile(each, [(1 - level) / 2, (1 + level) / 2], axis=0)
    rank = rankdata(-np.round(value, 12))
    order = np.argsort(rank, kind="stable")
    return Ranks(
        tuple(names[i] for i in order), value[order], rank[order], low[order], high[order], first[order], int(among.any(0).sum())
    )  # fmt: skip
