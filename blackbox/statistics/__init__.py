"""Statistics: rates with intervals, curves, bootstraps, ranks and paired tests, all derived from per-sample outcomes."""

from blackbox.statistics.anytime import ConfidenceSequence, confidence_sequence
from blackbox.statistics.correlation import rank_correlation
from blackbox.statistics.crossed import TwoLevel, two_level
from blackbox.statistics.curves import (
    BUDGETS,
    Curve,
    censored_curve,
    known_curve,
    median,
    median_distance,
    restricted_mean,
    success_at,
)
from blackbox.statistics.intervals import (
    FEW,
    few,
    mean_estimate,
    mean_interval,
    rate_estimate,
    rate_interval,
    ratio,
    ratio_interval,
)
from blackbox.statistics.multiple import holm
from blackbox.statistics.nearness import Near, Nearness, nearness
from blackbox.statistics.outcomes import Outcomes
from blackbox.statistics.paired import (
    Common,
    Discordance,
    Paired,
    VirtualBest,
    common_success,
    corrected,
    logrank,
    mcnemar,
    paired,
    sign_flip,
    virtual_best,
)
from blackbox.statistics.ranks import Ranks, ranks
from blackbox.statistics.rates import Detection, Estimate, Rate

__all__ = [
    "BUDGETS",
    "FEW",
    "Near",
    "Nearness",
    "Common",
    "ConfidenceSequence",
    "Curve",
    "Detection",
    "Discordance",
    "Estimate",
    "Outcomes",
    "Paired",
    "Ranks",
    "Rate",
    "TwoLevel",
    "VirtualBest",
    "censored_curve",
    "known_curve",
    "common_success",
    "confidence_sequence",
    "corrected",
    "few",
    "holm",
    "logrank",
    "mcnemar",
    "mean_estimate",
    "mean_interval",
    "median",
    "median_distance",
    "nearness",
    "paired",
    "rank_correlation",
    "ranks",
    "rate_estimate",
    "rate_interval",
    "ratio",
    "ratio_interval",
    "restricted_mean",
    "sign_flip",
    "success_at",
    "two_level",
    "virtual_best",
]
