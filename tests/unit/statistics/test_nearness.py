"""Nearness to the limit, with shares that are known in advance."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from blackbox.protocol import Status
from blackbox.statistics import nearness

LIMIT = np.array([1, 1, 1, 1, 1, 0, 0], bool)
FIRST = np.array([3, 10, 11, 0, 0, 0, 7])  # the last is fooled by queries alone


def test_shares_by_budget_and_what_lies_beyond() -> None:
    found = nearness(LIMIT, FIRST, [10, 5, 100])
    assert [(r.budget, r.share.value, r.share.n, r.beyond) for r in found.rows] == [(5, 0.2, 5, 0), (10, 0.4, 5, 1), (100, 0.6, 5, 1)]
    assert "the gradients mislead" not in str(found.rows[0]) and "1 image that" in str(found.rows[1])
    assert 0 < found.rows[0].share.low < 0.2 < found.rows[0].share.high < 1 and "20 % [" in found.table()


def test_a_share_is_never_above_all_of_it() -> None:
    row = nearness(LIMIT, np.full(7, 1), [1]).rows[0]
    assert (row.share.value, row.share.n, row.beyond) == (1.0, 5, 2) and "2 images that the white-box attacks do not" in str(row)
    assert str(nearness(np.zeros(7, bool), FIRST, [9]).rows[0]).startswith("– (n = 0); and 2 images")


def test_what_is_unknown_is_left_out_and_said() -> None:
    known, sure = np.array([1, 1, 1, 0, 1, 1, 1], bool), np.array([0, 1, 1, 1, 1, 1, 0], bool)
    found = nearness(LIMIT, FIRST, [10], known=known, limit_known=sure)
    row = found.rows[0]  # of images 1, 2, 4 the first alone; 0 and 6 have no known limit
    assert (row.share.n, row.unknown, row.beyond, found.left_out) == (3, 1, 0, 2) and row.share.value == pytest.approx(1 / 3)
    assert "1 unknown, left out" in str(row) and "2 images left out" in found.table()


def result(first: list[int], status: list[Status], queries: list[int]) -> SimpleNamespace:
    hit = np.array(first) > 0
    ended = np.array([s is not Status.ERROR for s in status])
    return SimpleNamespace(
        first_success_query=np.array(first), success=hit, success_float=hit, known=ended | hit, clean_known=np.array(queries) > 0,
        queries=np.array(queries), attacked=np.array([s is not Status.CLEAN_WRONG for s in status]) & (np.array(queries) > 0),
        status=status, config={"budget": 50},
    )  # fmt: skip


def test_results_say_themselves_what_is_known_and_seeds_of_an_image_are_averaged() -> None:
    ok, cut, out = Status.SUCCESS, Status.ERROR, Status.BUDGET
    one = result([4, 30, 0, 0], [ok, ok, cut, out], [4, 30, 20, 50])
    found = [(r.share.value, r.share.n, r.unknown) for r in nearness(np.ones(4, bool), one, [20, 50]).rows]
    assert found == [(0.25, 4, 0), (pytest.approx(2 / 3), 3, 1)]
    other = result([0, 2, 0, 0], [out, ok, out, out], [50, 2, 50, 50])
    row = nearness(np.ones(4, bool), [one, other], [50]).rows[0]
    assert row.share.value == pytest.approx((0.5 + 1 + 0 + 0) / 4) and row.share.n == 4 and row.unknown == 1


@pytest.mark.parametrize(
    ("limit", "first", "more", "told"),
    [
        (LIMIT[:6], FIRST, {}, "the same images"), (np.stack([LIMIT] * 3), FIRST, {}, "as many seeds"),
        (LIMIT, FIRST, {"known": LIMIT[:3]}, "if it is known"), (LIMIT, FIRST, {"budgets": [0]}, "budgets of at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(limit: np.ndarray, first: np.ndarray, more: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        nearness(limit, first, **{"budgets": [9], **more})
