"""`Evaluator`: answers the Asks of all active cohorts, in calls of the size that the oracle prefers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.answer import Plan
from blackbox.engine.accounts import Accounts
from blackbox.engine.answers import keep
from blackbox.engine.cohort import CLEAN, Cohort
from blackbox.engine.locked import Piece, without
from blackbox.engine.spec import RunSpec
from blackbox.goals.base import GoalError
from blackbox.oracle.asking import LockedOut, asking
from blackbox.oracle.oracle import Oracle, Reply, TargetError
from blackbox.protocol import Ask, Status


class Evaluator:
    """Turns plans into calls of the oracle, computes loss and success of the answers, and passes them to the accounts."""

    def __init__(self, spec: RunSpec, oracle: Oracle, accounts: Accounts) -> None:
        self.oracle, self.accounts, self.spec = oracle, accounts, spec
        self.name = spec.name
        self.ids, self.informed = spec.samples.ids, spec.attack.informed
        self.detects = oracle.flags is not None
        self.shut = False

    def answer(self, cohorts: list[Cohort]) -> None:
        """Plan and answer the Ask of each cohort. In a resumed cohort it may be answered in part already."""
        todo: list[tuple[Cohort, Plan]] = []
        waiting = 0
        for cohort in cohorts:
            if (plan := cohort.plan) is None:
                ask: Any = cohort.ask
                if not (isinstance(ask, Ask) and isinstance(ask.x, Tensor) and ask.x.shape == cohort.task.x0.shape):
                    raise self._not_asked(ask, cohort)
                plan = cohort.plan = self.accounts.admit(cohort)
                if self.informed and plan.points is not None:
                    plan.shown.append(np.zeros((0, self.spec.shown_classes(self.oracle)), np.float32))
            if left := len(plan.row) - plan.done:
                todo.append((cohort, plan))
                waiting += left
        at = 0
        while waiting:
            size = self.oracle.next_rows(waiting)
            pieces: list[Piece] = []
            room = size
            while room:
                cohort, plan = todo[at]
                n = min(room, len(plan.row) - plan.done)
                pieces.append((cohort, plan, n))
                room -= n
                at += n == len(plan.row) - plan.done
            self._call(pieces)
            waiting -= size
        if self.shut:  # of whose rows the last is credited by now
            ledger, self.shut = self.accounts.ledger, False
            ledger.close(np.flatnonzero(ledger.shut), Status.BUDGET)

    def _call(self, pieces: list[Piece]) -> None:
        """Make one call with the next n evaluations of each of these plans."""
        made = [plan.inputs(cohort.task, plan.done, plan.done + n) for cohort, plan, n in pieces]
        samples = [cohort.samples[plan.row[plan.done : plan.done + n]] for cohort, plan, n in pieces]
        x = made[0] if len(made) == 1 else torch.cat(made)
        who = samples[0] if len(samples) == 1 else np.concatenate(samples)
        if not math.isfinite(float(x.sum())):  # of numbers in the box: one cheap test for all entries
            raise self._not_finite(x, who)
        try:
            reply = self.submit(x, who)
        except LockedOut as error:
            self.accounts.ledger.shut[who[error.rows]] = self.shut = True
            if kept := without(pieces, error.rows):
                self._call(kept)
            return
        loss, adv = self.judge(reply, who)
        shown = self.spec.shown(reply, loss, adv, self.oracle) if self.informed else None
        np.add.at(self.accounts.ledger.bad, who, ~adv)
        refused = None
        if reply.rejected is not None:  # nothing is known of such a point: it is as far from success as the clean image
            refused = reply.rejected.numpy(force=True)
            loss = np.where(refused, self.accounts.neutral(who), loss)
        start = 0
        for (cohort, plan, n), points in zip(pieces, made, strict=True):
            part = slice(start, start + n)
            start += n
            no = None if refused is None else refused[part]
            if cohort.k == CLEAN:
                label, sure = reply.label[part].numpy(force=True), reply.confidence()[part].numpy(force=True)
                done = self.spec.done(reply, adv, who)[part]
                self.accounts.check_clean(cohort, plan, label, sure, loss[part], done, no)
                if self.spec.goal is not None:
                    keep(self.accounts.ledger, self.spec.goal, "before", reply, who, part.start + np.flatnonzero(~done))
            else:
                self.accounts.credit(cohort, plan, points, loss[part], adv[part])
            plan.add(loss[part], adv[part], None if shown is None or plan.points is None else shown[part], no)

    def _not_asked(self, ask: Any, cohort: Cohort) -> ValueError:
        x = ask.x if isinstance(ask, Ask) else None
        shown = type(ask).__name__ if x is None else f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        return ValueError(
            f"Expected the attack {self.name} to yield Ask(x) with a tensor x of one point a row, shape {tuple(cohort.task.x0.shape)} "
            f"here, but it was {shown}. Nothing was asked. For several points a row yield several Asks, or Ask(x, u=...)."
        )

    def _not_finite(self, x: Tensor, who: np.ndarray) -> ValueError:
        row = int((~x.isfinite()).flatten(1).any(1).nonzero()[0])
        return ValueError(
            f"Expected finite points from the attack {self.name}, but one for sample {int(self.ids[who[row]])} holds NaN. It was not "
            "shown to the target. The fault is the attack's: a division by zero, perhaps, or a difference of infinities."
        )

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss and success of the reply to inputs of the samples ``who``; where the goal cannot judge it, its queries are charged
        nevertheless, and the error names the sample.

        Raises:
            GoalError: the goal cannot judge an answer.
        """
        try:
            return self.spec.judge(reply, who)
        except GoalError as error:
            for sample in who:
                self.accounts.charge(sample)
            if error.row is None:
                raise
            raise GoalError(f"{error} That answer was to sample {int(self.ids[who[error.row]])}.", error.row) from error

    def submit(self, x: Tensor, who: np.ndarray) -> Reply:
        """Make one charged call with a row for each of the samples ``who``; an error names the sample."""
        try:
            before = len(self._flags()) if self.detects else 0
            with asking(self.ids[who]):
                reply = self.oracle.submit(x, "attack")
            if self.detects or reply.rejected is not None:
                self._count_flags(reply, who, before)
            return reply
        except TargetError as error:
            if error.row is not None:
                renamed = TargetError(f"{error} That row belongs to sample {int(self.ids[who[error.row]])}.")
                renamed.row = error.row
                raise renamed from error
            raise

    def _flags(self) -> np.ndarray:
        flags = self.oracle.flags
        return np.zeros(0, np.bool_) if flags is None else flags

    def _count_flags(self, reply: Reply, who: np.ndarray, before: int) -> None:
        """Count the rows of this call that the target rejected, or that its detector flagged."""
        flagged = reply.refused
        if len(seen := self._flags()[before:]) == len(who):
            flagged = flagged | seen
        np.add.at(self.accounts.ledger.flagged, who, flagged)
