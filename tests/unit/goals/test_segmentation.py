"""Segmentation: which pixels count, what of them is short, and what is wrong said of its sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.goals import GoalError, Segmentation
from blackbox.goals.base import Setting

TRUE = np.array([[0, 1], [1, 2]])
SCORES = np.array([[[3.0, 1.0], [0.0, 0.0]], [[1.0, 2.0], [4.0, 5.0]], [[0.0, 0.0], [1.0, 9.0]]])  # margins of TRUE: 2, 1, 3, 4


def judged(goal: Segmentation, answers: Any, samples: int = 1) -> tuple[Any, list[bool]]:
    reply = bb.Oracle(lambda x: answers, "answers")(torch.zeros(samples, 1))
    loss, reached = goal.bound(Setting(samples, reply.access, 10)).verdict(reply, np.arange(samples))
    return pytest.approx(loss.tolist(), abs=1e-6), reached.tolist()


def test_of_scores_the_pixels_nearest_to_the_goal_are_counted_by_what_they_lack() -> None:
    for share, loss in ((0.25, -1.0), (0.5, -1.5), (0.51, -2.0), (1.0, -2.5)):
        assert judged(Segmentation(TRUE, share), SCORES[None]) == ([loss], [False])
    wrong = SCORES.copy()
    wrong[0, 0, 1], wrong[2, 1, 0] = 2.5, 6.0  # wrong by 0.5 and by 2
    assert judged(Segmentation(TRUE, 0.5), {"out": wrong[None]}) == ([0.5], [True])
    assert judged(Segmentation(TRUE, 0.75), {"logits": torch.tensor(wrong)[None]}) == ([-2 / 3], [False])
    assert judged(Segmentation(TRUE, 0.75, "reach"), wrong[None]) == ([-0.5 / 3], [False])
    assert judged(Segmentation(TRUE, 0.5, "reach"), wrong[None]) == ([2.0], [True])


def test_of_labels_the_share_is() -> None:
    shown = np.array([[[0, 2], [1, 2]], [[1, 2], [1, 2]]])
    assert judged(Segmentation(TRUE, 0.5), shown, 2) == ([-0.25, 0.0], [False, True])
    assert judged(Segmentation([TRUE, shown[1]], 1.0, "reach"), shown.astype(float), 2) == ([-0.25, 0.0], [False, True])


def test_pixels_to_ignore_do_not_count() -> None:
    some = np.array([[0, 255], [255, 2]])
    assert judged(Segmentation(some, 0.5), SCORES[None]) == ([-2.0], [False])
    assert judged(Segmentation(some, 1.0), np.array([[[1, 0], [0, 2]]])) == ([-0.5], [False])


def test_a_report_shows_the_map() -> None:
    reply = bb.Oracle(lambda x: {"out": SCORES[None]}, "answers")(torch.zeros(1, 1))
    shown = Segmentation(TRUE).bound(Setting(1, reply.access, 3, ["road", "car", "sky"])).excerpt(reply, 0, 0)
    assert np.array_equal(shown["map"], TRUE) and shown["says"] == "car 50 %, road 25 %, sky 25 %"


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (lambda: Segmentation(TRUE, 0), "share above 0"),
        (lambda: Segmentation(TRUE, 50), "share above 0 and at most 1"),
        (lambda: Segmentation(TRUE, mode="up"), "mode to be one of leave, reach"),
        (lambda: Segmentation(TRUE + 0.5), "whole numbers of one size"),
        (lambda: Segmentation([TRUE, TRUE[:1]]), "of one size"),
        (lambda: Segmentation([TRUE] * 3), "for all 2 samples or one for each, but there were 3"),
        (lambda: Segmentation([TRUE, np.full((2, 2), 255)]), "all in the reference of sample 1 have the label 255"),
        (lambda: Segmentation([TRUE, TRUE - 1]), "the reference of sample 1 has -1"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_query(goal: Any, said: str) -> None:
    oracle = bb.Oracle(lambda x: [TRUE] * len(x), "answers")
    with pytest.raises(ValueError, match=said):
        bb.attack(oracle, torch.zeros(2, 4), None, "square", bb.Linf(0.1), 5, goal=goal())
    assert oracle.rows == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (np.zeros((2, 3)), "maps of 2 x 2 pixels, as the references have, but the answer has 2 x 3"),
        (SCORES * np.nan, "NaN"),
        (TRUE + 0.5, "held fractions"),
        (SCORES[:1], "two or more classes"),
        ({"mask": TRUE}, "two or more classes"),
        (SCORES[:2], "from 0 to 1, which the target scores, but the reference has 2"),
    ],
)
def test_answers_that_are_none_name_the_sample(answer: Any, said: str) -> None:
    with pytest.raises(GoalError, match=f"{said}.*sample 7"):
        bb.attack(
            bb.Oracle(lambda x: [answer for _ in x], "answers"), torch.zeros(1, 4), None, "square", bb.Linf(0.1), 5,
            goal=Segmentation(TRUE), ids=[7],
        )  # fmt: skip
