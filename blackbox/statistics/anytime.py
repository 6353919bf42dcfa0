"""Confidence sequences: intervals that hold at every number of images at once, so that one may look and stop when it looks good.

Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting" (JRSS B, arXiv:2010.09686). For each candidate mean m
a gambler bets against it, on the values in the order in which they come; if m is the truth her capital is a martingale, which reaches
1/alpha with probability alpha at most, however long she plays (Ville 1939). The candidates against which she has never won so much are
the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.statistics.intervals import Bounds, by_image
from blackbox.statistics.rates import Estimate

CAP = 0.5  # the most of her capital that a bet may risk, the paper's c
GRID = 2_000  # candidate means; ends are rounded outward to the next, so that the interval never gets too short
_ROWS = 100  # candidates computed at once, for memory


@dataclass(frozen=True)
class ConfidenceSequence:
    """An interval after each number of images, all of which hold together with probability ``level``.

    value, low, high: [N], after 1, 2, …, N images; each interval lies inside those before it.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float = 0.95

    def at(self, images: int) -> Estimate:
        """The mean and the interval after so many images: whenever one stops."""
        if not 0 <= images <= len(self.value):
            raise ValueError(f"Expected a number of images from 0 to {len(self.value)}, but it was {images}.")
        if not images:
            return Estimate(float("nan"), float("nan"), float("nan"), 0, self.level)
        value, low, high = (float(column[images - 1]) for column in (self.value, self.low, self.high))
        return Estimate(value, low, high, images, self.level)

    @property
    def last(self) -> Estimate:
        """The same after all images."""
        return self.at(len(self.value))


def confidence_sequence(
    values: Any, bounds: Bounds = (0.0, 1.0), level: float = 0.95, *, among: Any = None, grid: int = GRID
) -> ConfidenceSequence:  # fmt: skip
    """A confidence sequence for a mean over images, by betting (theorem 3 of the paper, with its predictable plug-in bets).

    It holds for rates (outcomes, the default bounds), for queries with failures at the cap (``bounds=(1, cap)``), and for paired
    differences of these (``bounds=(1 - cap, cap - 1)``). It is wider than an interval for a number of images that was fixed beforehand,
    and right where that is not: for whoever plays image after image and stops when it looks good. What no interval knows of: which of
    several runs was shown.

    Args:
        values: [N] in the order in which the images were played, or [R, N] for R seeds of each.
        bounds: the least and the largest that a value can be.
        among: which values count, of the same shape, by default all. An image counts if one of its seeds does.

    Raises:
        ValueError: values beyond the bounds, or shapes that do not match.
    """
    x, (least, most) = by_image(values, among), bounds
    if not most > least:
        raise ValueError(f"Expected bounds with the least value first, but they were {bounds}.")
    if len(x) and not (x.min() >= least and x.max() <= most):
        raise ValueError(f"Expected values from {least:g} to {most:g}, the bounds, but they range from {x.min():g} to {x.max():g}.")
    unit = (x - least) / (most - least)
    bets = _bets(unit, 1 - level)
    low, high = _ruled_out(unit, bets, level, grid), 1 - _ruled_out(1 - unit, bets, level, grid)
    span, mean = most - least, x.cumsum() / np.arange(1, len(x) + 1)
    return ConfidenceSequence(mean, least + span * low, least + span * high, level)


def _bets(unit: np.ndarray, alpha: float) -> np.ndarray:
    """The share of her capital that she bets on each of the values [N] in [0, 1], from those before it alone (the paper's equation 26)."""
    count = np.arange(1, len(unit) + 1)
    mean = (0.5 + unit.cumsum()) / (count + 1)
    spread = (0.25 + ((unit - mean) ** 2).cumsum()) / (count + 1)
    before = np.concatenate([[0.25], spread[:-1]])[: len(unit)]
    return np.sqrt(2 * math.log(2 / alpha) / (before * count * np.log(count + 1)))


def _ruled_out(unit: np.ndarray, bets: np.ndarray, level: float, grid: int) -> np.ndarray:
    """The largest candidate mean that bets on larger values have ruled out so far, [N]; 0 where none has been."""
    enough, out = math.log(2 / (1 - level)), np.zeros(len(unit))  # half of the capital bets on smaller values
    for start in range(0, grid + 1 if len(unit) else 0, _ROWS):
        m = np.arange(start, min(start + _ROWS, grid + 1))[:, None] / grid
        with np.errstate(divide="ignore"):
            won = np.log1p(np.minimum(bets, CAP / m) * (unit - m)).cumsum(1) >= enough
        there = won.any(1)
        np.maximum.at(out, won.argmax(1)[there], m[there, 0])
        if not there.any():  # what is larger is not ruled out either
            break
    return np.maximum.accumulate(out)
