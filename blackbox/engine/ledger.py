"""Ledger: what every sample has cost and reached, and the rules by which an answer is charged and credited."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from blackbox.answer import Plan
from blackbox.engine.cohort import CLEAN, Claim, Cohort
from blackbox.engine.spec import RunSpec
from blackbox.protocol import Status
from blackbox.rowwise import scatter_rows

LIVE = -1
CODES = {status: code for code, status in enumerate(Status)}
STATUSES = list(Status)


@dataclass
class Ledger:
    """Columns over all N samples; every rate is derived from them.

    Attributes:
        spent: queries charged. first: the number of the query that first succeeded, 0 where none did.
        distance: of the example kept, in the threat's norm; inf where there is none.
        best: the largest loss seen at a candidate. loss0: the loss at the clean image.
        label0, sure0: the target's label there and its probability, NaN where only labels are shown.
        label1, sure1: the same of the example kept when it was verified; -1 where it was not.
        status: LIVE or an index into `STATUSES`.
        verified: 1 the example was adversarial again in a fresh, uncharged call, 0 it was not, -1 it was not verified.
        rounded: the same of the example rounded to 8 bits, where that was asked for.
        trace: (sample, query, distance) whenever an example nearer than the one before was found.
        parts: [N, P] queries of each of the attack's parts, those that it names in `Ask.part`.
        winner: the part that succeeded first, -1 where none is known.
        x: [N, \\*shape] the example kept: the adversarial one, else the candidate with the largest loss.
    """

    spent: np.ndarray
    first: np.ndarray
    distance: np.ndarray
    best: np.ndarray
    loss0: np.ndarray
    label0: np.ndarray
    sure0: np.ndarray
    label1: np.ndarray
    sure1: np.ndarray
    status: np.ndarray
    verified: np.ndarray
    rounded: np.ndarray
    trace: list[tuple[int, int, float]]
    x: Tensor
    parts: np.ndarray
    winner: np.ndarray

    @classmethod
    def open(cls, x: Tensor, parts: int = 0) -> Ledger:
        """An empty ledger for images [N, \\*shape] and an attack of so many parts."""
        n = len(x)
        return cls(
            spent=np.zeros(n, np.int64),
            first=np.zeros(n, np.int64),
            distance=np.full(n, np.inf, np.float32),
            best=np.full(n, -np.inf, np.float32),
            loss0=np.full(n, np.nan, np.float32),
            label0=np.full(n, -1, np.int64),
            sure0=np.full(n, np.nan, np.float32),
            label1=np.full(n, -1, np.int64),
            sure1=np.full(n, np.nan, np.float32),
            status=np.full(n, LIVE, np.int8),
            verified=np.full(n, -1, np.int8),
            rounded=np.full(n, -1, np.int8),
            trace=[],
            x=x.clone(),
            parts=np.zeros((n, parts), np.int32),
            winner=np.full(n, -1, np.int16),
        )

    @property
    def live(self) -> np.ndarray:
        """[N] bool: samples that go on."""
        return self.status == LIVE

    def close(self, samples: np.ndarray, status: Status) -> None:
        """End the samples (indices) that are still live."""
        open_ = samples[self.status[samples] == LIVE]
        self.status[open_] = CODES[status]

    def stop(self, budget: int) -> None:
        """End a run that broke off: who has spent the budget is done, the others are not."""
        everyone = np.arange(len(self.status))
        self.close(everyone[self.spent >= budget], Status.BUDGET)
        self.close(everyone, Status.ERROR)

    def store(self, cohort: Cohort) -> None:
        """Take over the examples that a cohort has kept."""
        self.x[torch.from_numpy(cohort.samples)] = cohort.best.to(self.x.device)

    def state(self) -> dict[str, Tensor]:
        """The columns as tensors, for a file."""
        columns = {f.name: torch.as_tensor(getattr(self, f.name)).clone() for f in fields(self) if f.name != "trace"}
        return {**columns, "trace": torch.tensor(self.trace, dtype=torch.float64).view(-1, 3)}

    @classmethod
    def restore(cls, state: dict[str, Tensor]) -> Ledger:
        """The inverse of `state`."""
        trace = [(int(sample), int(query), distance) for sample, query, distance in state["trace"].tolist()]
        new = cls.open(state["x"], state["parts"].shape[1])  # columns that an older file lacks stay empty
        columns = {
            f.name: state[f.name].numpy() if f.name in state else getattr(new, f.name)
            for f in fields(cls)
            if f.name not in ("x", "trace")
        }
        return cls(**columns, trace=trace, x=state["x"])


class Accounts:
    """Decides who pays for an Ask, what an answer costs and earns, and when a sample is finished."""

    def __init__(self, spec: RunSpec, ledger: Ledger) -> None:
        self.ledger, self.budget, self.threat, self.votes = ledger, spec.budget, spec.threat, spec.votes
        self.minimises, self.parts, self.labels = spec.attack.minimises, spec.attack.parts, spec.samples.y.numpy()

    def admit(self, cohort: Cohort) -> Plan:
        """Who pays for the Ask in hand: live, in its mask, within budget; decided row by row, before any call."""
        led, ask = self.ledger, cohort.ask
        assert ask is not None
        live = led.status[cohort.samples] == LIVE
        if ask.u is None:  # a live row has at least one query left
            return Plan.of(ask, cohort.task, live, project=cohort.k != CLEAN)
        cohort.spent_at_ask = led.spent[cohort.samples]
        return Plan.of(ask, cohort.task, live, self.budget - cohort.spent_at_ask)

    def check_clean(self, cohort: Cohort, plan: Plan, label: np.ndarray, sure: np.ndarray, loss: np.ndarray) -> None:
        """Charge the next answers to clean images; a sample that the target gets wrong is not attacked."""
        led = self.ledger
        who = cohort.samples[plan.row[plan.done : plan.done + len(loss)]]
        led.spent[who] += 1
        led.loss0[who] = led.best[who] = loss
        led.label0[who], led.sure0[who] = label, sure
        wrong = label != self.labels[who]
        if self.votes == 1:
            led.close(who[wrong], Status.CLEAN_WRONG)
        else:  # a claim like any other: one wrong answer of a randomised target proves nothing
            short = self.budget - led.spent[who] < self.votes // 2 + 1
            led.close(who[wrong & short], Status.CLEAN_WRONG)
            cohort.claims += [Claim(plan.done + int(i)) for i in (wrong & ~short).nonzero()[0]]
        led.close(who[led.spent[who] >= self.budget], Status.BUDGET)

    def credit(self, cohort: Cohort, plan: Plan, points: Tensor, loss: np.ndarray, adv: np.ndarray) -> None:
        """Charge the plan's next answers, at ``points``: find successes, keep the best, close who has spent the budget."""
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
            if len(over := (led.spent[asked] >= self.budget).nonzero()[0]):
                led.close(asked[over], Status.BUDGET)

    def _credit_hits(self, cohort: Cohort, plan: Plan, points: Tensor, hit: np.ndarray) -> None:
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
                number = self.query_number(cohort, plan, at)
                self.keep(cohort, row[j][wanted], points, at, reach[wanted], inside[wanted], number)

    def query_number(self, cohort: Cohort, plan: Plan, i: np.ndarray) -> np.ndarray:
        """Evaluations ``i`` of this call were which queries of their rows?"""
        row, col = plan.row[plan.done + i], plan.col[plan.done + i]
        return self.ledger.spent[cohort.samples[row]] if plan.points is not None else cohort.spent_at_ask[row] + col + 1

    def keep(
        self, cohort: Cohort, row: np.ndarray, points: Tensor, at: np.ndarray, reach: np.ndarray, inside: np.ndarray,
        number: np.ndarray,
    ) -> None:  # fmt: skip
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

    def confirm(self, cohort: Cohort, claim: Claim, point: Tensor) -> None:
        """A claim that the majority of fresh answers bears out is a success, or a clean image that the target gets wrong."""
        led, plan = self.ledger, cohort.plan
        assert plan is not None
        row = plan.row[[claim.at]]
        sample = cohort.samples[row]
        if cohort.k == CLEAN:
            led.close(sample, Status.CLEAN_WRONG)
            return
        reach = self.threat.distance(point, cohort.task.x0[row[0] : row[0] + 1]).numpy(force=True)
        self.keep(cohort, row, point, np.array([0]), reach, np.array([True]), led.spent[sample])

    def reject(self, cohort: Cohort, claim: Claim) -> None:
        """A claim that the majority denies: the answer that made it is taken back."""
        plan = cohort.plan
        assert plan is not None
        if cohort.k == CLEAN:
            sample = cohort.samples[plan.row[claim.at]]
            self.ledger.label0[sample] = self.labels[sample]
        else:
            plan.adv[0][claim.at] = False
