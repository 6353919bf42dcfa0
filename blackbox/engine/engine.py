"""Engine: the one loop. An attack proposes points; the engine projects them, decides who pays, evaluates, checks
success, keeps the best, retires finished samples, and can stop and go on.

Samples are worked on in cohorts: enough rows for vector arithmetic, few enough for memory. The asks of all cohorts
in flight share the target's calls, and a new cohort is opened as soon as the rows in flight get few, so that calls
stay full until the very end. None of this shows in a result: what a sample draws, asks and is told depends on
(seed, sample id) alone.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox import checkpoint as disk
from blackbox.engine import confirmation as votes
from blackbox.engine import resume
from blackbox.engine import verification as lastlook
from blackbox.engine.cohort import CLEAN, INIT, Claim, Cohort, Plan, take
from blackbox.engine.ledger import CODES, LIVE, Ledger
from blackbox.goals.objective import Objective
from blackbox.oracle.oracle import Oracle, Reply, TargetError
from blackbox.protocol import Ask, Attack, Retire, Status, Task, Tell, as_attack
from blackbox.rng import Stream
from blackbox.rowwise import scatter_rows
from blackbox.threat import Linf, Threat

_IDLE_STEPS = 100  # a row that pays for nothing in this many steps in a row is given up: an attack must not spin
_IDLE_ASKS = 1000  # the same for the Asks of a cohort: a step must not spin either


@dataclass(frozen=True)
class Progress:
    """Where a run stands: samples done of total, successes among them, queries spent, seconds since the start."""

    done: int
    total: int
    success: int
    spent: int
    seconds: float


class Engine:
    """Runs one attack against one oracle.

    Args:
        oracle: the target behind its counter. attack: what to run. threat: norm, eps, box. objective: loss and goal.
        budget: the most queries a sample may cost, its clean check included.
        seed: of all draws. cohort: rows that step together; it moves time and memory, never a result.
        start: [N, \\*shape] images the attack may start from.
        checkpoint: a file that is written every ``every`` seconds and when anything is raised, and read at the start.
        progress: called with a `Progress` a few times a second.
        votes: 1, or an odd number: a success counts when the majority of so many fresh answers, all charged, confirm it.
        eight_bit: at the end round every example to an 8-bit image, towards the original, and look at it once more.
    """

    def __init__(
        self,
        oracle: Oracle,
        attack: Attack,
        threat: Threat,
        objective: Objective,
        *,
        budget: int,
        seed: int = 0,
        cohort: int = 128,
        start: Tensor | None = None,
        checkpoint: Path | None = None,
        every: float = 30.0,
        progress: Callable[[Progress], None] | None = None,
        votes: int = 1,
        eight_bit: bool = False,
    ) -> None:
        self.oracle, self.attack, self.threat, self.objective = oracle, as_attack(attack), threat, objective
        self.budget, self.seed, self.size, self.start_images = budget, seed, cohort, start
        self.path, self.every, self.progress = checkpoint, every, progress
        self.votes, self.eight_bit = votes, eight_bit
        self.minimises = self.attack.minimises
        self.informed = self.attack.informed
        self.parts = self.attack.parts
        self.ledger: Ledger = None  # type: ignore[assignment]  # until the run begins
        self.carried = 0  # queries that a resumed run had paid before

    def run(self, x: Tensor, y: Tensor, goal: Tensor, ids: np.ndarray) -> Ledger:
        """Attack images ``x`` [N, \\*shape] with labels ``y`` [N]; ``goal`` [N] is the label to leave or the class to reach.

        Raises:
            TargetError: the target failed; the ledger so far is in ``self.ledger``, and in the checkpoint.
        """
        self.x, self.y, self.goal, self.ids = x, y, goal.numpy(force=True), ids
        self.ledger, self.waiting = Ledger.open(x, len(self.parts)), np.arange(len(x))
        self.cohorts: list[Cohort] = []
        if self.path is not None:
            starts = () if self.start_images is None else (self.start_images,)
            self.identify(x, y, goal, ids, *starts)
            if self.path.exists():
                self._restore()
        self._begin = self._shown = self._saved = time.perf_counter()
        try:
            self._loop()
            if self.path is not None:
                self._save()
        except BaseException:
            for cohort in self.cohorts:
                self._flush(cohort)
            if self.path is not None:
                self._save()
            raise
        led = self.ledger
        led.status[led.first > 0] = CODES[Status.SUCCESS]  # one that minimises goes on after its first success
        lastlook.verify(self)
        if self.eight_bit:
            lastlook.round_off(self)
        self._show(final=True)
        return self.ledger

    # -- the loop ------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while True:
            while len(self.waiting) and sum(self._alive(c) for c in self.cohorts) < self.size:
                self._open()
            if not self.cohorts:
                return
            for cohort in self.cohorts:
                if cohort.plan is None:  # a restored cohort may hold an Ask answered in part
                    cohort.plan = self._plan(cohort)
            self._evaluate()
            if self.votes > 1:
                votes.vote(self)
            for cohort in self.cohorts:
                plan, cohort.plan = cohort.plan, None
                assert plan is not None
                if self.path is not None:
                    cohort.script.append(plan)
                cohort.empty = 0 if len(plan.row) else cohort.empty + 1
                if cohort.empty >= _IDLE_ASKS:
                    self.ledger.close(cohort.samples, Status.GAVE_UP)
                self.advance(cohort, plan.tell(cohort.task))
            self.cohorts = [c for c in self.cohorts if c.ask is not None]
            self._show()
            if self.path is not None and time.perf_counter() - self._saved > self.every:
                self._save()

    def _alive(self, cohort: Cohort) -> int:
        # numpy's own flatnonzero and count_nonzero are five Python calls deep, which is slow right after a net
        return len((self.ledger.status[cohort.samples] == LIVE).nonzero()[0])

    def _open(self) -> None:
        samples, self.waiting = self.waiting[: self.size], self.waiting[self.size :]
        cohort = self.cohort_of(samples)
        cohort.ask = Ask(cohort.task.x0)  # the clean check, charged like any query
        self.cohorts.append(cohort)

    def cohort_of(self, samples: np.ndarray) -> Cohort:
        device = self.oracle.device
        x0 = self.x[torch.from_numpy(samples)].to(device)
        low = high = None
        if isinstance(self.threat, Linf):
            low = (x0 - self.threat.eps).clamp_min(self.threat.lower)
            high = (x0 + self.threat.eps).clamp_max(self.threat.upper)
        task = Task(
            x0=x0,
            ids=self.ids[samples],
            threat=self.threat if self.minimises else self.threat.bounded(x0[0].numel()),
            rng=Stream(self.seed, self.ids[samples], device if device.type != "cpu" else "cpu"),
            budget=self.budget,
            loss0=torch.zeros(len(samples), device=device),
            access=self.oracle.access,
            targeted=self.objective.targeted,
            minimises=self.minimises,
            probe=self.oracle.probe,
            resolution=self.oracle.resolution,
            noise=self.oracle.noise,
            randomised=self.oracle.randomised,
            low=low,
            high=high,
            start=None if self.start_images is None else self.start_images[torch.from_numpy(samples)].to(device),
            goal=torch.from_numpy(self.goal[samples]).to(device) if self.informed else None,
        )
        zeros = np.zeros(len(samples), np.int64)
        return Cohort(samples, task, x0.clone(), zeros, zeros, zeros)

    def _plan(self, cohort: Cohort) -> Plan:
        """Who pays: live, in the mask, within budget; decided row by row, left to right, before any call."""
        ask, task = cohort.ask, cohort.task
        assert ask is not None
        status = self.ledger.status[cohort.samples]
        pays = status == LIVE
        if ask.mask is not None:
            pays &= ask.mask.numpy(force=True)
        if ask.u is None:
            row = pays.nonzero()[0]  # a live row has at least one query left
            points = ask.x if cohort.k == CLEAN else task.project(ask.x.to(torch.float32))
            shown = [np.zeros((0, self.oracle.classes), np.float32)] if self.informed else []
            return Plan(ask, points, row, np.zeros(len(row), np.int64), len(row) == task.n, shown=shown)
        q = len(ask.u) if isinstance(ask.u, Tensor) else ask.u.count
        cohort.spent_at_ask = self.ledger.spent[cohort.samples]
        left = np.where(pays, self.budget - self.ledger.spent[cohort.samples], 0)
        row, col = np.nonzero(np.arange(q)[None] < left[:, None])
        return Plan(ask, None, row, col, False, q)

    def _evaluate(self) -> None:
        """Answer all plans, in calls of the size the oracle likes, across cohorts."""
        todo = [(c, c.plan) for c in self.cohorts if c.plan is not None and c.plan.done < len(c.plan.row)]
        waiting = sum(len(p.row) - p.done for _, p in todo)
        at = 0
        while waiting:
            size = self.oracle.next_rows(waiting)
            pieces: list[tuple[Cohort, Plan, int]] = []
            room = size
            while room:
                cohort, plan = todo[at]
                n = min(room, len(plan.row) - plan.done)
                pieces.append((cohort, plan, n))
                room -= n
                at += n == len(plan.row) - plan.done
            self._call(pieces)
            waiting -= size

    def _call(self, pieces: list[tuple[Cohort, Plan, int]]) -> None:
        made = [plan.make(cohort.task, plan.done, plan.done + n) for cohort, plan, n in pieces]
        samples = [cohort.samples[plan.row[plan.done : plan.done + n]] for cohort, plan, n in pieces]
        x = made[0] if len(made) == 1 else torch.cat(made)
        who = samples[0] if len(samples) == 1 else np.concatenate(samples)
        reply = self.submit(x, who)
        loss, adv = self.objective.judge(reply, self.goal[who])
        shown = self.objective.shown(reply, self.oracle.classes) if self.informed else None
        start = 0
        for (cohort, plan, n), points in zip(pieces, made, strict=True):
            stop = start + n
            if cohort.k == CLEAN:
                sure = reply.confidence()[start:stop]
                self._clean(cohort, plan, reply.label[start:stop], sure, loss[start:stop])
            else:
                self._credit(cohort, plan, points, loss[start:stop], adv[start:stop])
            plan.loss.append(loss[start:stop])
            plan.adv.append(adv[start:stop])
            if shown is not None and plan.points is not None:
                plan.shown.append(shown[start:stop])
            plan.done += n
            start = stop

    def submit(self, x: Tensor, who: np.ndarray) -> Reply:
        """One charged call with a row for each of the samples ``who``; an error names the sample."""
        try:
            return self.oracle.submit(x, "attack")
        except TargetError as error:
            if error.row is not None:
                renamed = TargetError(f"{error} That row belongs to sample {int(self.ids[who[error.row]])}.")
                renamed.row = error.row
                raise renamed from error
            raise

    # -- the accounts --------------------------------------------------------------------------------------------

    def _clean(self, cohort: Cohort, plan: Plan, label: Tensor, sure: Tensor, loss: np.ndarray) -> None:
        led = self.ledger
        who = cohort.samples[plan.row[plan.done : plan.done + len(loss)]]
        led.spent[who] += 1
        led.loss0[who] = led.best[who] = loss
        led.label0[who], led.sure0[who] = label.numpy(force=True), sure.numpy(force=True)
        wrong = led.label0[who] != self.y.numpy()[who]
        if self.votes == 1:
            led.close(who[wrong], Status.CLEAN_WRONG)
        else:  # a claim like any other: one wrong answer of a randomised target proves nothing
            short = self.budget - led.spent[who] < self.votes // 2 + 1
            led.close(who[wrong & short], Status.CLEAN_WRONG)
            cohort.claims += [Claim(plan.done + int(i)) for i in (wrong & ~short).nonzero()[0]]
        led.close(who[led.spent[who] >= self.budget], Status.BUDGET)

    def _credit(self, cohort: Cohort, plan: Plan, points: Tensor, loss: np.ndarray, adv: np.ndarray) -> None:
        """Charge evaluations, find successes among them, keep the best; then retire who is done."""
        led, start = self.ledger, plan.done
        row = plan.row[start : start + len(loss)]
        who = cohort.samples[row]
        if self.parts and plan.ask.part is not None:
            np.add.at(led.parts, (who, plan.ask.part_of(row)), 1)
        if plan.points is None:
            led.spent[cohort.samples] += np.bincount(row, minlength=len(cohort.samples))
        else:
            led.spent[who] += 1
            better = loss > led.best[who]
            if not self.minimises and len(kept := better.nonzero()[0]):
                led.best[who[kept]] = loss[kept]
                scatter_rows(cohort.best, row[kept], points, kept)
        if len(hit := adv.nonzero()[0]):
            self._hits(cohort, plan, points, hit)
        if start + len(loss) == len(plan.row):  # the whole Ask is answered
            asked = who if start == 0 else cohort.samples[plan.row]
            if len(over := (led.spent[asked] >= self.budget).nonzero()[0]):
                led.close(asked[over], Status.BUDGET)

    def _number(self, cohort: Cohort, plan: Plan, i: np.ndarray) -> np.ndarray:
        """Evaluations ``i`` of this call were which queries of their rows?"""
        row, col = plan.row[plan.done + i], plan.col[plan.done + i]
        return self.ledger.spent[cohort.samples[row]] if plan.points is not None else cohort.spent_at_ask[row] + col + 1

    def _hits(self, cohort: Cohort, plan: Plan, points: Tensor, hit: np.ndarray) -> None:
        """Adversarial answers: those inside the threat are successes; the first counts, the nearest is kept."""
        led, device = self.ledger, cohort.task.x0.device
        row = plan.row[plan.done + hit]
        original = cohort.task.x0[torch.from_numpy(row).to(device)]
        distance = self.threat.distance(points[torch.from_numpy(hit).to(device)], original).numpy(force=True)
        # a row may have several probes in a call: they are credited one after the other
        for j in [slice(None)] if plan.points is not None else [slice(j, j + 1) for j in range(len(hit))]:
            sample, reach = cohort.samples[row[j]], distance[j]
            inside = reach <= self.threat.eps + self.threat.tolerance
            wanted = inside & (led.first[sample] == 0)
            if self.minimises:
                wanted |= reach < led.distance[sample]
            if self.votes > 1:
                cohort.claims += [Claim(plan.done + int(i)) for i in hit[j][inside & wanted]]
                wanted &= ~inside
            if wanted.any():
                at = hit[j][wanted]
                number = self._number(cohort, plan, at)
                self.keep(cohort, row[j][wanted], points, at, reach[wanted], inside[wanted], number)

    def keep(
        self,
        cohort: Cohort,
        row: np.ndarray,
        points: Tensor,
        at: np.ndarray,
        reach: np.ndarray,
        inside: np.ndarray,
        number: np.ndarray,
    ) -> None:
        """Credit to each of m different rows the adversarial one ``at`` of the points, known since its query ``number``."""
        led, sample = self.ledger, cohort.samples[row]
        new = inside & (led.first[sample] == 0)
        led.first[sample[new]] = number[new]
        if self.parts and cohort.plan is not None and cohort.plan.ask.part is not None:
            led.winner[sample[new]] = cohort.plan.ask.part_of(row[new])
        nearer = reach < led.distance[sample]
        led.distance[sample[nearer]] = reach[nearer]
        led.trace += zip(sample[nearer].tolist(), number[nearer].tolist(), reach[nearer].tolist(), strict=True)
        scatter_rows(cohort.best, row[nearer], points, at[nearer])
        if not (self.minimises and self.threat.eps == np.inf):
            led.close(sample[inside], Status.SUCCESS)

    def _flush(self, cohort: Cohort) -> None:
        self.ledger.x[torch.from_numpy(cohort.samples)] = cohort.best.to(self.ledger.x.device)

    # -- one cohort's life ---------------------------------------------------------------------------------------

    def advance(self, cohort: Cohort, tell: Tell) -> None:
        """Hand over an answer and find the next Ask; ``cohort.ask`` is None when the cohort is through."""
        cohort.ask = None
        if not self._alive(cohort):
            self._flush(cohort)
            return
        if cohort.k == CLEAN:
            cohort.task = replace(cohort.task, loss0=tell.loss)
            self._boundary(cohort)
            return
        try:
            cohort.ask = cohort.gen.send(tell)
        except StopIteration as end:
            cohort.state = end.value
            self._boundary(cohort)

    def _boundary(self, cohort: Cohort) -> None:
        """Between steps the state is explicit: retire, compact, begin the next step."""
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
                self._flush(cohort)
                return
            if 4 * alive <= 3 * len(live):
                self._compact(cohort, live)
                spent = spent[live]
            cohort.spent_before = spent
            cohort.k += 1
            cohort.script = []
            if self.start(cohort):
                return

    def start(self, cohort: Cohort) -> bool:
        """Begin ``init`` or step k; True when there is an Ask, False when the step was over at once."""
        attack, task = self.attack, cohort.task
        made: Any = attack.init(task) if cohort.k == INIT else attack.step(task, cohort.state, cohort.k)
        if not inspect.isgenerator(made):
            cohort.state = made
            return False
        cohort.gen = made
        try:
            cohort.ask = next(cohort.gen)
        except StopIteration as end:
            cohort.state = end.value
            return False
        return True

    def _compact(self, cohort: Cohort, live: np.ndarray) -> None:
        self._flush(cohort)
        index = torch.from_numpy(live.nonzero()[0]).to(cohort.task.x0.device)
        cohort.task, cohort.state = cohort.task.take(live), take(cohort.state, index)
        cohort.best, cohort.samples = cohort.best.index_select(0, index), cohort.samples[live]
        cohort.idle = cohort.idle[live]

    # -- stop and go on ------------------------------------------------------------------------------------------

    def identify(self, *data: Tensor | np.ndarray) -> None:
        """Say which data the run is on: a part of its `settings`."""
        self._fingerprint = disk.fingerprint(*data)

    def settings(self) -> dict[str, Any]:
        """What a checkpoint must agree with, once the run is identified."""
        return {
            "attack": repr(self.attack),
            "threat": repr(self.threat),
            "objective": repr(self.objective),
            "access": self.oracle.access.name,
            "channel": f"probe={self.oracle.probe}, resolution={self.oracle.resolution}, k={self.oracle.k}, "
            f"noise={self.oracle.noise}, randomised={self.oracle.randomised}",
            "votes": self.votes,
            "budget": self.budget,
            "seed": self.seed,
            "samples": self._fingerprint,
        }

    def _save(self) -> None:
        """Each cohort at its own last boundary, with the answers that came since: nothing is ever asked twice."""
        assert self.path is not None
        for cohort in self.cohorts:
            self._flush(cohort)
        body = {
            "ledger": self.ledger.state(),
            "waiting": torch.from_numpy(self.waiting),
            "cohorts": [self._encode(c) for c in self.cohorts],
        }
        disk.write(self.path, self.settings(), body)
        self._saved = time.perf_counter()

    def _encode(self, cohort: Cohort) -> dict[str, Any]:
        return resume.pack(cohort)

    def _restore(self) -> None:
        assert self.path is not None
        body = disk.read(self.path, self.settings())
        self.ledger = Ledger.restore(body["ledger"])
        self.waiting = body["waiting"].numpy()
        self.carried = int(self.ledger.spent.sum())
        self.cohorts = [c for c in (resume.unpack(self, saved) for saved in body["cohorts"]) if c.ask is not None]

    def _show(self, final: bool = False) -> None:
        if self.progress is None:
            return
        now = time.perf_counter()
        if final or now - self._shown > 0.2:
            self._shown = now
            led = self.ledger
            success = int((led.status == CODES[Status.SUCCESS]).sum())
            done = int((led.status != LIVE).sum())
            self.progress(Progress(done, len(led.status), success, int(led.spent.sum()), now - self._begin))


def iterate(attack: Attack, task: Task) -> Iterator[Any]:
    """An attack as one endless generator of Asks that is sent Tells: the ask/tell face for one's own loop."""
    state, k = None, INIT
    while True:
        made = attack.init(task) if k == INIT else attack.step(task, state, k)
        state = (yield from made) if inspect.isgenerator(made) else made
        if isinstance(state, Retire):
            state = state.state
        if state is None and k >= 0:
            return
        k += 1
