"""Saves a run in its checkpoint, and restores it.

Between steps the State is explicit and is saved directly. Inside a step it is not, so the answers since the step started
are saved too and replayed: the step makes the same queries again, and nothing is paid for twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox import checkpoint as disk
from blackbox.answer import Plan, count
from blackbox.engine.accounts import UNKNOWN
from blackbox.engine.cohort import CLEAN, Claim, Cohort
from blackbox.engine.ledger import Ledger
from blackbox.engine.scheduler import Scheduler
from blackbox.engine.spec import RunSpec
from blackbox.oracle.oracle import UNCHARGED, Oracle, Reply
from blackbox.oracle.same import odd, same_answer
from blackbox.protocol import Ask

_EVERY = 30.0  # seconds between two writes
CHECKED = 4  # clean images, and as many examples, that are asked again when a run is taken up


class Checkpoint:
    """The checkpoint file of a run: each cohort at the start of its step, with the answers since then.

    Args:
        identity: what the file must agree with (`RunSpec.identity`). parts: how many the attack has; None: not compared.
        uncharged: how many rows were sent without a charge so far, by this process.

    Attributes:
        before: rows sent without a charge in earlier runs. least: there may have been more rows: one was killed, or was of a
            version that did not count.
    """

    def __init__(self, path: Path, identity: dict[str, Any], uncharged: Callable[[], int] = lambda: 0, parts: int | None = None) -> None:
        self.path, self.identity, self.parts, self._saved = path, identity, parts, time.perf_counter()
        self.before, self.least, self._body = 0, False, None  # type: int, bool, dict[str, Any] | None
        self._uncharged, self._begin = uncharged, uncharged()

    def load(self) -> dict[str, Any] | None:
        """Load the file's content; None if there is no file yet. Raises: CheckpointError."""
        if not self.path.exists():
            return None
        self._body = body = disk.read(self.path, self.identity)
        if self.parts not in (None, there := body["ledger"]["parts"].shape[1]):
            self._body = None
            raise self._of_another_version(f"{there} parts instead of {self.parts}")
        self.before, self.least = body.get("uncharged", 0), not body.get("closed") or body["least"]
        return body

    def restore(self, body: dict[str, Any], scheduler: Scheduler) -> None:
        """Restore the waiting samples and the active cohorts."""
        scheduler.waiting = body["waiting"].numpy()
        try:
            scheduler.cohorts = [c for c in (unpack(saved, scheduler) for saved in body["cohorts"]) if c.ask is not None]
        except disk.CheckpointError:
            raise
        except Exception as error:  # whatever a search makes of a state, or of answers, that are not its own
            raise self._of_another_version(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from error

    def _of_another_version(self, why: str) -> disk.CheckpointError:
        attack = str(self.identity.get("attack")).partition("(")[0]
        return disk.CheckpointError(
            f"Expected {self.path} to be of this version's {attack}, but it does not go on from there ({why}). "
            "Remove the file to start afresh, or finish the run with the version that wrote it."
        )

    def save(self, scheduler: Scheduler) -> None:
        """Write the file atomically."""
        for cohort in scheduler.cohorts:
            scheduler.ledger.store(cohort)
        body = {
            "ledger": scheduler.ledger.state(),
            "waiting": torch.from_numpy(scheduler.waiting),
            "cohorts": [pack(c) for c in scheduler.cohorts],
        }
        self._body = body
        self.mark(closed=False)
        self._saved = time.perf_counter()

    def mark(self, closed: bool, unsent: bool = False) -> None:
        """Write the last content with the count of uncharged rows; after a kill it is not ``closed``, and more may have been
        sent. unsent: leave out those of this process, which went to another target."""
        if self._body is not None:
            now = 0 if unsent else self._uncharged() - self._begin
            accounts = {"uncharged": self.before + now, "closed": closed, "least": self.least}
            disk.write(self.path, self.identity, {**self._body, **accounts})

    def save_when_due(self, scheduler: Scheduler) -> None:
        """Write the file every half minute."""
        if time.perf_counter() - self._saved > _EVERY:
            self.save(scheduler)


def uncharged(oracle: Oracle) -> int:
    """How many rows were sent to the target without a charge to the run."""
    return sum(oracle.counts[p] for p in UNCHARGED) + oracle.failed + oracle.retried + oracle.filled


def same_target(spec: RunSpec, oracle: Oracle, ledger: Ledger) -> int | None:
    """Ask again, uncharged, about a few clean images and examples of a checkpoint: how many. None where the target answers by
    chance, or a detector counts what it is asked, so that it cannot be told whether it is the same.

    Raises:
        CheckpointError: the target answers otherwise than it did: another one of the same name.
    """
    if oracle.randomised or oracle.flags is not None:
        return None
    def ask(who: np.ndarray, images: Tensor) -> Iterator[tuple[np.ndarray, Reply, np.ndarray, np.ndarray]]:
        start = 0
        while start < len(who):
            part = who[start : start + oracle.next_rows(len(who) - start)]
            start += len(part)
            reply = oracle.submit(images[torch.from_numpy(part)].to(oracle.device), "check")
            yield part, reply, *spec.judge(reply, part)

    clean, found = np.isfinite(ledger.loss0).nonzero()[0][:CHECKED], np.isfinite(ledger.distance).nonzero()[0][-CHECKED:]
    other = 0
    for part, reply, loss, _ in ask(clean, spec.samples.inputs):
        same = ledger.label0[part] == reply.label.numpy(force=True)
        if reply.rejected is not None:  # says nothing
            refused = reply.rejected.numpy(force=True)
            same, loss = same | refused, np.where(refused, ledger.loss0[part], loss)
        if not oracle.resolution:  # a rounded score may fall to either side
            same &= [same_answer([a], [b]) for a, b in zip(ledger.loss0[part], loss, strict=True)]
        other += int((~same).sum())
    for _, reply, _, adv in ask(found, ledger.x):
        other += int((~adv & ~reply.refused).sum())
    asked = len(clean) + len(found)
    if other > odd(asked):
        raise disk.CheckpointError(
            f"Expected the target that the checkpoint {spec.checkpoint} was begun on, but {oracle.name}, asked again about "
            f"{asked} clean images and examples, answers {other} otherwise: another model of the same name? Nothing was paid. "
            "Give the model of then, or another file; if it is the same and answers by chance, Oracle(..., randomised=True)."
        )
    return asked


def pack(cohort: Cohort) -> dict[str, Any]:
    """A cohort at the start of its step, and the answers since then, with the keys of the file."""
    answered = cohort.replay + ([cohort.plan] if cohort.plan is not None and cohort.plan.done else [])
    return {
        "samples": torch.from_numpy(cohort.samples),
        "idle": torch.from_numpy(cohort.idle),
        "spent_before": torch.from_numpy(cohort.spent_before),
        "k": cohort.k,
        "state": disk.encode(cohort.state),
        **({} if cohort.task.shown0 is None else {"shown0": cohort.task.shown0.cpu()}),
        "ballots": torch.tensor([(c.at, c.yes, c.no) for c in cohort.claims], dtype=torch.int64).view(-1, 3),
        "script": [
            {
                "row": torch.from_numpy(plan.row),
                "col": torch.from_numpy(plan.col),
                "loss": torch.from_numpy(loss),
                "adv": torch.from_numpy(adv),
                **({"shown": torch.from_numpy(np.concatenate(plan.shown))} if plan.shown else {}),
                **({"rejected": torch.from_numpy(np.concatenate(plan.rejected))} if plan.rejected else {}),
            }
            for plan in answered
            for loss, adv in [plan.answers()]
        ],
    }


def unpack(saved: dict[str, Any], scheduler: Scheduler) -> Cohort:
    """The inverse of `pack`: build the cohort, start its step, and replay its answers."""
    ledger, samples, device = scheduler.ledger, saved["samples"].numpy(), scheduler.oracle.device
    cohort = scheduler.cohort_of(samples)
    cohort.best = ledger.x[torch.from_numpy(samples)].to(device)
    cohort.idle, cohort.spent_before = saved["idle"].numpy(), saved["spent_before"].numpy()
    cohort.k = saved["k"]
    cohort.state = disk.decode(saved["state"], device)
    cohort.claims = [Claim(*row) for row in saved["ballots"].tolist()]
    if cohort.k == CLEAN:
        cohort.ask = Ask(cohort.task.x0)
    else:
        loss0 = torch.from_numpy(np.nan_to_num(ledger.loss0[samples], nan=UNKNOWN))  # as they were: see `Accounts.neutral`
        shown0 = saved.get("shown0")
        cohort.task = replace(cohort.task, loss0=loss0.to(device), shown0=None if shown0 is None else shown0.to(device))
        scheduler.begin_step(cohort)
    for i, part in enumerate(saved["script"]):
        plan = _answered(cohort, part, ledger)
        last = i + 1 == len(saved["script"])
        if plan.done < len(plan.row) or (cohort.claims and last):
            # the call that failed: the rest of this Ask has to be answered, or its claims decided
            cohort.plan = plan
            break
        cohort.replay.append(plan)
        if last:
            scheduler.advance(cohort, plan.tell(cohort.task))
        else:  # the step continued; rows that finished in a later Ask are in the ledger already
            cohort.ask = cohort.steps.send(plan.tell(cohort.task))
    return cohort


def _answered(cohort: Cohort, part: dict[str, Tensor], ledger: Ledger) -> Plan:
    """The plan of the current Ask, with the answers of the file."""
    ask = cohort.ask
    assert ask is not None
    row, loss = part["row"].numpy(), part["loss"].numpy()
    points = None
    if ask.u is None:
        points = ask.x if cohort.k == CLEAN else cohort.task.project(ask.x.to(torch.float32))
    else:
        paid_in_part = np.bincount(row[: len(loss)], minlength=len(cohort.samples))
        cohort.spent_at_ask = ledger.spent[cohort.samples] - paid_in_part
    all_pay = points is not None and len(row) == cohort.task.n
    plan = Plan(ask, points, row, part["col"].numpy(), all_pay, count(ask))
    shown, rejected = (part[name].numpy() if name in part else None for name in ("shown", "rejected"))
    plan.add(loss, part["adv"].numpy(), None if points is None else shown, rejected)
    return plan
