"""`Progress`: how far a run is, reported while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blackbox.engine.ledger import CODES, LIVE, Ledger
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Status


@dataclass(frozen=True)
class Progress:
    """How far a run is: samples done of total, successes among them, queries spent, seconds since the start.

    left: queries still to be expected (`expected_left`). paid, working: queries that the target answered since this process
    began, and the seconds since the first of them: the pace at which the rest will go. A run that was taken up again has spent
    more than it has paid.
    """

    done: int
    total: int
    success: int
    spent: int
    seconds: float
    left: float = 0.0
    paid: int = 0
    working: float = 0.0


def expected_left(spent: np.ndarray, live: np.ndarray, budget: int) -> float:
    """The queries that the live samples will still cost, if they go on as the others did.

    What a sample costs is estimated from the finished ones, with the live ones as censored (Kaplan & Meier 1958). Beyond the
    most that one has spent so far, samples are expected to end as often as in the second half of that; where none did, to use
    their budgets up.

    Args:
        spent: [N] so far. live: [N] bool, not finished.
    """
    if not live.any():
        return 0.0
    ends = spent[~live]
    at, count = np.unique(ends[ends < budget], return_counts=True)
    survive = np.cumprod(1 - count / (len(spent) - np.searchsorted(np.sort(spent), at)))
    seen = min(int(spent.max()), budget)
    often = int(count[at > seen / 2].sum()) / max(float(np.clip(spent - seen / 2, 0, None).sum()), 1.0)
    after = -np.expm1(-often * (budget - seen)) / often if often else budget - seen  # expected of one that has spent as much
    edge, height = np.concatenate([[0], at, [seen]]), np.concatenate([[1.0], survive])
    area = np.diff(edge) * height
    area[-1] += after * height[-1]
    beyond = np.append(np.cumsum(area[::-1])[::-1], 0.0)[1:]  # of each step, all that follows it
    now = np.minimum(spent[live], budget)
    step = np.searchsorted(at, now, side="right")
    own = edge[step + 1] - now + np.where(step == len(at), after, 0.0)
    return float((beyond[step] / height[step] + own).sum())


class Reporter:
    """Calls ``tell`` with a `Progress`, at most five times a second."""

    def __init__(self, tell: Callable[[Progress], None], ledger: Ledger, oracle: Oracle, budget: int) -> None:
        self.tell, self.ledger, self.oracle, self.budget = tell, ledger, oracle, budget
        self.begin = self.told = self.first = time.perf_counter()
        self.before = oracle.rows

    def report(self, final: bool = False) -> None:
        """Report how far the run is, unless it was reported a moment ago."""
        now = time.perf_counter()
        paid = self.oracle.rows - self.before
        if not paid:  # a journal is being read: the target has not been asked yet
            self.first = now
        if final or now - self.told > 0.2:
            self.told = now
            led, live = self.ledger, self.ledger.live
            success = int((led.status == CODES[Status.SUCCESS]).sum())
            done = int((led.status != LIVE).sum())
            left = expected_left(led.spent, live, self.budget)
            spent = int(led.spent.sum())
            self.tell(Progress(done, len(live), success, spent, now - self.begin, left, paid, now - self.first))
