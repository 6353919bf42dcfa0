"""`Scheduler`: runs the cohorts from the clean check through the steps of the attack until every row is finished.

Cohorts have enough rows for vector arithmetic and few enough for memory. The Asks of all active cohorts share the target's
calls, and a new cohort is opened as soon as few rows are active, so that calls stay full until the end. None of this
affects a result: a sample's draws, queries and answers depend on (seed, sample id) alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from blackbox.engine.cohort import CLEAN, INIT, Cohort, take
from blackbox.engine.ledger import LIVE, Ledger
from blackbox.engine.spec import RunSpec
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Ask, Attack, Retire, Status, Task, Tell
from blackbox.rng import Stream
from blackbox.threat import Linf

_IDLE_STEPS = 100  # a row is given up after this many consecutive steps without a payment: an attack must not loop forever
_IDLE_ASKS = 1000  # the same for the Asks of a cohort: a step must not loop forever either


class Scheduler:
    """Opens cohorts, steps them, drops finished rows.

    Attributes:
        waiting: samples that are in no cohort yet.
        cohorts: the active ones; each has an Ask.
    """

    def __init__(self, spec: RunSpec, oracle: Oracle, ledger: Ledger) -> None:
        self.spec, self.oracle, self.ledger = spec, oracle, ledger
        self.waiting = np.arange(len(spec.samples.x))
        self.cohorts: list[Cohort] = []
        self.limits: np.ndarray | None = None  # [N] the most that each sample may cost; None: the budget
        self._attacks: dict[int, Attack] = {}  # by the first sample of its goal

    def run(self, answer: Callable[[list[Cohort]], None], between: Callable[[], None] | None = None) -> None:
        """Step all samples to their end. ``answer`` fills the plans of cohorts; ``between`` is called after each round."""
        keep = self.spec.checkpoint is not None
        while True:
            while len(self.waiting) and sum(self._alive(c) for c in self.cohorts) < self.spec.cohort:
                self._open()
            if not self.cohorts:
                return
            answer(self.cohorts)
            for cohort in self.cohorts:
                plan, cohort.plan = cohort.plan, None
                assert plan is not None
                if keep:
                    cohort.replay.append(plan)
                cohort.empty = 0 if len(plan.row) else cohort.empty + 1
                if cohort.empty >= _IDLE_ASKS:
                    self.ledger.close(cohort.samples, Status.GAVE_UP)
                self.advance(cohort, plan.tell(cohort.task))
            self.cohorts = [c for c in self.cohorts if c.ask is not None]
            if between is not None:
                between()

    def close(self) -> None:
        """End the steps that are under way, of a run that is over."""
        for cohort in self.cohorts:
            cohort.close()

    def _alive(self, cohort: Cohort) -> int:
        # numpy's own flatnonzero and count_nonzero go through several Python calls, which is slow here
        return len((self.ledger.status[cohort.samples] == LIVE).nonzero()[0])

    def _open(self) -> None:
        chosen = np.ones(len(self.waiting), bool)
        if self.spec.aimed is not None:  # a prior is aimed at one goal at a time
            goal = self.spec.aimed.alike[self.waiting]
            chosen = goal == goal[0]
        chosen &= np.cumsum(chosen) <= self.spec.cohort
        samples, self.waiting = self.waiting[chosen], self.waiting[~chosen]
        cohort = self.cohort_of(samples)
        cohort.ask = Ask(cohort.task.x0)  # the clean check, charged like any query
        self.cohorts.append(cohort)

    def cohort_of(self, samples: np.ndarray) -> Cohort:
        """Make a new cohort of these samples."""
        spec, oracle, given = self.spec, self.oracle, self.spec.samples
        device, index, threat, attack = oracle.device, torch.from_numpy(samples), self.spec.threat, self.spec.attack
        x0, table = given.x[index].to(device), None if given.table is None else given.table.take(index).to(device)
        bounds, low, high = given.bounds(threat, samples, attack.minimises, device), None, None
        if isinstance(threat, Linf) and bounds is not None:
            low, high = bounds.ball(threat.eps)
        elif isinstance(threat, Linf):
            low, high = (x0 - threat.eps).clamp_min(threat.lower), (x0 + threat.eps).clamp_max(threat.upper)
        start = None if given.start is None else given.start[index].to(device)
        task = Task(
            x0=x0,
            ids=given.ids[samples],
            threat=threat if attack.minimises else threat.bounded(x0[0].numel()),
            rng=Stream(spec.seed, given.ids[samples], device if device.type != "cpu" else "cpu"),
            budget=spec.budget,
            loss0=torch.zeros(len(samples), device=device),
            access=oracle.access if spec.goal is None else spec.goal.level(oracle.access),
            targeted=spec.objective.targeted,
            minimises=attack.minimises,
            probe=oracle.probe if table is None else max(oracle.probe, table.layout.step),
            resolution=oracle.resolution,
            noise=oracle.noise,
            randomised=oracle.randomised,
            low=low,
            high=high,
            start=start if start is None or bounds is None else bounds.seen(start),
            goal=self._goals(index).to(device) if attack.informed else None,
            mask=None if given.mask is None else given.mask[index].to(device),
            table=table,
            bounds=bounds,
        )
        zeros = np.zeros(len(samples), np.int64)
        return Cohort(samples, task, (x0 if table is None else table.x).clone(), zeros, zeros, zeros)

    def _goals(self, index: torch.Tensor) -> torch.Tensor:
        """The classes to leave or to reach; under a goal other than a class 0, "not reached", is to be left."""
        return self.spec.samples.goal[index] if self.spec.goal is None else torch.zeros_like(index)

    def _attack_on(self, samples: np.ndarray) -> Attack:
        """The attack on a cohort."""
        if self.spec.aimed is None:
            return self.spec.attack
        first = int(self.spec.aimed.alike[samples[0]])
        if first not in self._attacks:
            self._attacks[first] = self.spec.aimed.of(first)
        return self._attacks[first]

    def advance(self, cohort: Cohort, tell: Tell) -> None:
        """Send an answer to the cohort's step and get its next Ask; ``cohort.ask`` is None when the cohort is finished."""
        cohort.ask = None
        if not self._alive(cohort):
            self.ledger.store(cohort)
            cohort.close()
        elif cohort.k == CLEAN:
            cohort.task = replace(cohort.task, loss0=tell.loss, shown0=tell.shown)
            self._between_steps(cohort)
        else:
            try:
                cohort.ask = cohort.steps.send(tell)
            except StopIteration as end:
                cohort.state = end.value
                self._between_steps(cohort)

    def _between_steps(self, cohort: Cohort) -> None:
        """Between steps, when the state is explicit: retire rows, drop finished ones, start the next step that makes queries."""
        led = self.ledger
        while True:
            if isinstance(cohort.state, Retire):
                led.close(cohort.samples[cohort.state.rows.numpy(force=True)], cohort.state.status)
                cohort.state = cohort.state.state
            elif cohort.state is None and cohort.k >= 0:
                led.close(cohort.samples, Status.GAVE_UP)
            spent = led.spent[cohort.samples]
            cohort.idle = (cohort.idle + 1) * (spent == cohort.spent_before)
            if np.maximum.reduce(cohort.idle) >= _IDLE_STEPS:
                led.close(cohort.samples[cohort.idle >= _IDLE_STEPS], Status.GAVE_UP)
            live = led.status[cohort.samples] == LIVE
            alive = len(live.nonzero()[0])
            if not alive:
                led.store(cohort)
                return
            if 4 * alive <= 3 * len(live):
                self._compact(cohort, live)
                spent = spent[live]
            cohort.spent_before = spent
            if self.pauses(cohort) or self._next_step(cohort):
                return

    def pauses(self, cohort: Cohort) -> bool:
        """Whether a cohort has to wait before its next step; see `blackbox.engine.sharing`."""
        return False

    def take_up(self, cohort: Cohort) -> None:
        """Start the next step of a cohort that has waited."""
        if not self._next_step(cohort):
            self._between_steps(cohort)

    def _next_step(self, cohort: Cohort) -> bool:
        cohort.k += 1
        cohort.replay = []
        return self.begin_step(cohort)

    def begin_step(self, cohort: Cohort) -> bool:
        """Start ``init`` or step k; True if there is an Ask, False if the step ended at once."""
        made = _begin(self._attack_on(cohort.samples), cohort.task, cohort.state, cohort.k)
        if not inspect.isgenerator(made):
            cohort.state = made
            return False
        cohort.steps = made
        try:
            cohort.ask = next(cohort.steps)
        except StopIteration as end:
            cohort.state = end.value
            return False
        return True

    def _compact(self, cohort: Cohort, live: np.ndarray) -> None:
        """Drop finished rows from the cohort; their examples go to the ledger."""
        self.ledger.store(cohort)
        index = torch.from_numpy(live.nonzero()[0]).to(cohort.task.x0.device)
        cohort.task, cohort.state = cohort.task.take(live), take(cohort.state, index)
        cohort.best, cohort.samples = cohort.best.index_select(0, index), cohort.samples[live]
        cohort.idle = cohort.idle[live]


def _begin(attack: Attack, task: Task, state: Any, k: int) -> Any:
    return attack.init(task) if k == INIT else attack.step(task, state, k)


def iterate(attack: Attack, task: Task) -> Iterator[Any]:
    """An attack as one endless generator of Asks that is sent Tells: the ask/tell interface for your own loop."""
    state, k = None, INIT
    while True:
        made = _begin(attack, task, state, k)
        state = (yield from made) if inspect.isgenerator(made) else made
        if isinstance(state, Retire):
            state = state.state
        if state is None and k >= 0:
            return
        k += 1
