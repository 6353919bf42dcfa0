"""Two goals that differ in anything that can be told apart are two to a checkpoint, a journal and `pool`; the same one made anew is one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.goals import Detection, Goal, NoneOf, Ranking, Segmentation
from blackbox.results import words
from blackbox.results.pooled import pool

LIMIT = 0.5



def closed(limit: Any) -> Goal:
    return bb.goal(lambda a: a - limit, name="g")


def net(weight: float) -> torch.nn.Module:
    made = torch.nn.Linear(2, 2)
    for each in made.parameters():
        torch.nn.init.constant_(each, weight)
    return made


def helped(a: float) -> float:
    return a - LIMIT


def with_global(a: float) -> float:
    return helped(a)


class Mine(Goal):
    needs = bb.Access.ANSWERS

    def describe(self) -> str:
        return "mine"


class Others(Goal):
    needs = bb.Access.ANSWERS

    def describe(self) -> str:
        return "MINE".lower()


class Holder:
    pass


Mine.__qualname__ = Others.__qualname__ = Others.__name__ = "Mine"
BOX = {"boxes": np.array([[0.0, 0, 1, 1]])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: closed(0.1), lambda: closed(0.2)),
        (lambda: closed(np.arange(3000.0)), lambda: closed(np.arange(3000.0) + (np.arange(3000) == 1500))),
        (lambda: closed([torch.zeros(3)]), lambda: closed([torch.ones(3)])),
        (lambda: closed({"a": 1}), lambda: closed({"a": 2})),
        (lambda: closed(net(1.0)), lambda: closed(net(2.0))),
        (lambda: closed(lambda: 1), lambda: closed(lambda: 2)),
        (lambda: bb.goal(lambda a: a - 1, name="g"), lambda: bb.goal(lambda a: a + 1, name="g")),
        (lambda: bb.goal(lambda a: abs(a), name="g"), lambda: bb.goal(lambda a: len(a), name="g")),
        (lambda: bb.goal(lambda a, b=1: a, name="g"), lambda: bb.goal(lambda a, b=2: a, name="g")),
        (lambda: bb.goal(lambda a: a, name="g"), lambda: bb.goal(lambda a: a, lambda a: a > 2, name="g")),
        (lambda: bb.goal(functools.partial(pow, 2), name="g"), lambda: bb.goal(functools.partial(pow, 3), name="g")),
        (Mine, Others),
        (lambda: NoneOf(np.array([[0], [1]])), lambda: NoneOf(np.array([[0], [2]]))),
        (lambda: NoneOf(torch.tensor([[0], [1]])), lambda: NoneOf(torch.tensor([[0], [2]]))),
        (lambda: Detection([BOX, BOX]), lambda: Detection([BOX, {"boxes": np.array([[0.0, 0, 1, 2]])}])),
        (lambda: Segmentation(torch.zeros(40, 40)), lambda: Segmentation(torch.eye(40))),
        (lambda: Ranking(push=[1, 2]), lambda: Ranking(push=[1, 3])),
    ],
)
def test_what_differs_is_told_apart_and_what_does_not_is_not(one: Callable[[], Goal], other: Callable[[], Goal]) -> None:
    assert str(one()) == str(other()) and one().identity() != other().identity()
    assert one().identity() == one().identity()


def test_a_global_that_a_function_names_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = bb.goal(with_global).identity()
    assert bb.goal(with_global).identity() == before
    monkeypatch.setitem(globals(), "LIMIT", 0.6)
    assert bb.goal(with_global).identity() != before


def test_what_cannot_be_told_is_named() -> None:
    assert closed(Holder()).identity() == closed(Holder()).identity()
    assert "but for what each Holder holds" in closed(Holder()).identity() and "but for" not in closed(1).identity()
    ring: list[Any] = []
    ring.append(ring)
    assert closed(ring).identity() == closed(ring).identity()


def test_runs_with_classes_given_image_by_image_are_not_pooled_with_others() -> None:
    def run(seed: int, classes: Any) -> bb.AttackResult:
        oracle = bb.Oracle(lambda x: torch.stack([x.sum(1), x[:, 0], x[:, 1]], 1), "logits", 3, name="m")
        return bb.attack(oracle, torch.full((2, 4), 0.5), None, "square", bb.Linf(0.1), 3, goal=NoneOf(classes), seed=seed)

    assert pool([run(0, [[0], [0]]), run(1, [[0], [0]])])
    with pytest.raises(ValueError, match="goal_identity"):
        pool([run(0, [[0], [0]]), run(1, [[0], [1]])])
    assert words.same_goal(run(0, [[0], [0]]), run(1, [[0], [0]])) and not words.same_goal(run(0, [[0], [0]]), run(0, [[0], [1]]))


