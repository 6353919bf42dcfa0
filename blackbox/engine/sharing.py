"""`Sharing`: runs a set of images on one budget, which goes to those near the boundary first.

Every image gets a first slice. Then all wait for each other, and the next slice goes to the half of those still standing that is nearest
to the goal; again, until the whole is spent or nobody is left. This is successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943)
between images instead of settings; *departs from it*: an image that waits is never out, and the halves are drawn anew each time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from blackbox.engine.cohort import Cohort, take
from blackbox.engine.ledger import LIVE, Ledger
from blackbox.engine.scheduler import Scheduler
from blackbox.engine.spec import RunSpec
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Status
from blackbox.threat import Threat

SLICES = 10  # a slice is the budget of an image divided by this (ours)
SERVED = 0.5  # of those who wait, the share that gets the next slice: halving


def cap_of(wanted: bool, cap: int | None, budget: int, images: int, file: Path | None, threat: Threat, one_step: bool) -> int | None:
    """The most that an image may cost of a shared budget; None where it is not shared.

    Raises:
        ValueError: it cannot be shared so; nothing has been asked.
    """
    if not wanted:
        if cap is not None:
            raise ValueError("Expected cap= with shared_budget=True, but the budget was not shared. Leave it out: budget= is the cap.")
        return None
    if file is not None:
        raise ValueError(
            "Expected no checkpoint with shared_budget, whose images wait for each other, but one was given. Give journal=path instead: "
            "a killed run goes on from it."
        )
    if one_step:
        raise ValueError(
            "Expected an attack whose images can wait for each other with shared_budget, but this one makes all its queries in one step. "
            "Leave shared_budget out."
        )
    if threat.eps == np.inf:
        raise ValueError(f"Expected a finite eps with shared_budget, so that an image can be done, but the threat was {threat}.")
    return min(10 * budget if cap is None else cap, images * budget)


class Sharing(Scheduler):
    """A scheduler that stops images between steps once they have spent their slice, and decides who goes on.

    It decides when all have stopped, from the ledger alone, so that a result is a function of the seed and the set of images,
    whatever the cohorts. What images may spend before the next decision is never more than what is left.

    Attributes:
        limits, allowed: [N] the most that each may have spent, which `Accounts` keeps. slices: [N] where each stops.
        parked: those who wait, between two steps.
    """

    def __init__(self, spec: RunSpec, oracle: Oracle, ledger: Ledger) -> None:
        super().__init__(spec, oracle, ledger)
        n = len(spec.samples.x)
        self.total, self.slice = n * spec.budget, max(spec.budget // SLICES, 1)
        self.limits = self.allowed = np.full(n, spec.budget, np.int64)
        self.slices = np.full(n, self.slice, np.int64)
        self.parked: list[Cohort] = []

    def run(self, answer: Callable[[list[Cohort]], None], between: Callable[[], None] | None = None) -> None:
        """Step all samples until they have come to their end, or the whole is spent."""
        try:
            super().run(answer, between)
            while self._serve():
                super().run(answer, between)
        finally:
            for cohort in self.parked:
                self.ledger.store(cohort)

    def pauses(self, cohort: Cohort) -> bool:
        """Take out of a cohort, between two steps, the rows that have spent their slice; whether none is left."""
        led = self.ledger
        live = led.status[cohort.samples] == LIVE
        waits = live & (led.spent[cohort.samples] >= self.slices[cohort.samples])
        if not waits.any():
            return False
        self.parked.append(self._part(cohort, waits))
        if not (goes := live & ~waits).any():
            return True
        before = cohort.spent_before[goes]
        self._compact(cohort, goes)
        cohort.spent_before = before
        return False

    def _part(self, cohort: Cohort, rows: np.ndarray) -> Cohort:
        """Some rows of a cohort between two steps, as a cohort of their own."""
        self.ledger.store(cohort)
        index = torch.from_numpy(rows.nonzero()[0]).to(cohort.task.x0.device)
        return Cohort(
            cohort.samples[rows], cohort.task.take(rows), cohort.best.index_select(0, index), cohort.idle[rows], cohort.spent_before[rows],
            self.ledger.spent[cohort.samples[rows]], take(cohort.state, index), cohort.k,
        )  # fmt: skip

    def _serve(self) -> bool:
        """Give the next slice to some of those who wait; False when nothing is left, or nobody."""
        led = self.ledger
        waiting = np.concatenate([c.samples for c in self.parked]) if self.parked else np.zeros(0, np.int64)
        left = self.total - int(led.spent.sum())
        led.close(waiting[led.spent[waiting] >= self.spec.most], Status.BUDGET)
        waiting = waiting[led.status[waiting] == LIVE]
        if not len(waiting) or left < 1:
            led.close(waiting, Status.BUDGET)
            return False
        # fewer towards the end, so that one who needs a little more than a slice for its step is not cut off
        count = max(min(int(np.ceil(SERVED * len(waiting))), left // (2 * self.slice)), 1)
        served = waiting[np.lexsort((self.spec.samples.ids[waiting], -self._near(waiting)))[:count]]
        self.allowed[served] = np.minimum(led.spent[served] + left // count, self.spec.most)
        self.slices[served] = led.spent[served] + self.slice
        parked, self.parked = self.parked, []
        for cohort in parked:
            go, stay = np.isin(cohort.samples, served), np.isin(cohort.samples, waiting) & ~np.isin(cohort.samples, served)
            if stay.any():
                self.parked.append(self._part(cohort, stay))
            if go.any():
                self.take_up(part := self._part(cohort, go))
                if part.ask is not None:
                    self.cohorts.append(part)
        return True

    def _near(self, who: np.ndarray) -> np.ndarray:
        """How near to the goal they are: the largest loss so far, or the least distance of an example."""
        return -self.ledger.distance[who] if self.spec.attack.minimises else self.ledger.best[who]
