"""Classes by their words, from the labels that a user gives to the goals, whatever form the target answers in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.goals import AnyOf, MultiLabel, NoneOf

WORDS = ["safe", "nudity", "violence"]
W = torch.tensor(np.random.default_rng(0).normal(size=(8, 3)), dtype=torch.float32)
X = torch.tensor(np.random.default_rng(1).uniform(0.3, 0.7, (6, 8)), dtype=torch.float32)


def scores(x: Tensor) -> Tensor:
    return (x[:, :, None] * W).sum(1).softmax(1)


def word(x: Tensor) -> list[str]:
    return [WORDS[i] for i in scores(x).argmax(1)]


def named(x: Tensor) -> list[dict[str, float]]:
    return [dict(zip(WORDS, row, strict=True)) for row in scores(x).tolist()]


def listed(x: Tensor) -> list[list[dict[str, Any]]]:
    return [[{"label": key, "score": score} for key, score in row.items()] for row in named(x)]


@pytest.mark.parametrize("answer", [word, named, listed, scores])
def test_words_do_what_numbers_do(answer: Any, tmp_path: Path) -> None:
    access = "labels" if answer is word else "scores"
    first, last = scores(X).argmax(1), scores(X).argmin(1)

    def run(y: Any, target: Any = None, goal: Any = None) -> bb.AttackResult:
        oracle = bb.Oracle(answer, access, classes=WORDS)
        return bb.attack(oracle, X, y, "rays" if access == "labels" else "square", bb.Linf(0.4), 16, target=target, goal=goal)

    for with_words, with_numbers in (
        (run(word(X)), run(first)),
        (run(np.array(word(X)), [WORDS[i] for i in last]), run(first, last)),
        (run(None, goal=NoneOf([[each] for each in word(X)])), run(None, goal=NoneOf(first[:, None]))),
        (run(None, goal=AnyOf("violence")), run(None, goal=AnyOf([2]))),
    ):
        assert torch.equal(with_words.x_adv, with_numbers.x_adv) and torch.equal(with_words.y, with_numbers.y)
        assert with_words.success.any() and torch.equal(with_words.success, with_numbers.success)
    with_words.save(tmp_path)
    assert "violence" in bb.AttackResult.load(tmp_path).summary()


def test_labels_of_a_row_of_scores_have_words_too() -> None:
    oracle = bb.Oracle(scores, "answers", classes=WORDS)
    goals = [MultiLabel(hide=[hide], threshold=0.3) for hide in ("safe", 0)]
    words, numbers = (bb.attack(oracle, X, None, "square", bb.Linf(0.4), 16, goal=goal) for goal in goals)
    assert torch.equal(words.x_adv, numbers.x_adv) and words.success.any() and "hide safe" in words.summary()
    with pytest.raises(bb.goals.GoalError, match="or words of Oracle.*but one was 'sfae'"):
        bb.attack(oracle, X, None, "square", bb.Linf(0.4), 16, goal=MultiLabel(hide=["sfae"]))


def test_a_word_that_is_none_is_told_with_its_sample() -> None:
    oracle = bb.Oracle(scores, "scores", classes=WORDS)
    for y, target, said in (
        (["safe", "sfae", *["safe"] * 4], None, "y to hold the classes safe, nudity, violence, but sample 1 has 'sfae'"),
        (word(X), "x", "target to hold the classes safe, nudity, violence, but sample 0 has 'x'"),
    ):
        with pytest.raises(ValueError, match=said):
            bb.attack(oracle, X, y, "square", bb.Linf(0.1), 5, target=target)
    with pytest.raises(ValueError, match=r"class indices, since the oracle knows no names.*Name them: Oracle"):
        bb.attack(bb.Oracle(scores, "scores", 3), X, word(X), "square", bb.Linf(0.1), 5)
    with pytest.raises(ValueError, match="safe, nudity, violence, but one was 'sfae'.$"):
        bb.attack(oracle, X, None, "square", bb.Linf(0.1), 5, goal=NoneOf("sfae"))
    assert oracle.rows == 0
