"""How often do intervals hold the truth in a league whose entrants may stop when it looks good?

A league is made: each of its images has an outcome, drawn from a population whose truth is known, and the entrant plays image after image.
Ways to stop: "all images", as many as the scenario has; "beats the floor", as soon as the interval rules out the rate (or the mean
queries, or no difference) of a floor that is exactly as good as the entrant, so that each such claim is false; "looks good", as soon as
the mean so far is better than the truth by a tenth of the population's deviation. What is told is the interval at that moment.
Intervals: the one for a number of images that was fixed before (Wilson's for rates, bootstrap-t for means, which is computed every fifty
images), and the confidence sequence. A row: interval, population (what), the most images (n), leagues (samples), in how many the
truth was inside when the entrant stopped (covered), and the median width and number of images then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.coverage import populations, row
from blackbox import statistics

IMAGES, FIRST, EVERY, LEAGUES, RESAMPLES, GRID, BUDGET = 300, 20, 50, 10_000, 299, 300, 1000
RATES = (0.1, 0.5, 0.9)
QUERIES = ("a search", "a search that fails on 30 %")
STOPS = ("all images", "beats the floor", "looks good")
Ends = tuple[np.ndarray, np.ndarray]


def stopping(s: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows, as `benchmarks.coverage.coverage` has them."""
    leagues, images = (40, 60) if s.quick else (s.leagues, IMAGES)
    for what, truth, bounds, values, better in draws(leagues, images):
        rate = bounds == (0, 1)
        looks = np.arange(FIRST if rate else EVERY, images + 1, 1 if rate else EVERY)
        mean = values.cumsum(1)[:, looks - 1] / looks
        good = better * (mean - truth) >= values.std() / 10
        fixed = "rate, fixed number" if rate else "mean, fixed number"
        for kind, (low, high) in ((fixed, at_looks(values, looks, bounds)), ("confidence sequence", sequences(values, looks, bounds))):
            beats = low > truth if better > 0 else high < truth
            for stop, there in zip(STOPS, (np.zeros_like(beats), beats, good), strict=True):
                yield kind, stopped(f"{what}; {stop}", truth, images, looks, low, high, there)


def draws(leagues: int, images: int) -> Iterator[tuple[str, float, tuple[float, float], np.ndarray, int]]:
    """Population, its truth, bounds, values [leagues, images], and whether more is better (1) or less (-1)."""
    for p in RATES:
        yield f"rate of {p:g}", p, (0, 1), (np.random.default_rng(1).random((leagues, images)) < p).astype(np.float64), 1
    found = populations()
    for name in QUERIES:
        queries = found[f"made: {name}"][0][0]
        rng = np.random.default_rng(2)
        yield f"queries of {name}", float(queries.mean()), (1, BUDGET), rng.choice(queries, (leagues, images)), -1
        saved = rng.choice(queries, (leagues, images)) - rng.choice(queries, (leagues, images))
        yield f"queries saved by {name}, against its like", 0.0, (1 - BUDGET, BUDGET - 1), saved, 1


def at_looks(values: np.ndarray, looks: np.ndarray, bounds: tuple[float, float]) -> Ends:
    """The intervals for a number of images that was fixed before, [leagues, looks]."""
    if bounds == (0, 1):
        each = [statistics.rate_interval(values[:, :n]) for n in looks]
    else:
        parts = np.array_split(values, max(len(values) // 500, 1))
        each = []
        for n in looks:
            made = [statistics.mean_interval(part[:, :n], bounds=bounds, count=RESAMPLES) for part in parts]
            each.append((np.concatenate([low for low, _ in made]), np.concatenate([high for _, high in made])))
    return np.stack([low for low, _ in each], 1), np.stack([high for _, high in each], 1)


def sequences(values: np.ndarray, looks: np.ndarray, bounds: tuple[float, float]) -> Ends:
    """The confidence sequences at these numbers of images, [leagues, looks]."""
    each = [statistics.confidence_sequence(one, bounds, grid=GRID) for one in values]
    return np.stack([found.low[looks - 1] for found in each]), np.stack([found.high[looks - 1] for found in each])


def stopped(
    what: str, truth: float, images: int, looks: np.ndarray, low: np.ndarray, high: np.ndarray, stop: np.ndarray
) -> dict[str, Any]:  # fmt: skip
    """What is told when the entrants stop: at the first look where ``stop`` [leagues, looks] holds, else after all images."""
    at = np.where(stop.any(1), stop.argmax(1), len(looks) - 1)
    low, high = (ends[np.arange(len(at)), at] for ends in (low, high))
    return {**row(what, truth, images, low, high), "images": float(np.median(looks[at]))}
