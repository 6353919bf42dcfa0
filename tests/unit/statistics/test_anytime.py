"""Confidence sequences, against the paper's formulas written out, and against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from blackbox import statistics as stats


def capital(x: list[float], m: float, alpha: float) -> list[float]:
    """The paper's hedged capital against m after each value in [0, 1], one value at a time (theorem 3, equation 26)."""
    up = down = total = 0.0
    mean, spread, squares, out = 0.5, 0.25, 0.25, []
    gain, loss = 1.0, 1.0
    for t, value in enumerate(x, start=1):
        bet = math.sqrt(2 * math.log(2 / alpha) / (spread * t * math.log(t + 1)))
        up, down = min(bet, 0.5 / m), min(bet, 0.5 / (1 - m))
        gain, loss = gain * (1 + up * (value - m)), loss * (1 - down * (value - m))
        out.append(max(gain, loss) / 2)
        total += value
        mean = (0.5 + total) / (t + 1)
        squares += (value - mean) ** 2
        spread = squares / (t + 1)
    return out


@pytest.mark.parametrize("values", [[1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1], [0.2, 0.9, 0.4, 0.1, 0.1, 0.3, 0.2, 0.25] * 4])
def test_the_interval_is_the_candidates_against_which_no_one_has_won(values: list[float]) -> None:
    found = stats.confidence_sequence(values, level=0.9, grid=50)
    for m in np.arange(1, 50) / 50:
        won = np.maximum.accumulate(np.array(capital(values, float(m), 0.1)) >= 10)
        inside = (found.low < m - 1e-9) & (m + 1e-9 < found.high)  # the ends themselves are ruled out: rounded outward
        assert (inside == ~won).all(), m


def test_it_holds_at_every_number_of_images_at_once() -> None:
    """Of 200 sequences 10 may miss; an interval for a fixed number of images misses far more often somewhere on the way."""
    drawn = (np.random.default_rng(5).random((200, 150)) < 0.5).astype(float)
    each = [stats.confidence_sequence(one, grid=50) for one in drawn]
    missed = sum(bool((one.low > 0.5).any() or (one.high < 0.5).any()) for one in each)
    ends = [stats.rate_interval(drawn[:, :n]) for n in range(20, 151, 5)]
    wilson = np.any([(low > 0.5) | (high < 0.5) for low, high in ends], axis=0).sum()
    assert missed <= 10 and wilson >= 30


def test_bounds_scale_it_and_seeds_are_averaged() -> None:
    x = np.random.default_rng(0).random(60)
    plain, queries = stats.confidence_sequence(x), stats.confidence_sequence(1 + 99 * x, (1, 100))
    assert np.allclose(queries.low, 1 + 99 * plain.low) and np.allclose(queries.high, 1 + 99 * plain.high)
    mirrored = stats.confidence_sequence(1 - x)
    assert np.allclose(mirrored.low, 1 - plain.high) and np.allclose(mirrored.value, 1 - plain.value)
    twice = stats.confidence_sequence(np.stack([x, x]))
    assert (twice.low == plain.low).all() and plain.last.n == 60
    assert stats.confidence_sequence(x, among=np.arange(60) < 30).last == plain.at(30)


def test_it_narrows_and_never_widens() -> None:
    found = stats.confidence_sequence(np.arange(400) % 4 == 0)
    assert (np.diff(found.low) >= 0).all() and (np.diff(found.high) <= 0).all()
    assert 0 < found.last.low < 0.25 < found.last.high < 0.4 and str(found.last).startswith("0.25 [")


def test_nothing_and_too_much() -> None:
    none = stats.confidence_sequence([])
    assert none.last.n == 0 and str(none.last) == "– (n = 0)"
    with pytest.raises(ValueError, match="from 0 to 1, the bounds, but they range from 0 to 2"):
        stats.confidence_sequence([0, 2])
    with pytest.raises(ValueError, match="least value first"):
        stats.confidence_sequence([0], (1, 1))
    with pytest.raises(ValueError, match="images from 0 to 2"):
        stats.confidence_sequence([0, 1]).at(3)


def test_a_sign_flip_counts_the_flips_that_do_as_much() -> None:
    """Of three equal differences two of eight flips do; the level is kept, and seeds of an image are averaged first."""
    assert stats.sign_flip([1, 1, 1]) == pytest.approx(2 / 8, abs=0.02)
    assert stats.sign_flip([0, 0]) == stats.sign_flip([]) == 1.0
    rng = np.random.default_rng(1)
    assert stats.sign_flip(rng.normal(1, 1, 60)) <= 1e-3
    assert sum(stats.sign_flip(rng.normal(0, 1, 20), count=199) <= 0.1 for _ in range(200)) in range(8, 33)
    x = rng.normal(0.3, 1, 40)
    assert stats.sign_flip(np.stack([x, x])) == stats.sign_flip(x) != stats.sign_flip(x, np.arange(40) < 20)
