"""Answers of any form, where they are unlike those of classifiers: bools, large numbers, NaN, rejections, keys that are numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.goals import AnyOf, Goal, MultiLabel, NoneOf, Regression, Verification
from blackbox.goals.base import Setting
from blackbox.targets import Answer

X = torch.tensor(np.random.default_rng(4).uniform(0.3, 0.7, size=(3, 8)), dtype=torch.float32)
W = torch.tensor(np.random.default_rng(3).normal(size=8), dtype=torch.float32)


def number(x: Tensor) -> Tensor:
    return (x * W).sum(1)


def with_nan(x: Tensor) -> Tensor:
    return torch.stack([number(x), torch.full((len(x),), torch.nan)], 1)


def big(x: Tensor) -> np.ndarray:
    return 1.7e9 + number(x).double().numpy()


@pytest.mark.parametrize(
    ("answer", "goal", "attack"),
    [
        (lambda x: (number(x) > 5).numpy(), bb.goal(lambda a: 1 if a else -1, graded=False), "rays"),
        (lambda x: number(x) > 5, bb.goal(lambda a: 1 if a else -1, graded=False), "rays"),
        (with_nan, bb.goal(lambda a: float(a[0]) - 50), "square"),
        (big, Regression(big(X), by=50), "square"),
        (lambda x: big(x).astype(">f8"), Regression(big(X), by=50), "square"),
    ],
    ids=["bools", "bool tensor", "nan", "large numbers", "big-endian"],
)
def test_a_journal_gives_back_what_was_answered(
    answer: Callable[[Tensor], Any], goal: Goal, attack: str, tmp_path: Path
) -> None:
    calls: list[int] = []

    def target(x: Tensor) -> Any:
        calls.append(len(x))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return answer(x)

    def run(**more: Any) -> bb.AttackResult:
        return bb.attack(bb.Oracle(target, "answers", name="m"), X, None, attack, bb.Linf(0.1), 12, goal=goal, **more)

    with pytest.raises(KeyboardInterrupt):
        run(journal=tmp_path / "j")
    resumed, paid = run(journal=tmp_path / "j"), sum(calls) - calls[4]
    whole = run()
    assert torch.equal(resumed.x_adv, whole.x_adv) and torch.equal(resumed.queries, whole.queries)
    assert paid <= int(whole.queries.sum()) + 8  # of which some were asked again, uncharged


def test_decimals_of_answers_of_any_form_are_refused() -> None:
    with pytest.raises(ValueError, match="no decimals"):
        bb.Oracle(number, "answers", decimals=1)


def test_float64_stays() -> None:
    oracle = bb.Oracle(lambda x: torch.full((len(x),), 1.7e9 + 1, dtype=torch.float64), "answers")
    assert oracle(X).answers == [1.7e9 + 1] * 3


def test_a_rejected_row_has_no_answer() -> None:
    def target(x: Tensor) -> Answer:
        return Answer(torch.zeros(len(x)), number(x)[:, None], torch.tensor([False, True, False])[: len(x)])

    result = bb.attack(
        bb.Oracle(target, "answers"), X, None, "square", bb.Linf(0.1), 1, goal=bb.goal(lambda a: float(a[0]) - 50)
    )
    assert [s.name for s in result.status] == ["BUDGET", "REJECTED", "BUDGET"] and result.flagged.tolist() == [0, 1, 0]


def test_what_was_taken_for_labels_is_no_answer_of_any_form() -> None:
    oracle = bb.Oracle(lambda x: Answer(torch.ones(len(x)), None, torch.zeros(len(x), dtype=torch.bool)), "answers")
    with pytest.raises(bb.TargetError, match=r"made labels of it.*\[m, 1\]"):
        oracle(X)


def test_keys_that_are_numbers() -> None:
    oracle = bb.Oracle(lambda x: [{3: 0.9} for _ in x], "answers")
    result = bb.attack(oracle, X, None, "square", bb.Linf(0.1), 1, goal=MultiLabel(hide=[3]))
    assert {s.name for s in result.status} == {"BUDGET"}


def test_a_list_decides_where_scores_are_the_same() -> None:
    target = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    reply = bb.Oracle(lambda x: target.expand(len(x), 5), "topk", 5, k=3)(X)
    assert reply.classes is not None
    first = reply.classes[0].tolist()
    left = next(c for c in range(5) if c not in first)
    setting, who = Setting(3, reply.access, 5, listed=3), np.arange(3)
    for goal, reached in (
        (NoneOf([left], 3), True),
        (AnyOf([left], 3), False),
        (AnyOf(first[2:], 3), True),
        (NoneOf(first[2:], 2), True),
    ):
        assert goal.bound(setting).verdict(reply, who)[1].tolist() == [reached] * 3


def test_a_checkpoint_of_another_regressor_is_refused(tmp_path: Path) -> None:
    calls: list[int] = []

    def dying(x: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return number(x)

    def run(model: Any) -> bb.AttackResult:
        goal = Regression(number(X), by=50)
        oracle = bb.Oracle(model, "answers", name="m")
        return bb.attack(oracle, X, None, "square", bb.Linf(0.1), 8, goal=goal, checkpoint=tmp_path / "c")

    with pytest.raises(KeyboardInterrupt):
        run(dying)
    with pytest.raises(bb.CheckpointError, match="another model"):
        run(lambda x: 3 * number(x))
    assert run(number).queries.tolist() == [8, 8, 8]


def test_goals_with_other_settings_are_others() -> None:
    assert MultiLabel(hide=[0]).identity() != MultiLabel(hide=[0], threshold=0.5 + 1e-9).identity()
    assert Verification([1.0], 0.12345671).identity() != Verification([1.0], 0.12345672).identity()


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (lambda: NoneOf([[0], [1, 2], [3]]), "different lengths"),
        (lambda: Verification([[1.0, 2.0], [3.0], [1.0]], 1), "reference embeddings to be numbers"),
        (lambda: Regression(0, by="far"), "by to be positive"),
        (lambda: Verification([1.0], None), "threshold above 0"),  # type: ignore[arg-type]
        (lambda: MultiLabel(hide=None), "labels to hide"),  # type: ignore[arg-type]
        (lambda: MultiLabel(hide=[0], threshold="x"), "finite"),  # type: ignore[arg-type]
    ],
)
def test_wrong_settings_are_told(goal: Callable[[], Goal], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made = goal()
        access = "scores" if isinstance(made, NoneOf) else "answers"
        bb.attack(bb.Oracle(lambda x: x, access, 8), X, None, "square", bb.Linf(0.1), 4, goal=made)


def test_a_label_as_numpy_has_it() -> None:
    assert MultiLabel(hide=np.int64(3)).hide == [3]  # type: ignore[arg-type]


def test_a_function_that_edits_its_answer_edits_its_own(tmp_path: Path) -> None:
    def spoils(answer: Any) -> float:
        was = float(answer["v"][0])
        answer["v"].sort()
        answer["words"].clear()
        del answer["v"]
        return was - 50

    def rows(x: Tensor) -> list[dict[str, Any]]:
        return [{"v": row.numpy()[::-1].copy(), "words": ["a"]} for row in x]

    first, again = bb.Oracle(rows, "answers"), bb.Oracle(rows, "answers")
    goal = bb.goal(spoils, success=lambda a: len(a["words"]) == 0, name="spoils")
    runs = [bb.attack(o, X, None, "square", bb.Linf(0.1), 9, goal=goal, journal=tmp_path / "j") for o in (first, again)]
    assert torch.equal(runs[0].x_adv, runs[1].x_adv) and again.rows == 0 and not bool(runs[0].success.any())
    scores = bb.Oracle(lambda x: x, "logits", 8, returns="logits")(X)
    before = scores.values.clone()  # type: ignore[union-attr]
    sorts = bb.goal(lambda p: p.sort() or -1.0, access="logits")
    sorts.bound(Setting(3, scores.access, 8)).verdict(scores, np.arange(3))
    assert torch.equal(scores.values, before)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda x: [{"score": 1.0}] * (len(x) - 1) + [{"scores": 1.0}], "keys score and row 2 of .*the keys scores.*sample 12"),
        (lambda x: [{"score": 1.0}, 1.0, 1.0][: len(x)], "row 1 of a call with 3 inputs has no dict.*sample 11"),
        (lambda x: [{"score": 1.0}] * (len(x) - 1), "one answer for each of the 3 inputs of a call, but .* returned 2"),
        (lambda x: {"score": [1.0, 2.0]}, "for each of the 3 inputs of a call, but the target m, under 'score', returned 2"),
    ],
)
def test_a_target_that_answers_otherwise_from_call_to_call(other: Callable[[Tensor], Any], said: str) -> None:
    calls: list[int] = []

    def target(x: Tensor) -> Any:
        calls.append(len(x))
        return other(x) if len(calls) == 3 else [{"score": float(v)} for v in number(x)]

    oracle = bb.Oracle(target, "answers", name="m", rows_per_call=3)
    goal = bb.goal(lambda a: a["score"] - 50)
    with pytest.raises(bb.TargetError, match=said) as error:
        bb.attack(oracle, X, None, "square", bb.Linf(0.1), 9, goal=goal, ids=[10, 11, 12])
    kept = error.value.result
    assert kept.queries.tolist() == [2, 2, 2] and oracle.rows == 6 and oracle.failed == 3
