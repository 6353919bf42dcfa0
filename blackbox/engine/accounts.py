"""`Accounts`: the rules that admit, charge and credit queries, and finish samples.

The oracle counts what reaches the target; here the budget of each row is enforced, and successes are decided.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.answer import Plan
from blackbox.engine.cohort import CLEAN, Claim, Cohort
from blackbox.engine.ledger import LIVE, Ledger
from blackbox.engine.spec import RunSpec
from blackbox.protocol import Status
from blackbox.rowwise import scatter_rows

UNKNOWN = -1.0
"""The loss of a clean image that was rejected, which is not attacked: finite, and no success."""


class Accounts:
    """Decides which rows pay for an Ask, which answers are successes, and when a sample is finished."""

    def __init__(self, spec: RunSpec, ledger: Ledger, limits: np.ndarray | None = None) -> None:
        self.ledger, self.budget, self.max_bad, self.threat, self.votes = ledger, spec.budget, spec.max_bad, spec.threat, spec.votes
        self.minimises, self.parts, self.labels = spec.attack.minimises, spec.attack.parts, spec.samples.labels
        self.not_attacked, self.limits, self.tariff = spec.not_attacked, limits, spec.tariff

    def admit(self, cohort: Cohort) -> Plan:
        """Decide, before any call, which rows pay for the current Ask: live, in its mask, within budget."""
        led, ask = self.ledger, cohort.ask
        assert ask is not None
        live = led.status[cohort.samples] == LIVE
        if ask.u is None:  # a live row has at least one query left
            return Plan.of(ask, cohort.task, live, project=cohort.k != CLEAN)
        cohort.spent_at_ask = led.spent[cohort.samples]
        return Plan.of(ask, cohort.task, live, self.left(cohort.samples))

    def left(self, who: Any) -> Any:
        """How many queries the samples ``who`` may still make at once: of their budget or of a shared one, of bad ones, which all
        might be, and of a tariff."""
        led = self.ledger
        left = (self.budget if self.limits is None else self.limits[who]) - led.spent[who]
        if self.tariff is not None:
            left = np.minimum(left, self.tariff.left(led.spent[who], led.flagged[who], led.bad[who]))
        return left if self.max_bad is None else np.minimum(left, self.max_bad - led.bad[who])

    def neutral(self, who: np.ndarray) -> np.ndarray:
        """The losses [m] that stand for points which the target rejected: those of the clean images; -1 where that was rejected."""
        return np.nan_to_num(self.ledger.loss0[who], nan=UNKNOWN)

    def check_clean(
        self, cohort: Cohort, plan: Plan, label: np.ndarray, sure: np.ndarray, loss: np.ndarray, wrong: np.ndarray,
        rejected: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """Charge the next answers about clean images; a sample that is ``wrong``, misclassified or at the goal already, or that the
        target rejects, is not attacked."""
        led = self.ledger
        who = cohort.samples[plan.row[plan.done : plan.done + len(loss)]]
        led.spent[who] += 1
        if rejected is not None:  # unknown, not wrong
            led.close(who[rejected], Status.REJECTED)
            kept = ~rejected
            led.loss0[who[kept]] = led.best[who[kept]] = loss[kept]
        else:
            led.loss0[who] = led.best[who] = loss
        led.label0[who], led.sure0[who] = label, sure
        if rejected is not None:
            wrong = wrong & ~rejected
        if self.votes == 1:
            led.close(who[wrong], self.not_attacked)
        else:  # a claim like any other: one wrong answer of a randomised target proves nothing
            short = self.left(who) < self.votes // 2 + 1
            led.close(who[wrong & short], self.not_attacked)
            cohort.claims += [Claim(plan.done + int(i)) for i in (wrong & ~short).nonzero()[0]]
        led.close(who[self.left(who) <= 0], Status.BUDGET)

    def credit(self, cohort: Cohort, plan: Plan, points: Tensor, loss: np.ndarray, adv: np.ndarray) -> None:
        """Charge the plan's next answers, at ``points``: find successes, keep the best, close rows without budget."""
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
            self._credit_hits(cohort, plan, points, hit)
        if start + len(loss) == len(plan.row):  # the whole Ask is answered
            asked = who if start == 0 else cohort.samples[plan.row]
            if len(over := (self.left(asked) <= 0).nonzero()[0]):
                led.close(asked[over], Status.BUDGET)

    def _credit_hits(self, cohort: Cohort, plan: Plan, points: Tensor, hit: np.ndarray) -> None:
        """Credit adversarial answers: those inside the threat are successes; the first counts, the nearest is kept."""
        led, device = self.ledger, cohort.task.x0.device
        row = plan.row[plan.done + hit]
        distance = self.distance(cohort, points[torch.from_numpy(hit).to(device)], torch.from_numpy(row).to(device))
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
                number = self.query_number(cohort, plan, at)
                self.keep(cohort, row[j][wanted], points, at, reach[wanted], inside[wanted], number)

    def distance(self, cohort: Cohort, x: Tensor, row: Tensor) -> np.ndarray:
        """The distances of inputs ``x`` [m, \\*shape] from the clean ones of rows ``row`` [m], which may use shares of eps, [m]."""
        table, bounds = cohort.task.table, cohort.task.bounds
        if table is not None:
            return table.distance(self.threat, x, row).numpy(force=True)
        far = self.threat.distance(x, cohort.task.x0[row]) if bounds is None else bounds.take(row).distance(self.threat, x)
        return far.numpy(force=True)

    def query_number(self, cohort: Cohort, plan: Plan, i: np.ndarray) -> np.ndarray:
        """The query numbers, within their rows, of evaluations ``i`` of this call."""
        row, col = plan.row[plan.done + i], plan.col[plan.done + i]
        return self.ledger.spent[cohort.samples[row]] if plan.points is not None else cohort.spent_at_ask[row] + col + 1

    def keep(
        self, cohort: Cohort, row: np.ndarray, points: Tensor, at: np.ndarray, reach: np.ndarray, inside: np.ndarray,
        number: np.ndarray,
    ) -> None:  # fmt: skip
        """Credit each of m different rows with its adversarial point ``points[at]``, found with query ``number``."""
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

    def charge(self, sample: int) -> None:
        """Charge one fresh answer about a claim, a query like any other."""
        self.ledger.spent[sample] += 1

    def confirm(self, cohort: Cohort, claim: Claim, point: Tensor) -> None:
        """Accept a claim that the majority of fresh answers confirms: a success, or a misclassified clean image."""
        led, plan = self.ledger, cohort.plan
        assert plan is not None
        row = plan.row[[claim.at]]
        sample = cohort.samples[row]
        if cohort.k == CLEAN:
            led.close(sample, self.not_attacked)
            return
        reach = self.distance(cohort, point, torch.from_numpy(row).to(point.device))
        self.keep(cohort, row, point, np.array([0]), reach, np.array([True]), led.spent[sample])

    def reject(self, cohort: Cohort, claim: Claim) -> None:
        """Reject a claim that the majority denies, and withdraw the answer that made it."""
        plan = cohort.plan
        assert plan is not None
        if cohort.k == CLEAN:
            sample = cohort.samples[plan.row[claim.at]]
            if self.not_attacked is Status.CLEAN_WRONG:
                self.ledger.label0[sample] = self.labels[sample]
        else:
            plan.adv[0][claim.at] = False
