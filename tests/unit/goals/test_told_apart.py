"""What an answer or a setting may mean in two ways: it is said which, or refused in a sentence."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.goals import own
from blackbox.goals.base import GoalError, Setting
from blackbox.oracle.reply import Reply
from blackbox.specs.options import Within
from blackbox.specs.threat import area, one_threat

X = torch.full((4, 3), 0.5)


def reply(*answers: Any) -> Reply:
    n = len(answers)
    return Reply(bb.Access.ANSWERS, torch.full((n,), -1), None, None, 2, answers=list(answers))


def test_whole_numbers_of_a_ranking_are_ids_unless_it_is_said_that_they_are_scores() -> None:
    setting = Setting(1, bb.Access.ANSWERS, 2)
    who, answer = np.array([0]), np.array([2, 0, 1])  # ids: item 2 is the first; scores: item 0 is
    for scores, first in ((None, 2), (False, 2), (True, 0)):
        for item in range(3):
            goal = bb.goals.Ranking(push=item, k=1, scores=scores).bound(setting)
            assert bool(goal.verdict(reply(answer), who)[1][0]) is (item == first), (scores, item)
    with pytest.raises(GoalError, match=r"If these whole numbers are scores.*scores=True"):
        bb.goals.Ranking(push=1, k=1).bound(setting).verdict(reply([3, 3, 1]), who)


def test_none_in_the_place_of_an_answer_is_a_rejection() -> None:
    def target(x: torch.Tensor) -> list[dict[str, float] | None]:
        return [None if float(row[0]) > 0.505 else {"n": float(row.sum())} for row in x]

    oracle = bb.Oracle(target, access="answers")
    seen = oracle(torch.tensor([[0.5, 0.5, 0.5], [0.9, 0.5, 0.5]]))
    assert seen.rejected is not None and seen.rejected.tolist() == [False, True] and seen.answers == [{"n": 1.5}, None]
    goal = bb.goal(lambda answer: answer["n"] - 9, name="nine")
    result = bb.attack(oracle, X, None, "square", bb.Linf(0.1), 9, goal=goal)
    assert int(result.flagged.max()) > 0 and not result.success.any() and result.complete


def test_an_infinite_embedding_is_one_sentence_that_names_the_sample() -> None:
    oracle = bb.Oracle(lambda x: [np.full(2, np.inf) if i == 2 else np.ones(2) for i in range(len(x))], access="answers")
    goal = bb.goals.Verification(np.zeros(2), 0.5)
    with warnings.catch_warnings(), pytest.raises(GoalError, match="Expected finite numbers.*That answer was to sample 2") as caught:
        warnings.simplefilter("error")
        bb.attack(oracle, X, None, "square", bb.Linf(0.1), 9, goal=goal)
    assert int(caught.value.result.queries.sum()) == 4  # type: ignore[attr-defined]


def test_a_goal_without_words_is_refused_before_a_query() -> None:
    class Silent(bb.goals.Goal):
        needs = bb.Access.ANSWERS

        def describe(self) -> str:
            return None  # type: ignore[return-value]

    oracle = bb.Oracle(lambda x: x.sum(1), access="answers")
    with pytest.raises(ValueError, match=r"Expected describe\(\) of the goal Silent to return .* a text, but it was None"):
        bb.attack(oracle, X, None, "square", bb.Linf(0.1), 9, goal=Silent())
    assert oracle.rows == 0


def test_as_many_labels_as_samples_are_a_set_for_each_or_are_refused() -> None:
    setting = Setting(3, bb.Access.LABELS, 5)
    with pytest.raises(ValueError, match=r"One for each: give them an axis, classes\[:, None\]"):
        bb.goals.NoneOf(np.array([0, 1, 2])).bound(setting)
    one = reply()
    one = Reply(bb.Access.LABELS, torch.tensor([1, 1, 4]), None, None, 5)
    assert bb.goals.NoneOf([0, 1, 2]).bound(setting).verdict(one, np.arange(3))[1].tolist() == [False, False, True]
    assert bb.goals.NoneOf(np.array([[0], [1], [2]])).bound(setting).verdict(one, np.arange(3))[1].tolist() == [True, False, True]


def test_the_arguments_of_a_function_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = inspect.signature
    monkeypatch.setattr(own.inspect, "signature", lambda f: asked.append(f) or real(f))
    oracle = bb.Oracle(lambda x: x.sum(1), access="answers")
    bb.attack(oracle, X, None, "square", bb.Linf(0.1), 9, goal=bb.goal(lambda answer: float(answer) - 9))
    assert len(asked) == 1


def test_options_that_cannot_be_read_are_named_whole() -> None:
    with pytest.raises(ValueError, match="Expected --patch as a side.*but it was 'x'"):
        area("x", None, Within())
    with pytest.raises(ValueError, match="Of a table each column is scaled by its range"):
        one_threat(Within(eps="5000"), table=True)
    table = bb.Tabular({"a": (0, 9), "b": (0, 9)})
    with pytest.raises(ValueError, match="diameter.*Of a table each column is scaled by its range"):
        bb.attack(bb.Oracle(lambda r: r, classes=2), [[1.0, 2.0]], [0], "square", bb.L2(5000), 9, table=table)


def test_names_of_classes_are_kept_with_a_result(tmp_path: Path) -> None:
    oracle = bb.Oracle(lambda x: torch.stack([1 - x[:, 0], x[:, 0]], 1), classes=["low", "high"], returns="probabilities")
    result = bb.attack(oracle, X - 0.04, ["low"] * 4, "square", bb.Linf(0.1), 9)
    result.save(tmp_path)
    assert bb.AttackResult.load(tmp_path).config["class_names"] == ["low", "high"]


def test_a_small_mask_under_a_free_patch_is_told_of() -> None:
    images, mask = torch.full((2, 1, 8, 8), 0.5), torch.zeros(8, 8, dtype=torch.bool)
    mask[:2, :2] = True
    oracle = bb.Oracle(lambda x: torch.stack([x.mean((1, 2, 3)), 1 - x.mean((1, 2, 3))], 1), classes=2, returns="probabilities")
    with pytest.warns(UserWarning, match="Of the places of the patch 2x2 free 92 % hold nothing that the mask of sample 0 lets change"):
        bb.attack(oracle, images, [0, 0], "patch-rs", bb.Patch(2), 5, mask=mask)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bb.attack(oracle, images, [0, 0], "patch-rs", bb.Patch(2), 5, mask=~mask)
