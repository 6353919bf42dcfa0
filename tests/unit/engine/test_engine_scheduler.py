"""Scheduler: cohorts open, step, shrink and end, whoever answers them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from blackbox.engine.cohort import Cohort
from blackbox.engine.ledger import CODES, LIVE
from blackbox.protocol import Ask, Retire, Status, Task
from tests.toys import Script
from tests.unit.engine.parts import Parts, X, cohort_at, parts

LONG = Script(tuple(lambda t: Ask(t.x0) for _ in range(50)))


def answering(p: Parts, ends: dict[int, int]) -> Any:
    """Answers everything, and ends sample i after ``ends[i]`` answers; notes who was in flight."""
    flights: list[list[int]] = []

    def answer(cohorts: list[Cohort]) -> None:
        flights.append([int(s) for c in cohorts for s in c.samples])
        for cohort in cohorts:
            plan = cohort.plan = p.accounts.admit(cohort)
            plan.add(np.zeros(len(plan.row), np.float32), np.zeros(len(plan.row), np.bool_))
            who = cohort.samples[plan.row]
            p.ledger.spent[who] += 1
            p.ledger.close(np.array([i for i in who if p.ledger.spent[i] >= ends[int(i)]], np.int64), Status.SUCCESS)

    return answer, flights


def test_a_cohort_is_opened_when_the_rows_in_flight_get_few() -> None:
    p = parts(LONG, x=X[[0, 1, 2, 0, 1]], cohort=2)
    answer, flights = answering(p, {0: 2, 1: 5, 2: 9, 3: 9, 4: 3})
    rounds: list[int] = []
    p.scheduler.run(answer, lambda: rounds.append(len(p.scheduler.cohorts)))
    assert flights[:3] == [[0, 1], [0, 1], [1, 2, 3]] and len(rounds) == len(flights)
    assert (p.ledger.status == CODES[Status.SUCCESS]).all() and not len(p.scheduler.waiting)
    assert p.ledger.spent.tolist() == [2, 5, 9, 9, 3]


def test_finished_rows_are_dropped_with_everything_that_follows_them() -> None:
    p = parts(LONG)
    cohort = cohort_at(p, k=4)
    cohort.state = {"not": "a tensor"}, torch.arange(3.0), np.array([5, 6, 7])
    cohort.best = X + 0.1
    p.ledger.close(np.array([0, 2]), Status.SUCCESS)
    p.scheduler._between_steps(cohort)
    assert cohort.samples.tolist() == [1] and cohort.task.ids.tolist() == [11] and cohort.k == 5
    assert cohort.state[1].tolist() == [1] and cohort.state[2].tolist() == [6] and torch.equal(cohort.best, X[1:2] + 0.1)
    assert torch.equal(p.ledger.x, X + 0.1)  # the examples of those who left are not lost


def test_one_finished_row_of_many_stays_until_more_have_ended() -> None:
    p = parts(LONG, x=X.repeat(2, 1))
    cohort = cohort_at(p)
    cohort.state = torch.zeros(6)
    p.ledger.close(np.array([0]), Status.SUCCESS)
    p.scheduler._between_steps(cohort)
    assert len(cohort.samples) == 6 and cohort.ask is not None


def test_rows_that_an_attack_retires() -> None:
    p = parts(LONG)
    cohort = cohort_at(p)
    cohort.state = Retire(torch.zeros(3), torch.tensor([False, True, False]), Status.NO_START)
    p.scheduler._between_steps(cohort)
    assert p.ledger.status.tolist() == [LIVE, CODES[Status.NO_START], LIVE] and cohort.samples.tolist() == [0, 2]


def test_a_loop_that_has_ended_gives_up() -> None:
    p = parts(LONG)
    cohort = cohort_at(p, k=3)
    cohort.ask = None
    p.scheduler._between_steps(cohort)
    assert set(p.ledger.status) == {CODES[Status.GAVE_UP]} and cohort.ask is None


def test_steps_that_ask_nothing_are_passed_over() -> None:
    class Every3(Script):
        def step(self, t: Task, s: Any, k: int) -> Any:
            return self.ask(t, s) if k % 3 == 2 else s

        def ask(self, t: Task, s: Any) -> Any:
            yield Ask(t.x0)
            return s

    p = parts(Every3(()))
    cohort = cohort_at(p, k=-1)
    cohort.state = torch.zeros(3)
    p.scheduler._between_steps(cohort)
    assert cohort.k == 2 and cohort.ask is not None
