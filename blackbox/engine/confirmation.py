"""`Confirmation`: with a randomised target, a majority of fresh, charged answers decides what is a success."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from blackbox.engine.accounts import Accounts
from blackbox.engine.cohort import CLEAN, Claim, Cohort
from blackbox.engine.evaluator import Evaluator
from blackbox.engine.ledger import CODES, LIVE
from blackbox.engine.spec import RunSpec
from blackbox.oracle.asking import LockedOut
from blackbox.protocol import Status


class Confirmation:
    """Makes fresh queries to confirm the successes that single answers claim.

    The answer that made a claim does not count, since it was selected. A row's claims are decided one after the other, in
    their order; one that the row cannot pay for lapses. The number of fresh answers is always the smallest that can decide,
    so it does not depend on how calls are split.
    """

    def __init__(self, spec: RunSpec, evaluator: Evaluator, accounts: Accounts) -> None:
        self.evaluator, self.accounts, self.ledger = evaluator, accounts, accounts.ledger
        self.majority, self.spec = spec.votes // 2 + 1, spec

    def decide(self, cohorts: list[Cohort]) -> None:
        """Decide all claims of the Asks just answered."""
        for cohort in cohorts:
            if cohort.claims and cohort.plan is not None:
                cohort.plan.adv = [np.concatenate(cohort.plan.adv)]  # a rejected claim is withdrawn in it
        while heard := [(c, claim, n) for c in cohorts for claim, n in self._next_claims(c)]:
            asked = [(c, b, c.plan.inputs(c.task, b.at, b.at + 1)) for c, b, n in heard for _ in range(n)]  # type: ignore[union-attr]
            start = 0
            while start < len(asked):
                part = asked[start : start + self.evaluator.oracle.next_rows(len(asked) - start)]
                self._ask_again(part)
                start += len(part)

    def _next_claims(self, cohort: Cohort) -> list[tuple[Claim, int]]:
        """The first open claim of each live row, with the smallest number of answers that could decide it."""
        led, plan, kept = self.ledger, cohort.plan, []
        heard: dict[int, tuple[Claim, int]] = {}
        for claim in cohort.claims:
            assert plan is not None
            row = int(plan.row[claim.at])
            sample = cohort.samples[row]
            if led.status[sample] != LIVE:
                continue
            short = self.majority - max(claim.yes, claim.no)
            if row not in heard:
                if self.accounts.left(sample) < short:
                    if cohort.k == CLEAN:
                        led.close(np.array([sample]), self.spec.not_attacked)  # undecided: the first answer stands
                    continue
                heard[row] = (claim, short)
            kept.append(claim)
        cohort.claims = kept
        return list(heard.values())

    def _ask_again(self, asked: list[tuple[Cohort, Claim, Tensor]]) -> None:
        """Make one call: charge its answers, count them, and settle the claims that they decide."""
        led = self.ledger
        who = np.array([c.samples[c.plan.row[b.at]] for c, b, _ in asked])  # type: ignore[union-attr]
        try:
            reply = self.evaluator.submit(torch.cat([point for _, _, point in asked]), who)
        except LockedOut as error:  # too few are left to decide these claims
            led.shut[who[error.rows]] = True
            led.close(who[error.rows], Status.BUDGET)
            kept = [each for i, each in enumerate(asked) if i not in error.rows]
            if kept:
                self._ask_again(kept)
            return
        _, adv = self.evaluator.judge(reply, who)
        np.add.at(led.bad, who, ~adv)
        wrong = self.spec.done(reply, adv, who)
        said = np.where([c.k == CLEAN for c, _, _ in asked], wrong, adv)
        for (cohort, claim, point), sample, yes, no_answer in zip(asked, who, said, reply.refused, strict=True):
            self.accounts.charge(sample)
            if no_answer and cohort.k == CLEAN:  # unknown, not wrong; a rejected example is one vote against it
                led.close(np.array([sample]), Status.REJECTED)
            if led.status[sample] == CODES[Status.REJECTED]:
                continue
            claim.yes, claim.no = claim.yes + int(yes), claim.no + int(not yes)
            if max(claim.yes, claim.no) >= self.majority:
                cohort.claims.remove(claim)
                if claim.yes > claim.no:
                    self.accounts.confirm(cohort, claim, point)
                else:
                    self.accounts.reject(cohort, claim)
            if self.accounts.left(sample) <= 0:
                open_clean = cohort.k == CLEAN and claim in cohort.claims
                led.close(np.array([sample]), self.spec.not_attacked if open_clean else Status.BUDGET)
