"""`Cohort`: samples that step together, their current Ask, and its answers so far. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from blackbox.answer import Plan
from blackbox.protocol import Ask, Task

CLEAN, INIT = -2, -1  # the phases before step 0


def take(state: Any, index: Tensor) -> Any:
    """Select the rows ``index`` of a State; the first axis of every tensor in it is the batch."""
    if isinstance(state, Tensor):
        return state.index_select(0, index)
    if isinstance(state, np.ndarray):
        return state[index.numpy(force=True)]
    if isinstance(state, tuple):
        kept = [take(v, index) for v in state]
        return type(state)(*kept) if hasattr(state, "_fields") else tuple(kept)
    if is_dataclass(state) and not isinstance(state, type):
        return replace(state, **{f.name: take(getattr(state, f.name), index) for f in fields(state)})
    return state


@dataclass
class Claim:
    """A success that evaluation ``at`` of the plan claims with a randomised target, and the answers for and against it."""

    at: int
    yes: int = 0
    no: int = 0


@dataclass
class Cohort:
    """Samples that step together.

    Attributes:
        samples: [n] their indices in the ledger; the rows of ``task``, ``state`` and all other columns have this order.
        best: [n, \\*shape] the example kept so far.
        idle: [n] consecutive steps without a payment.
        spent_before, spent_at_ask: [n] payments when the step started, and when the current Ask was planned.
        k: the step, or CLEAN or INIT.
        steps: the generator of the step.
        ask, plan: the current Ask, and its answers so far.
        empty: consecutive Asks that nobody paid for.
        claims: successes of the current Ask that have to be confirmed.
        replay: answered plans since the step started, for a checkpoint.
    """

    samples: np.ndarray
    task: Task
    best: Tensor
    idle: np.ndarray
    spent_before: np.ndarray
    spent_at_ask: np.ndarray
    state: Any = None
    k: int = CLEAN
    steps: Any = None
    ask: Ask | None = None
    plan: Plan | None = None
    empty: int = 0
    claims: list[Claim] = field(default_factory=list)
    replay: list[Plan] = field(default_factory=list)

    def close(self) -> None:
        """End the step that is under way where it stands: it may hold threads (`blackbox.per_image`)."""
        if self.steps is not None:
            self.steps.close()
