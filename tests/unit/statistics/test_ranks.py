"""Ranks with their bootstrap intervals."""

from __future__ import annotations

import numpy as np

from blackbox.statistics import ranks


def test_ranks_of_equals_are_shared_and_never_sure() -> None:
    rng = np.random.default_rng(0)
    same = rng.random((1, 50)) < 0.5
    found = ranks(["a", "b"], np.stack([same, same]), np.ones((1, 50), bool), np.array([0]))
    assert found.rank.tolist() == [1.5, 1.5] == found.low.tolist() and found.first.tolist() == [0.5, 0.5]
    hits = rng.random((2, 1, 200)) < np.array([0.5, 0.52])[:, None, None]
    close = ranks(["a", "b"], hits, np.ones((1, 200), bool), np.array([0]))
    assert close.low.tolist() == [1, 1] and close.high.tolist() == [2, 2]
