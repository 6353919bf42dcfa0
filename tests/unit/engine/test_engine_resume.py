"""Resume: what a checkpoint holds of a cohort, and that a step goes on from it without a query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.engine.ledger import Ledger
from blackbox.engine.resume import Checkpoint, pack, unpack
from blackbox.engine.scheduler import Scheduler
from blackbox.protocol import Ask, Task
from blackbox.testing import Recording
from tests.toys import Script
from tests.unit.engine.parts import ONE, Parts, parts


class TwoAsks(Script):
    """Asks for a candidate, then for two probes, in every step."""

    def init(self, t: Task) -> Any:
        return torch.arange(float(t.n))

    def step(self, t: Task, s: Any, k: int) -> Any:
        a = yield Ask(t.x0 + 0.01 * (k + 1))
        b = yield Ask(a.x, torch.eye(2), h=0.01)
        return s + a.loss + b.loss.sum(1)


def after(rounds: int, file: Path) -> tuple[Parts, Recording]:
    """The parts of a run that has been answered so often, with its checkpoint written."""
    seen = Recording(ONE)
    p = parts(TwoAsks(()), target=seen, threat=bb.Linf(0.05), budget=30, checkpoint=file, rows_per_call=3)
    left = [rounds]

    class Enough(Exception):
        pass

    def between() -> None:
        left[0] -= 1
        if not left[0]:
            raise Enough

    with pytest.raises(Enough):
        p.scheduler.run(p.evaluator.answer, between)
    Checkpoint(file, p.spec.identity(p.oracle)).save(p.scheduler)
    return p, seen


@pytest.mark.parametrize("rounds", [1, 2, 3, 4, 5])
def test_a_cohort_stands_where_it_stood_and_nothing_was_asked(rounds: int, tmp_path: Path) -> None:
    p, seen = after(rounds, tmp_path / "run")
    body = Checkpoint(tmp_path / "run", p.spec.identity(p.oracle)).load()
    assert body is not None
    before = seen.count
    scheduler = Scheduler(p.spec, p.oracle, Ledger.restore(body["ledger"]))
    Checkpoint(tmp_path / "run", {}).restore(body, scheduler)
    (old,), (new,) = p.scheduler.cohorts, scheduler.cohorts
    assert seen.count == before and new.k == old.k and new.samples.tolist() == old.samples.tolist()
    assert torch.equal(new.ask.x, old.ask.x) and torch.equal(new.best, old.best) and len(new.replay) == len(old.replay)  # type: ignore[union-attr]
    assert torch.equal(torch.as_tensor(new.state), torch.as_tensor(old.state)) and torch.equal(new.task.loss0, old.task.loss0)


def test_the_keys_of_the_file(tmp_path: Path) -> None:
    """Older files are read, so its keys stay."""
    p, _ = after(3, tmp_path / "run")
    saved = pack(p.scheduler.cohorts[0])
    assert set(saved) == {"samples", "idle", "spent_before", "k", "state", "ballots", "script"}
    assert [set(part) for part in saved["script"]] == [{"row", "col", "loss", "adv"}] * len(saved["script"])


def test_an_ask_answered_in_part_keeps_its_plan(tmp_path: Path) -> None:
    p, seen = after(4, tmp_path / "run")
    (cohort,) = p.scheduler.cohorts
    plan = cohort.plan = p.accounts.admit(cohort)
    p.evaluator._call([(cohort, plan, 2)])
    saved, count = pack(cohort), seen.count
    back = unpack(saved, p.scheduler)
    assert back.plan is not None and back.plan.done == 2 and seen.count == count
    assert np.array_equal(back.plan.row, plan.row) and np.array_equal(back.spent_at_ask, cohort.spent_at_ask)
    p.evaluator.answer([back])
    assert seen.count == count + len(plan.row) - 2


def test_no_file_yet(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "none", {}).load() is None
