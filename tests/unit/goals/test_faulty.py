"""Goals of one's own that fail, and answers that they cannot read: a sentence, the sample, and the count of what was paid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.goals import Goal, GoalError, MultiLabel

X = torch.linspace(0.2, 0.8, 12).view(3, 4)


def numbers(x: Any) -> Any:
    return x.sum(1)


def scores_but_one(x: Any) -> Any:
    return [{"cat": 0.9}, {"cat": 0.8}, {"cat": None}]


class Faulty(Goal):
    needs = bb.Access.ANSWERS

    def __init__(self, judged: Any) -> None:
        self.judged = judged

    def judge(self, reply: Any, who: np.ndarray) -> Any:
        return self.judged(np.array(reply.answers))

    def describe(self) -> str:
        return "more"


def fails(values: np.ndarray) -> Any:
    raise RuntimeError("no such file.")


@pytest.mark.parametrize(
    ("target", "goal", "said"),
    [
        (numbers, Faulty(fails), r"success for each of 3 answers, but it raised RuntimeError: no such file\.$"),
        (numbers, Faulty(lambda v: [-1.0, -1.0, -1.0]), "for each of 3 answers, but it raised ValueError"),
        (numbers, Faulty(lambda v: (v - 9, v * np.nan)), "the success was NaN. That answer was to sample 0"),
        (numbers, bb.goal(lambda a: -1.0, lambda a: float("nan")), "nan is neither true nor false. That answer was to sample 0"),
        (numbers, bb.goal(lambda a: -1.0, lambda a: None), "None is neither true nor false"),
        (numbers, bb.goal(lambda a: -1.0, lambda a: "no"), "'no' is neither true nor false"),
        (scores_but_one, MultiLabel(hide=["cat"]), "it was {'cat': None}. That answer was to sample 2"),
    ],
)
def test_a_goal_that_cannot_judge_is_told_and_the_answers_count(target: Any, goal: Goal, said: str) -> None:
    with pytest.raises(GoalError, match=said) as caught:
        bb.attack(bb.Oracle(target, access="answers"), X, None, "square", bb.L2(1.0), 10, goal=goal)
    assert caught.value.result.queries.tolist() == [1, 1, 1]  # type: ignore[attr-defined]


def test_among_rejected_rows_the_sample_is_named() -> None:
    def target(x: Any) -> Any:
        return {"scores": torch.full((len(x), 2), 0.5), "rejected": torch.arange(len(x)) == 0}

    goal = bb.goal(lambda scores, i: float("nan") if i == 1 else -1.0, access="scores")
    with pytest.raises(GoalError, match="the loss was NaN. That answer was to sample 1"):
        bb.attack(bb.Oracle(target, "scores", 2), X, None, "square", bb.L2(1.0), 10, goal=goal)


def test_tensors_with_gradients_are_numbers() -> None:
    oracle = bb.Oracle(lambda x: x.sum(1), access="answers")
    goal = Faulty(lambda v: ((loss := torch.tensor(v, requires_grad=True) - 9), loss > 0))
    assert bb.attack(oracle, X, None, "square", bb.L2(1.0), 5, goal=goal).queries.tolist() == [5, 5, 5]
    references = [torch.ones(2, requires_grad=True)] * 3
    oracle = bb.Oracle(lambda x: x[:, :2], access="answers")
    assert bb.attack(oracle, X, None, "square", bb.L2(0.1), 5, goal=bb.goals.Verification(references, 0.1)).queries.tolist() == [5, 5, 5]
