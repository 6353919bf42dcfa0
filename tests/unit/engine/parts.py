"""Parts of an engine, put together by hand for a target of two classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
from blackbox.adopted import as_attack
from blackbox.engine import RunSpec, Samples
from blackbox.engine.accounts import Accounts
from blackbox.engine.cohort import Cohort
from blackbox.engine.evaluator import Evaluator
from blackbox.engine.ledger import Ledger
from blackbox.engine.scheduler import Scheduler
from blackbox.goals.objective import Objective
from blackbox.protocol import Ask
from blackbox.testing import Affine
from tests.toys import RandomSigns

ONE = Affine(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0.5, 0.0]))  # class 1 where x[0] > 0.5
X = torch.tensor([[0.2, 0.2], [0.3, 0.3], [0.4, 0.4]])


class Parts(NamedTuple):
    spec: RunSpec
    oracle: bb.Oracle
    ledger: Ledger
    accounts: Accounts
    evaluator: Evaluator
    scheduler: Scheduler


def parts(
    attack: Any = None, x: Tensor = X, target: Any = ONE, threat: bb.Threat | None = None, budget: int = 10,
    rows_per_call: int | None = None, access: str = "logits", **settings: Any,
) -> Parts:  # fmt: skip
    """All labels are 0; ids are 10, 11, ..."""
    y = torch.zeros(len(x), dtype=torch.int64)
    samples = Samples(x, y, y, np.arange(10, 10 + len(x), dtype=np.uint64))
    attack = as_attack(RandomSigns() if attack is None else attack)
    spec = RunSpec(attack, threat or bb.Linf(0.2), Objective(), samples, budget, **settings)
    oracle = bb.Oracle(target, access, 2, returns="logits", rows_per_call=rows_per_call)
    ledger = Ledger.open(x, len(spec.attack.parts))
    accounts = Accounts(spec, ledger)
    return Parts(spec, oracle, ledger, accounts, Evaluator(spec, oracle, accounts), Scheduler(spec, oracle, ledger))


def cohort_at(p: Parts, samples: list[int] | None = None, ask: Ask | None = None, k: int = 0) -> Cohort:
    """A cohort in step ``k`` that asks ``ask``."""
    cohort = p.scheduler.cohort_of(np.arange(len(p.spec.samples.x)) if samples is None else np.array(samples))
    cohort.k, cohort.ask = k, ask or Ask(cohort.task.x0)
    return cohort
