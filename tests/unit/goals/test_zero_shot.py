"""ZeroShot: which text comes nearest to an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.goals import GoalError, ZeroShot
from blackbox.goals.base import Setting

TEXTS = {"a cat": [2.0, 0.0], "a dog": [0.0, 1.0], "a car": [-1.0, -1.0]}


def judged(goal: ZeroShot, answers: Any) -> tuple[Any, list[bool]]:
    reply = bb.Oracle(lambda x: answers, "answers")(torch.zeros(2, 1))
    loss, reached = goal.bound(Setting(2, reply.access, 10)).verdict(reply, np.arange(2))
    return pytest.approx(loss.tolist(), abs=1e-6), reached.tolist()


def test_the_loss_is_the_difference_of_two_cosines() -> None:
    found = torch.tensor([[3.0, 4.0], [0.5, 0.0]])
    for answers in (found, {"image_embeds": found, "other": found}, found.tolist()):
        assert judged(ZeroShot(TEXTS, leave="a cat"), answers) == ([0.2, -1.0], [True, False])
    assert judged(ZeroShot(TEXTS, leave=["a dog", "a cat"]), found) == ([-0.2, -1.0], [False, False])
    assert judged(ZeroShot(torch.tensor(list(TEXTS.values())), reach=torch.tensor([1, 0])), found) == ([0.2, 1.0], [True, True])


def test_it_says_itself_in_words() -> None:
    assert str(ZeroShot(TEXTS, leave="a cat")) == "another text than 'a cat' is nearest, of 3"
    assert str(ZeroShot(TEXTS, reach=1)) == "the text 'a dog' is nearest, of 3"
    assert str(ZeroShot(TEXTS, leave=[0, 1])) == "another text than the right one is nearest, of 3"


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (lambda: ZeroShot(TEXTS), "either the text to leave or the one to reach"),
        (lambda: ZeroShot(TEXTS, leave=0, reach=1), "either the text to leave or the one to reach"),
        (lambda: ZeroShot([[1.0, 0.0]], leave=0), "two texts or more, but there were 1"),
        (lambda: ZeroShot([[1.0, 0.0], [0.0, 0.0]], leave=0), "that of text 1 is zero"),
        (lambda: ZeroShot(TEXTS, leave=[0, 3]), "from 0 to 2, but for sample 1 it was 3"),
        (lambda: ZeroShot(TEXTS, leave=[0, "a bus"]), "one of a cat, a dog, a car, but for sample 1 it was 'a bus'"),
        (lambda: ZeroShot(TEXTS, leave=[0, 1, 2]), "for all 2 samples or one for each, but there were 3"),
        (lambda: ZeroShot(TEXTS, leave=[0, 0.5]), "that of sample 1 was 0.5"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_query(goal: Any, said: str) -> None:
    oracle = bb.Oracle(lambda x: x, "answers")
    with pytest.raises(ValueError, match=said):
        bb.attack(oracle, torch.ones(2, 2), None, "square", bb.Linf(0.1), 5, goal=goal())
    assert oracle.rows == 0


@pytest.mark.parametrize(
    ("answers", "said"),
    [(torch.zeros(2, 3), "2 numbers, as the texts have, but the target returns 3"), ([{"x": 1}] * 2, "a dict with image_embeds"),
     ([[1.0, 0.0], [np.nan, 0.0]], "NaN")],
)  # fmt: skip
def test_answers_that_are_none(answers: Any, said: str) -> None:
    with pytest.raises(GoalError, match=said):
        judged(ZeroShot(TEXTS, leave=0), answers)
