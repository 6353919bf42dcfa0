"""Channels before answers of any form: detectors and changes of the image work as before classes, changes of scores are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
from blackbox.channels.channel import Channel
from blackbox.targets import PIHA, QPA, Blacklight, EightBit, LabelsOnly, RandomFeatures, Rounded

X = torch.tensor(np.random.default_rng(2).uniform(size=(3, 3, 28, 28)), dtype=torch.float32)


def boxes(x: Tensor) -> list[dict[str, Any]]:
    return [{"boxes": [[0, 0, 1, 1]], "scores": [float(row.mean())], "labels": ["cat"]} for row in x]


def number(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


@pytest.mark.parametrize("kind", [Blacklight, PIHA, QPA])
@pytest.mark.parametrize("model", [boxes, number, lambda x: ["a word"] * len(x)], ids=["boxes", "number", "word"])
def test_a_detector_rejects_or_locks_whatever_the_answer_is(kind: Callable[..., Channel], model: Callable[[Tensor], Any]) -> None:
    plain = bb.Oracle(model, "answers")(X).answers
    oracle = bb.Oracle(kind(model, action="reject"), "answers")
    asked = [oracle(X), oracle(torch.cat([X[:1], X[1:2].flip(2)]))]
    assert asked[0].answers == plain
    assert asked[1].rejected is not None and asked[1].answers is not None
    assert asked[1].rejected.tolist() == [True, False] and asked[1].answers[0] is None and oracle.rows == 5
    locked = bb.Oracle(kind(EightBit(model), lock=1), "answers")
    assert locked(X[[0, 0, 1]]).rejected.tolist() == [False, False, True]  # type: ignore[union-attr]


def test_a_detector_behind_another_that_rejects() -> None:
    oracle = bb.Oracle(PIHA(Blacklight(boxes, action="reject"), action="answer"), "answers")
    assert [oracle(X[:1]).rejected.tolist() for _ in range(2)] == [[False], [True]]  # type: ignore[union-attr]
    assert oracle.flags is not None and oracle.flags.tolist() == [False, True]


def test_replay_repeats_the_earlier_answer_to_the_bit() -> None:
    """It made whole numbers of numbers, as of labels."""
    answers = iter(range(9))
    oracle = bb.Oracle(Blacklight(lambda x: [float(next(answers)) + 0.25 for _ in x], action="replay"), "answers")
    assert [oracle(X[i : i + 1]).answers for i in (0, 1, 0, 2, 1)] == [[0.25], [1.25], [0.25], [3.25], [1.25]]


def test_an_attack_through_a_detector_that_rejects() -> None:
    oracle = bb.Oracle(Blacklight(boxes, action="reject"), "answers")
    goal = bb.goals.Detection(boxes(X), score=0.2)
    result = bb.attack(oracle, X, None, "square", bb.Linf(0.01), 6, goal=goal)
    assert oracle.rows == result.queries.sum() == 18 and 0 < int(result.flagged.sum()) < 18


@pytest.mark.parametrize("kind", [Rounded, LabelsOnly])
def test_what_changes_scores_of_classes_is_refused(kind: Callable[..., Channel]) -> None:
    with pytest.raises(ValueError, match=f"changes scores of classes, but there was {kind.__name__}"):
        bb.Oracle(EightBit(kind(boxes)), "answers")


def test_inputs_that_blacklight_could_never_flag_are_refused_before_they_are_asked() -> None:
    asked: list[int] = []

    def model(x: Tensor) -> Tensor:
        asked.append(len(x))
        return x[:, :2]

    rows = torch.rand(2, 44)
    for target in (Blacklight(model), QPA(model, link=30)):
        with pytest.raises(bb.TargetError, match="at least 45 entries for .*, but they have 44: of these it makes 25 hashes"):
            bb.Oracle(target, "logits", 2)(rows)
    assert not asked
    for target in (Blacklight(model, threshold=24), Blacklight(model, window=19)):
        assert bb.Oracle(target, "logits", 2)(torch.cat([rows, rows])) and target.flags.tolist() == [False, False, True, True]
    assert bb.Oracle(QPA(model), "logits", 2)(rows)  # a sequence of them is flagged


def test_noise_in_features_is_for_the_queries_of_its_own_thread() -> None:
    """Others that use the net meanwhile see it as it is, and another channel around it draws its own."""
    net, meanwhile = nn.Sequential(nn.Flatten(), nn.Linear(2352, 3)), list[Tensor]()
    plain = net(X)

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            if not meanwhile and threading.current_thread() is not threading.main_thread():
                other = threading.Thread(target=lambda: meanwhile.append(net(X)))
                other.start()
                other.join()
            out: Tensor = self.net(x)
            return out

    noisy, again = (RandomFeatures(Slow(), 1.0).predict, RandomFeatures(Slow(), 1.0).predict)
    found: list[Tensor] = []
    caller = threading.Thread(target=lambda: found.append(noisy(X)))
    caller.start()
    caller.join()
    assert torch.equal(meanwhile[0], plain) and not torch.equal(found[0], plain) and torch.equal(found[0], again(X))
