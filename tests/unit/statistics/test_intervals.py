"""Intervals over images, against answers worked out by hand and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox import statistics as stats

KINDS = np.ceil(400 ** np.linspace(0, 1, 100) ** 3)  # queries: half of them at most 3, a tail up to 400


def covered(low: np.ndarray, high: np.ndarray, truth: float) -> float:
    return float(((low <= truth) & (truth <= high)).mean())


def test_a_mean_of_skewed_queries_is_covered_as_often_as_it_says() -> None:
    """600 samples of 100 images: near 95 %, with a standard error of 0.9."""
    samples = np.random.default_rng(2).choice(KINDS, (600, 100))
    low, high = stats.mean_interval(samples, bounds=(1, 1000), count=999)
    assert 0.93 < covered(low, high, KINDS.mean()) < 0.98
    half = 1.96 * samples.std(1) / 10
    middle = samples.mean(1)
    assert covered(middle - half, middle + half, KINDS.mean()) < 0.94, "which the normal interval is not"


def test_a_ratio_is_covered_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    cheap = rng.choice(KINDS, (600, 100))
    dear = cheap * rng.choice([1.0, 2.0, 6.0], cheap.shape)
    assert 0.93 < covered(*stats.ratio_interval(cheap, dear, bounds=(1, 1000), count=999), 1 / 3) < 0.98


@pytest.mark.parametrize(("agree", "share"), [(1.0, 0.8), (0.0, 0.8), (0.6, 0.95)])
def test_a_rate_of_several_seeds_is_covered_as_often_as_it_says(agree: float, share: float) -> None:
    """agree: the share of images whose three seeds have one outcome in common."""
    rng = np.random.default_rng(4)
    hits = rng.random((2000, 3, 100)) < share
    hits = np.where(rng.random((2000, 1, 100)) < agree, hits[:, :1], hits)
    assert 0.93 < covered(*stats.rate_interval(hits.mean(1), seeds=3), share) < 0.97
    pooled = stats.rate_interval(hits.reshape(2000, -1))
    assert agree == 0 or covered(*pooled, share) < 0.90, "which counting every seed is not"


def test_a_repeated_deterministic_attack_tells_no_more() -> None:
    hits = np.arange(100) < 83
    once, thrice = stats.rate_estimate(hits), stats.rate_estimate([hits] * 3)
    rate = stats.Rate.of(hits)
    assert once == thrice and (once.low, once.high, once.n) == (pytest.approx(rate.low), pytest.approx(rate.high), 100)
    every = stats.rate_estimate(np.ones((3, 100)))
    assert (every.value, every.high, every.low) == (1, 1, pytest.approx(stats.Rate(100, 100).low))
    assert stats.mean_estimate(KINDS) == stats.mean_estimate([KINDS] * 3) and stats.mean_estimate(KINDS).n == 100


def test_seeds_that_differ_tell_more() -> None:
    """A third of the seeds of each image: as certain as 300 outcomes, and no more."""
    each = np.arange(300).reshape(3, 100) < 100
    found, rate = stats.rate_estimate(np.stack([np.roll(np.arange(300) % 3 == 0, k)[:100] for k in range(3)])), stats.Rate(100, 300)
    assert (found.low, found.high) == (pytest.approx(rate.low), pytest.approx(rate.high))
    assert stats.rate_estimate(each).high > rate.high


def test_equal_values_bound_nothing_or_as_the_rule_of_three() -> None:
    unknown = stats.mean_estimate([2.0] * 100)
    assert (unknown.value, unknown.low, unknown.high) == (2, -np.inf, np.inf)
    known, unseen = stats.mean_estimate([2.0] * 100, bounds=(1, 1000)), 1 - 0.025**0.01
    assert (known.low, known.high) == (pytest.approx(2 - unseen, abs=0.01), pytest.approx(2 + 998 * unseen, abs=2))
    almost = stats.mean_estimate([2.0] * 99 + [3.0], bounds=(1, 1000))
    assert almost.high == pytest.approx(known.high, abs=1), "nor does one other value"
    assert stats.mean_estimate([5.0], bounds=(1, 9)).high < 9 and np.isnan(stats.mean_estimate([]).value)


def test_an_image_counts_by_the_seeds_that_are_known() -> None:
    values, known = [[1.0, 2, 3], [3.0, 9, 9]], [[True, True, False], [True, False, False]]
    found = stats.mean_estimate(values, among=known)
    assert (found.value, found.n) == (2, 2) and stats.rate_estimate([[1, 0, 0], [0, 1, 1]], known).value == 0.25
    with pytest.raises(ValueError, match="whether it counts"):
        stats.mean_estimate(values, among=[True])
    assert stats.rate_estimate([]).n == 0 and np.isnan(stats.ratio([], []).value)


def test_a_ratio_is_paired() -> None:
    rng = np.random.default_rng(0)
    hard = rng.choice(KINDS, 100)
    found = stats.ratio(hard * rng.uniform(0.4, 0.6, 100), hard)
    assert 0.4 < found.low < found.value == pytest.approx(0.5, abs=0.03) and found.high < 0.6
    back = stats.ratio(hard, hard * rng.uniform(0.4, 0.6, 100))
    assert back.low > 1.6 and back.high < 2.4
    assert stats.ratio([hard, hard], [hard]).value == 1
    alike = stats.ratio([2.0] * 100, [4.0] * 100, bounds=(1, 1000))
    assert alike.value == 0.5 and alike.low < 0.1 and alike.high > 4
    with pytest.raises(ValueError, match="same images"):
        stats.ratio([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="positive"):
        stats.ratio([0, 0], [1, 2])
