"""Votes: under a target that answers by chance, a success is the majority of fresh answers, all charged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from blackbox.engine.cohort import CLEAN, Claim, Cohort
from blackbox.engine.ledger import LIVE
from blackbox.protocol import Status

if TYPE_CHECKING:
    from blackbox.engine.engine import Engine


def vote(engine: Engine) -> None:
    """Put the claims of the answered Asks to the vote: fresh answers, charged, until a majority is certain.

    The answer that made a claim has no vote: it was picked for being what it is. A row's claims are heard one
    after the other, in the order they were made; one that the row cannot pay for lapses. Votes are asked for in
    the number that can decide at the earliest, so no cut of the calls makes a vote more or less.
    """
    for cohort in engine.cohorts:
        if cohort.claims and cohort.plan is not None:
            cohort.plan.adv = [np.concatenate(cohort.plan.adv)]  # a claim that is outvoted is taken back in it
    while called := [(c, b, n) for c in engine.cohorts for b, n in _called(engine, c)]:
        votes = [(c, b, c.plan.make(c.task, b.at, b.at + 1)) for c, b, n in called for _ in range(n)]  # type: ignore[union-attr]
        start = 0
        while start < len(votes):
            part = votes[start : start + engine.oracle.next_rows(len(votes) - start)]
            _poll(engine, part)
            start += len(part)


def _called(engine: Engine, cohort: Cohort) -> list[tuple[Claim, int]]:
    """For each live row its first open claim, with the fewest votes that could decide it."""
    led, plan, heard, kept = engine.ledger, cohort.plan, {}, []
    for claim in cohort.claims:
        assert plan is not None
        row = int(plan.row[claim.at])
        sample = cohort.samples[row]
        if led.status[sample] != LIVE:
            continue
        short = engine.votes // 2 + 1 - max(claim.yes, claim.no)
        if row not in heard:
            if engine.budget - led.spent[sample] < short:
                if cohort.k == CLEAN:
                    led.close(np.array([sample]), Status.CLEAN_WRONG)  # undecided: the first answer stands
                continue
            heard[row] = (claim, short)
        kept.append(claim)
    cohort.claims = kept
    return list(heard.values())


def _poll(engine: Engine, votes: list[tuple[Cohort, Claim, Tensor]]) -> None:
    """One call of votes: charge them, count them, and settle the claims that they decide."""
    led = engine.ledger
    who = np.array([c.samples[c.plan.row[b.at]] for c, b, _ in votes])  # type: ignore[union-attr]
    reply = engine.submit(torch.cat([point for _, _, point in votes]), who)
    _, adv = engine.objective.judge(reply, engine.goal[who])
    wrong = reply.label.numpy(force=True) != engine.y.numpy()[who]
    said = np.where([c.k == CLEAN for c, _, _ in votes], wrong, adv)
    for (cohort, claim, point), sample, yes in zip(votes, who, said, strict=True):
        led.spent[sample] += 1
        claim.yes, claim.no = claim.yes + int(yes), claim.no + int(not yes)
        if max(claim.yes, claim.no) > engine.votes // 2:
            cohort.claims.remove(claim)
            _settle(engine, cohort, claim, point, int(sample))
        if led.spent[sample] >= engine.budget:
            led.close(
                np.array([sample]),
                Status.CLEAN_WRONG if claim in cohort.claims and cohort.k == CLEAN else Status.BUDGET,
            )


def _settle(engine: Engine, cohort: Cohort, claim: Claim, point: Tensor, sample: int) -> None:
    plan, led = cohort.plan, engine.ledger
    assert plan is not None
    row = int(plan.row[claim.at])
    if cohort.k == CLEAN:
        if claim.yes > claim.no:
            led.close(np.array([sample]), Status.CLEAN_WRONG)
        else:
            led.label0[sample] = int(engine.y[sample])
    elif claim.yes > claim.no:
        reach = engine.threat.distance(point, cohort.task.x0[row : row + 1]).numpy(force=True)
        engine.keep(cohort, np.array([row]), point, np.array([0]), reach, np.array([True]), led.spent[[sample]])
    else:
        plan.adv[0][claim.at] = False
