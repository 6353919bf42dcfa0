"""Evaluations for a goal other than a wrong class, and of rows of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.evaluation import gate
from blackbox.goals.selection import Selection
from blackbox.results.words import of_inputs

D, N = 6, 12
LINE = torch.nn.Linear(D, 1, bias=False)
LINE.weight.data = torch.tensor([[1.0, -2.0, 0.5, 1.5, -1.0, 2.0]])
LINE.requires_grad_(False)
X = 0.5 + 0.2 * (torch.rand(N, D, generator=torch.Generator().manual_seed(2)) - 0.5)
CLEAN = LINE(X).numpy()[:, 0]
BY, EPS = 0.4, 0.1
REACH = EPS * float(LINE.weight.abs().sum())  # how far a number moves at most
FAR = CLEAN + np.linspace(0.1, 1.4, N) - BY  # each input has a reference of its own: the goal is as far away
GOAL = bb.goals.Regression(FAR, by=BY, way="up")
FALL = np.linspace(0.1, 1.4, N) <= REACH


def found(**more: Any) -> bb.evaluation.Evaluation:  # type: ignore[name-defined]
    args: dict[str, Any] = {"goal": GOAL, "budgets": (3, 60), "attack": "signhunter"} | more
    return bb.evaluate(lambda access: bb.Oracle(LINE, access), X, None, bb.Linf(EPS), **args)


def test_each_input_keeps_its_own_reference_when_only_some_are_attacked_again() -> None:
    e = found(white_box=LINE, nets={"own": LINE}, presets=("fgsm",))
    assert np.array_equal(e.row("everything").wrong, FALL) and np.array_equal(e.row("nothing", 0, "fgsm from own").wrong, FALL)
    early, late = e.row("answers", 3), e.row("answers", 60)
    assert 0 < int(early.wrong.sum()) < N and np.array_equal(late.wrong, FALL)
    again = e.results["answers", 60]
    assert len(again) == N - int(early.wrong.sum())
    left = np.flatnonzero(~early.wrong)
    assert np.array_equal(again.success.numpy(), (LINE(again.x_adv).numpy()[:, 0] >= FAR[left] + BY) & FALL[left])


def test_a_table_of_a_goal_says_what_its_rates_count(tmp_path: Path) -> None:
    e = found(budgets=(3,))
    text = e.table()
    assert "goal: the number moves up by 0.4" in text and "withstood, % [95 %]" in text and "robust accuracy" not in text
    again = bb.evaluation.Evaluation.load(e.save(tmp_path))
    assert again.table() == text
    with pytest.raises(ValueError, match=r"Expected a baseline of the same goal \(a wrong class\), but it is of another \(the number"):
        gate.require_same(bb.Linf(EPS), e.ids, e.prints, again)


def test_what_a_goal_cannot_have_is_left_out_with_a_reason() -> None:
    nine = bb.goal(lambda answer: float(answer[0]) - 9, name="nine")
    e = found(goal=nine, budgets=(2,), white_box=LINE, nets={"own": LINE}, attack="square")
    assert [r.attack for r in e.rows] == ["none (clean images)", "random noise, same Linf", "square"]
    assert e.notes[0].startswith("no white-box row: the goal (nine) has no twin") and e.notes[1].startswith("no transfer rows")
    with pytest.raises(ValueError, match="Expected y, the true class of each input, but it was None"):
        found(goal=None)
    with pytest.raises(bb.AccessError, match="Expected an oracle that shows answers for the goal"):
        found(levels=("scores",))


def test_what_reaches_the_goal_unchanged_is_lost_in_every_line() -> None:
    e = found(goal=bb.goals.Regression(CLEAN - BY - 1e-4, by=BY, way="up"), budgets=(2,))  # noise takes some of them back
    assert all(r.wrong.all() for r in e.rows) and e.results == {}


def test_a_selection_is_recognised_by_what_is_selected() -> None:
    some = [Selection(GOAL, np.array(at), N) for at in ([0, 1], [0, 2], range(N))]
    assert len({goal.identity() for goal in some}) == 3 and some[2].identity() == GOAL.identity()
    with pytest.raises(ValueError, match="Expected a goal for 3 samples, but 2 were selected"):
        some[0].bound(bb.goals.base.Setting(3, bb.Access.ANSWERS, 2))


class Paid:
    """Two classes: is the first column, in its own units, above 100?"""

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        self.asked.append(rows.numpy())
        return torch.stack([torch.zeros(len(rows)), (rows[:, 0] - 100).float()], 1)


def test_rows_of_a_table_are_asked_in_their_units_and_called_rows() -> None:
    model, table = Paid(), bb.Tabular({"a": (0, 200), "b": (0, 10)}, integer=["a"], immutable=["b"])
    rows = np.column_stack([np.arange(90, 99), np.full(9, 5.0)])
    y, levels = np.zeros(9, int), ["scores"]
    e = bb.evaluate(lambda access: bb.Oracle(model, access, 2), rows, y, bb.Linf(0.03), table=table, budgets=(9,), levels=levels)
    wrong = e.row("scores", 9).wrong
    assert wrong.any() and not (wrong & (rows[:, 0] + 6 <= 100)).any()
    asked = np.concatenate(model.asked)
    assert np.array_equal(asked[:, 0], asked[:, 0].round()) and set(asked[:, 1]) == {5.0} and abs(asked[:, 0] - 94).max() <= 10
    assert "9 rows" in e.table() and "image" not in e.table() and "none (clean rows)" in e.table()
    assert "image" not in e.results["scores", 9].summary() and "few rows         " in e.results["scores", 9].summary()


@pytest.mark.parametrize("text, told", [
    ("An image, of images: each image.", "A row, of rows: each row."), ("an attacked image", "an attacked row"),
    ("npz:images.npz, image-net, x/image", "npz:images.npz, image-net, x/image"), ("Images", "Rows"),
])  # fmt: skip
def test_sentences_about_images_are_said_of_rows(text: str, told: str) -> None:
    assert of_inputs(text, "row") == told and of_inputs(text, "image") == text
    assert of_inputs("an image", "input") == "an input"
