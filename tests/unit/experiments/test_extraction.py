"""The figures of the page on copies: a generator's steps agree with the bills, and differences say on which side of zero they lie."""

from __future__ import annotations

import re
from typing import Any

import pytest

from experiments import published_extraction as figures


def row(way: str, bill: str, agreement: str = "", seed: int = 0) -> dict[str, Any]:
    return {"way": way, "budget": 1000, "seed": seed, "bill": bill, "notes": [], "agreement": agreement}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(figures, "results", lambda name: {"rows": found})
    return found


def test_steps_of_a_generator_are_those_that_the_bill_tells_of(rows: list[dict[str, Any]]) -> None:
    rows.append(row("DFME", "1,000 of 1,000 queries: 872 to learn from + 128 to estimate gradients"))
    assert figures.generator_steps("DFME", "1000") == 2
    rows.append(row("MAZE", "1,000 of 1,000 queries: 360 to learn from + 640 to estimate gradients"))
    assert figures.generator_steps("MAZE", "1000") == 1
    assert figures.generator_steps("MAZE", "704") == 0  # a step leaves something to learn from
    rows[0]["bill"] = "1,000 of 1,000 queries: 936 to learn from + 64 to estimate gradients"
    with pytest.raises(ValueError, match=re.escape("Expected 128 queries to estimate")):
        figures.generator_steps("DFME", "1000")


@pytest.mark.parametrize(("agreed", "text"), [(50, "50 [39, 59] (n = 100)"), (4, "4.0 [-0.3, 8.2] (n = 100)")])
def test_a_difference_near_zero_says_on_which_side_its_ends_lie(rows: list[dict[str, Any]], agreed: int, text: str) -> None:
    rows += [row("data", "", "1" * agreed + "0" * (100 - agreed)), row("noise", "", "0" * 100)]
    assert str(figures.copy_gain("digits", "data", "noise", "1000")) == text


def test_a_measure_is_right_where_it_names_the_pool_that_teaches_more(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"case": c, "way": w, "agreement": "1" * k + "0" * (10 - k)} for c, w, k in (
        ("a", "other", 8), ("a", "mixed", 2), ("b", "other", 1), ("b", "mixed", 9), ("c", "other", 5), ("c", "mixed", 6),
    )]  # fmt: skip
    criteria = [{"case": "a", "groups": [2, 1]}, {"case": "b", "groups": [2, 1]}, {"case": "c", "groups": [1, 2]}]
    monkeypatch.setattr(figures, "results", lambda name: {"rows": rows, "criteria": criteria})
    assert str(figures.pilot_right("groups", "20")) == "1 of 2" and str(figures.pilot_right("groups", "5")) == "2 of 3"


def test_a_trained_generator_has_a_line_and_a_pool_has_none(rows: list[dict[str, Any]]) -> None:
    some = {"agreement": "1" * 30 + "0" * 70, "agreed_along": "1" * 20 + "0" * 80, "transfer": "1" * 10 + "0" * 90}
    rows.append(row("DFME", "1,000 of 1,000 queries: 872 to learn from + 128 to estimate gradients") | some)
    rows.append(row("noise", "") | some)
    assert "| DFME | 100 | 2 | 20 % [13, 29] | 30 % [22, 40] | 10 % [6, 17] |" in str(figures.copy_trained("digits", "1000"))
    assert "noise" not in str(figures.copy_trained("digits", "1000"))
