"""Ranking: an item's place in each form of list, and what is wrong said of its sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.goals import GoalError, Ranking
from blackbox.goals.base import Setting


def judged(goal: Ranking, *answers: Any) -> tuple[Any, list[bool]]:
    m = len(answers)
    reply = bb.Oracle(lambda x: list(answers), "answers")(torch.zeros(m, 1))
    loss, reached = goal.bound(Setting(m, reply.access, 10)).verdict(reply, np.arange(m))
    return pytest.approx(loss.tolist(), abs=1e-6), reached.tolist()


def test_of_scores_the_kth_other_decides() -> None:
    scores = [0.9, 0.5, 0.7, 0.1]
    for answer in (np.array(scores), scores, dict(enumerate(scores))):
        assert judged(Ranking(displace=0, k=2), answer) == ([-0.4], [False])
        assert judged(Ranking(displace=1, k=2), answer) == ([0.2], [True])
        assert judged(Ranking(push=3, k=2), answer) == ([-0.6], [False])
        assert judged(Ranking(push=1, k=3), answer) == ([0.4], [True])
    assert judged(Ranking(displace=[0, 2], k=1), [0.5, 0.5, 0.1], [0.5, 0.6, 0.1]) == ([0.0, 0.5], [False, True])  # a tie is none


def test_of_the_best_with_their_scores_what_is_not_listed_has_the_lowest() -> None:
    best = [("a", 0.9), ("b", 0.7), ("c", 0.6)]
    for answer in (best, [{"id": name, "score": score} for name, score in best]):
        assert judged(Ranking(displace="z", k=2), answer) == ([0.1], [True])
        assert judged(Ranking(push="z", k=2), answer) == ([-0.1], [False])
        assert judged(Ranking(displace="a", k=3), answer) == ([-0.3], [False])  # it has to fall off the list
        assert judged(Ranking(push="b", k=3), answer) == ([0.1], [True])
    assert judged(Ranking(displace="a", k=3), []) == ([0.5], [True])


def test_of_ids_alone_the_place_is() -> None:
    assert judged(Ranking(displace=7, k=2), [7, 3, 1, 2], [3, 7, 1, 2], [3, 1, 7, 2]) == (
        [-1.5 / 4, -0.5 / 4, 0.5 / 4], [False, False, True]
    )  # fmt: skip
    assert judged(Ranking(push="x", k=2), ["a", "x"], ["a", "b"], []) == ([0.25, -0.25, -0.5], [True, False, False])


def test_it_says_itself_in_words() -> None:
    assert str(Ranking(displace="x")) == "item x is no longer among the first 10"
    assert str(Ranking(push=[3, 4], k=1)) == "the item given for each image is among the first 1"


def test_a_report_shows_the_place() -> None:
    goal = Ranking(push="b").bound(Setting(1, bb.Access.ANSWERS, 10))
    for answer, said in (([("a", 0.1), ("b", 0.9)], "item b in place 1; first b, a"), (["a", "c"], "item b not listed; first a, c")):
        reply = bb.Oracle(lambda x, answer=answer: [answer], "answers")(torch.zeros(1, 1))
        assert goal.excerpt(reply, 0, 0)["says"] == said


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (lambda: Ranking(), "either an item to displace or one to push"),
        (lambda: Ranking(push=1, displace=1), "either an item to displace or one to push"),
        (lambda: Ranking(push=1, k=0), "k to be a whole number of at least 1"),
        (lambda: Ranking(push=[1, 2, 3]), "the item to push for all 2 samples or one for each, but there were 3"),
        (lambda: Ranking(push=[1, 2.5]), "that of sample 1 was 2.5"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_query(goal: Any, said: str) -> None:
    oracle = bb.Oracle(lambda x: x, "answers")
    with pytest.raises(ValueError, match=said):
        bb.attack(oracle, torch.zeros(2, 4), None, "square", bb.Linf(0.1), 5, goal=goal())
    assert oracle.rows == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([0.1, np.nan, 0.3], "one was NaN"),
        ([3, 3, 1], "one was there twice"),
        ("abc", "a list of ids"),
        (3, "a list of ids"),
        ([0.1, 0.2], "scores of more than k=2 items .*, but of 2 it is always among the first"),
        ([0.1], "of 1 item 1 is not one of these"),
    ],
)
def test_answers_that_are_none_name_the_sample(answer: Any, said: str) -> None:
    with pytest.raises(GoalError, match=f"{said}.*sample 7"):
        bb.attack(
            bb.Oracle(lambda x: [answer for _ in x], "answers"), torch.zeros(1, 4), None, "square", bb.Linf(0.1), 5,
            goal=Ranking(push=1, k=2), ids=[7],
        )  # fmt: skip
