"""Confirmation: how many answers a claim costs, and what they decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from blackbox.engine.cohort import CLEAN
from blackbox.engine.confirmation import Confirmation
from blackbox.engine.ledger import CODES, LIVE
from blackbox.protocol import Ask, Status
from tests.unit.engine.parts import Parts, X, cohort_at, parts


class Says:
    """Answers row by row from a list: 1 is an adversarial answer."""

    def __init__(self, *said: int) -> None:
        self.said = list(said)

    def __call__(self, x: Tensor) -> Tensor:
        took, self.said = self.said[: len(x)], self.said[len(x) :]
        return torch.nn.functional.one_hot(torch.tensor(took), 2).float()


def claimed(*said: int, budget: int = 20, k: int = 0, n: int = 1, votes: int = 3) -> tuple[Parts, Any, Confirmation]:
    p = parts(x=X[:n], target=Says(*[1] * n, *said), votes=votes, budget=budget)
    cohort = cohort_at(p, ask=Ask(X[:n]), k=k)
    p.evaluator.answer([cohort])
    assert len(cohort.claims) == n
    return p, cohort, Confirmation(p.spec, p.evaluator, p.accounts)


@pytest.mark.parametrize(
    ("said", "success"), [((1, 1), True), ((0, 0), False), ((1, 0, 1), True), ((0, 1, 0), False)]
)
def test_the_majority_decides_in_as_few_answers_as_can(said: tuple[int, ...], success: bool) -> None:
    p, cohort, confirmation = claimed(*said)
    confirmation.decide([cohort])
    assert p.ledger.spent.tolist() == [1 + len(said)] == [p.oracle.rows] and not cohort.claims
    assert p.ledger.first.tolist() == [1 + len(said) if success else 0]
    assert p.ledger.status.tolist() == [CODES[Status.SUCCESS] if success else LIVE]
    assert cohort.plan.tell(cohort.task).adv.tolist() == [success]


def test_a_claim_that_the_row_cannot_pay_for_lapses() -> None:
    p, cohort, confirmation = claimed(budget=2)
    confirmation.decide([cohort])
    assert p.ledger.spent.tolist() == [1] and not p.ledger.first.any() and not cohort.claims


def test_the_last_query_of_an_undecided_row() -> None:
    p, cohort, confirmation = claimed(1, 0, budget=3)
    confirmation.decide([cohort])
    assert p.ledger.spent.tolist() == [3] and p.ledger.status.tolist() == [CODES[Status.BUDGET]] and not p.ledger.first.any()


@pytest.mark.parametrize(("said", "status"), [((1, 1), CODES[Status.CLEAN_WRONG]), ((0, 0), LIVE)])
def test_a_clean_image_is_called_wrong_in_the_same_way(said: tuple[int, ...], status: int) -> None:
    p, cohort, confirmation = claimed(*said, k=CLEAN)
    confirmation.decide([cohort])
    assert p.ledger.status.tolist() == [status] and p.ledger.label0.tolist() == [int(status != LIVE)]


def test_rows_are_heard_side_by_side() -> None:
    p, cohort, confirmation = claimed(1, 1, 0, 0, 1, 1, n=3)
    confirmation.decide([cohort])
    assert p.ledger.first.tolist() == [3, 0, 3] and p.ledger.spent.tolist() == [3, 3, 3]
    assert np.array_equal(cohort.plan.adv[0], [True, False, True])
