"""An Ask becomes points, and answers become a Tell, in one place for the engine, for estimates and for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.answer import Plan, answer, run_steps
from blackbox.protocol import Ask
from blackbox.testing.driver import task

X = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
T = task(X, threat=bb.Linf(0.1))
ALL = np.ones(3, np.bool_)


def first_entry(points: Tensor, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    loss = points[:, 0].numpy()
    return loss, loss > 0.55


def test_candidates_are_projected_and_all_rows_pay() -> None:
    tell = answer(Ask(torch.ones(3, 2)), T, first_entry)
    assert torch.equal(tell.x, T.project(torch.ones(3, 2))) and tell.paid.all()
    assert torch.equal(tell.loss, tell.x[:, 0]) and tell.adv.tolist() == [False, True, True] and tell.shown is None


def test_a_row_outside_the_mask_pays_and_hears_nothing() -> None:
    tell = answer(Ask(X, mask=torch.tensor([True, False, True])), T, first_entry)
    assert tell.paid.tolist() == [True, False, True] and tell.loss.isnan().tolist() == [False, True, False]
    assert not tell.adv[1] and len(tell.x) == 3


@pytest.mark.parametrize("own", [False, True])
def test_probes_move_by_h_of_their_row_and_are_clipped(own: bool) -> None:
    u, h = torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.tensor([0.1, 0.2, 0.3])

    class Own:
        count = 2

        def make(self, row: Tensor, index: Tensor) -> Tensor:
            return u[index]

    directions: Any = Own() if own else u
    plan = Plan.of(Ask(X, directions, h), T, ALL)
    want = (X[:, None] + h[:, None, None] * u[None]).clamp(0, 1).flatten(0, 1)
    assert torch.equal(plan.inputs(T, 0, 6), want) and torch.equal(plan.inputs(T, 2, 5), want[2:5])


def test_probes_are_paid_from_left_to_right_as_far_as_a_row_can() -> None:
    plan = Plan.of(Ask(X, torch.zeros(3, 2), mask=torch.tensor([True, True, False])), T, ALL, np.array([2, 5, 1]))
    assert list(zip(plan.row.tolist(), plan.col.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    plan.add(np.array([1, 2, 3], np.float32), np.array([True, False, False]))
    plan.add(np.array([4, 5], np.float32), np.array([False, True]))
    tell = plan.tell(T)
    assert tell.paid.tolist() == [[True, True, False], [True, True, True], [False, False, False]] and tell.x is None
    assert tell.loss[tell.paid].tolist() == [1, 2, 3, 4, 5] and tell.loss[~tell.paid].isnan().all()
    assert tell.adv.tolist() == [[True, False, False], [False, False, True], [False, False, False]]


def test_what_the_target_showed_stands_in_the_rows_that_paid() -> None:
    plan = Plan.of(Ask(X), T, np.array([True, False, True]))
    plan.add(np.zeros(1, np.float32), np.zeros(1, np.bool_), np.array([[1, 2]], np.float32))
    plan.add(np.zeros(1, np.float32), np.zeros(1, np.bool_), np.array([[3, 4]], np.float32))
    assert plan.tell(T).shown[[0, 2]].tolist() == [[1, 2], [3, 4]] and plan.tell(T).shown[1].isnan().all()


def test_steps_run_to_their_end_on_what_is_left() -> None:
    left = np.array([3, 1, 0])

    def evaluate(points: Tensor, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left[:] -= np.bincount(row, minlength=3)
        return first_entry(points, row)

    def steps() -> Any:
        a = yield Ask(X)
        b = yield Ask(X, torch.zeros(2, 2))
        return a.paid, b.paid

    a, b = run_steps(steps(), T, evaluate, left)
    assert a.tolist() == [True, True, False] and b.tolist() == [[True, True], [False, False], [False, False]]
    assert left.tolist() == [0, 0, 0]


def test_what_does_not_ask_is_its_own_result() -> None:
    assert run_steps(X, T, first_entry) is X
