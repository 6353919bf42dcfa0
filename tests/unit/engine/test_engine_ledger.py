"""Accounts: who pays, what an answer costs and earns, who is done; each rule alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

import blackbox as bb
from blackbox.engine.cohort import CLEAN, Claim
from blackbox.engine.ledger import CODES, LIVE, Ledger
from blackbox.protocol import Ask, Status
from tests.toys import Bisection
from tests.unit.engine.parts import Parts, X, cohort_at, parts


def ended(p: Parts) -> list[Status | None]:
    return [None if code == LIVE else list(Status)[code] for code in p.ledger.status]


def credited(p: Parts, ask: Ask, points: Any, loss: list[float], adv: list[bool]) -> Any:
    """A cohort whose Ask has been answered so in one call."""
    cohort = cohort_at(p, ask=ask)
    plan = cohort.plan = p.accounts.admit(cohort)
    p.accounts.credit(cohort, plan, points, np.array(loss, np.float32), np.array(adv))
    plan.add(np.array(loss, np.float32), np.array(adv))
    return cohort


def test_finished_rows_and_spent_budgets_are_not_admitted() -> None:
    p = parts(budget=5)
    p.ledger.spent[:] = [1, 3, 1]
    p.ledger.close(np.array([2]), Status.SUCCESS)
    plan = p.accounts.admit(cohort_at(p, ask=Ask(X, torch.zeros(3, 2))))
    assert plan.row.tolist() == [0, 0, 0, 1, 1] and plan.col.tolist() == [0, 1, 2, 0, 1]
    assert p.accounts.admit(cohort_at(p)).row.tolist() == [0, 1]


def test_the_clean_check_is_charged_and_ends_what_is_wrong_already() -> None:
    p = parts(budget=1)
    cohort = cohort_at(p, k=CLEAN)
    plan = p.accounts.admit(cohort)
    wrong = np.array([False, True, False])
    p.accounts.check_clean(cohort, plan, np.array([0, 1, 0]), np.array([0.9, 0.8, 0.7]), np.array([-3, 2, -1], np.float32), wrong)
    assert p.ledger.spent.tolist() == [1, 1, 1] and p.ledger.label0.tolist() == [0, 1, 0]
    assert ended(p) == [Status.BUDGET, Status.CLEAN_WRONG, Status.BUDGET] and p.ledger.loss0.tolist() == [-3, 2, -1]


def test_a_success_counts_inside_the_threat_only_and_the_best_candidate_is_kept() -> None:
    p = parts(threat=bb.Linf(0.1), budget=2)
    p.ledger.spent[:] = 1
    points = X + torch.tensor([[0.1], [0.3], [0.05]])
    cohort = credited(p, Ask(points), points, [1.0, 2.0, -0.5], [True, True, False])
    assert ended(p) == [Status.SUCCESS, Status.BUDGET, Status.BUDGET] and p.ledger.spent.tolist() == [2, 2, 2]
    assert p.ledger.first.tolist() == [2, 0, 0] and np.isinf(p.ledger.distance[1:]).all()
    assert torch.equal(cohort.best, points) and p.ledger.best.tolist() == [1.0, 2.0, -0.5]
    p.ledger.store(cohort)
    assert torch.equal(p.ledger.x, points)


def test_of_several_probes_the_first_success_gives_the_number() -> None:
    p = parts(x=X[:1], threat=bb.Linf(0.5))
    p.ledger.spent[:] = 1
    u = torch.tensor([[0.0, 0.0], [0.4, 0.0], [0.35, 0.0]])
    cohort = credited(p, Ask(X[:1], u), X[:1] + u, [-1, 1, 1], [False, True, True])
    assert p.ledger.first.tolist() == [3] and p.ledger.spent.tolist() == [4] and ended(p) == [Status.SUCCESS]
    assert torch.equal(cohort.best, X[:1] + u[1:2]) and [(s, q) for s, q, _ in p.ledger.trace] == [(0, 3)]


def test_one_that_minimises_goes_on_until_it_is_inside() -> None:
    p = parts(Bisection(), threat=bb.Linf(0.1))
    cohort = credited(p, Ask(X), X + torch.tensor([[0.3], [0.1], [0.2]]), [1, 1, 1], [True, True, False])
    assert ended(p) == [None, Status.SUCCESS, None] and p.ledger.first.tolist() == [0, 1, 0]
    assert np.allclose(p.ledger.distance, [0.3, 0.1, np.inf]) and torch.equal(cohort.best[2], X[2])


def test_queries_and_successes_of_parts() -> None:
    p = parts()
    p.accounts.parts, p.ledger.parts = ("one", "two"), np.zeros((3, 2), np.int32)
    credited(p, Ask(X, part=torch.tensor([0, 1, 1])), X, [1, 1, 0], [True, True, False])
    assert p.ledger.parts.tolist() == [[1, 0], [0, 1], [0, 1]] and p.ledger.winner.tolist() == [0, 1, -1]


def test_before_a_randomised_target_a_success_is_a_claim() -> None:
    p = parts(votes=3)
    cohort = credited(p, Ask(X), X, [1, -1, 1], [True, False, True])
    assert cohort.claims == [Claim(0), Claim(2)] and not p.ledger.first.any() and ended(p) == [None] * 3
    p.accounts.confirm(cohort, cohort.claims[0], X[:1])
    p.accounts.reject(cohort, cohort.claims[1])
    assert p.ledger.first.tolist() == [1, 0, 0] and ended(p) == [Status.SUCCESS, None, None]
    assert cohort.plan.tell(cohort.task).adv.tolist() == [True, False, False]


def test_a_run_that_broke_off() -> None:
    p = parts(budget=4)
    p.ledger.spent[:] = [4, 2, 1]
    p.ledger.close(np.array([2]), Status.SUCCESS)
    p.ledger.close(np.array([2]), Status.GAVE_UP)  # a sample ends once
    p.ledger.stop(4)
    assert ended(p) == [Status.BUDGET, Status.ERROR, Status.SUCCESS]


def test_a_column_that_an_older_file_lacks_stays_empty() -> None:
    ledger = replace(Ledger.open(X), trace=[(1, 4, 0.5)])
    ledger.spent[1], ledger.status[1] = 4, CODES[Status.SUCCESS]
    saved = ledger.state()
    del saved["sure1"]
    back = Ledger.restore(saved)
    assert back.spent.tolist() == [0, 4, 0] and back.trace == [(1, 4, 0.5)] and np.isnan(back.sure1).all()
