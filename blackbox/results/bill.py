"""The accounts of a run: what oracle, prior and journal counted from its start to its end, for the result's config."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from blackbox import areas
from blackbox.checkpoint import fingerprint
from blackbox.engine.engine import Engine
from blackbox.engine.ledger import Ledger
from blackbox.engine.spec import RunSpec
from blackbox.goals.base import Goal
from blackbox.oracle.journal import Journal
from blackbox.oracle.oracle import Oracle
from blackbox.prior import Prior
from blackbox.protocol import Attack
from blackbox.results import ended
from blackbox.results.result import AttackResult
from blackbox.statistics import Detection


def spent(prior: Prior | None) -> tuple[int, int]:
    """The gradients and the passes that a prior has taken so far."""
    return (0, 0) if prior is None else (prior.gradients, prior.passes)


class Meter:
    """Measures what oracle, prior and journal count during a run: reads each at the start, and again for the report."""

    def __init__(
        self, engine: Engine, prior: Prior | None, journal: Journal | None, begun: tuple[int, int] | None = None
    ) -> None:
        """begun: what the prior had `spent` before the run; by default what it has now."""
        oracle = engine.oracle
        self.engine, self.oracle, self.prior, self.journal, self.begin = engine, oracle, prior, journal, time.perf_counter()
        self.flags = None if oracle.flags is None else len(oracle.flags)
        self.counts, self.replayed, self.cached = oracle.counts.copy(), oracle.replayed.copy(), oracle.cached.copy()
        self.retried, self.failed, self.filled, self.seconds = oracle.retried, oracle.failed, oracle.filled, oracle.seconds
        self.busy = oracle.told_busy[0]
        self.asked = begun or spent(prior)
        self.zeros = getattr(prior, "zeros", 0)  # not every prior counts them

    def detection(self, charged: int) -> dict[str, int] | None:
        """How many of the charged queries, without the verification, a stateful detector flagged."""
        if self.flags is None:
            return None
        flags: Any = self.oracle.flags
        return asdict(Detection.of(flags[self.flags : self.flags + charged]))

    def journal_entries(self) -> dict[str, Any] | None:
        """How many queries were paid for, and how many the journal answered."""
        if self.journal is None:
            return None
        return {
            "path": str(self.journal.path),
            "paid": sum((self.oracle.counts - self.counts).values()) - self.journal.checked,
            "checked": None if self.journal.chance else self.journal.checked,
            "replayed": (self.oracle.replayed - self.replayed).total(),
            "cached": (self.oracle.cached - self.cached).total(),
            "in_doubt": self.journal.in_doubt,
        }

    def sent(self, charged: int, earlier: int) -> dict[str, int]:
        """What was charged, and what was sent to the target beside it: see `blackbox.results.summary.sent`."""
        oracle = self.oracle
        checks = oracle.counts["verify"] - self.counts["verify"] + oracle.replayed["verify"] - self.replayed["verify"]
        checks += oracle.counts["check"] - self.counts["check"]  # whether a resumed run has the same target
        cached = oracle.cached - self.cached
        return {
            "charged": charged,
            "checks": checks,
            "earlier": earlier,
            "cached": cached.total() - cached["verify"],
            "failed": oracle.failed - self.failed,
            "retried": oracle.retried - self.retried,
            "busy": oracle.told_busy[0] - self.busy,  # of those retried
            "filled": oracle.filled - self.filled,
            "in_doubt": 0 if self.journal is None else self.journal.in_doubt,
            "before": self.engine.before if self.journal is None else self.journal.before,
            "least": self.engine.least if self.journal is None else self.journal.file.least,
        }

    def prior_cost(self, images: int) -> dict[str, Any] | None:
        """The cost of the prior in an attack on this number of images."""
        if self.prior is None:
            return None
        gradients, passes = self.prior.gradients - self.asked[0], self.prior.passes - self.asked[1]
        return {
            "prior": repr(self.prior),
            "members": self.prior.members,
            "gradients": gradients,
            "passes": passes,
            "gradients_per_image": gradients / images,
            "zero_gradients": getattr(self.prior, "zeros", 0) - self.zeros,
        }


def report(
    spec: RunSpec, ledger: Ledger, carried: int, meter: Meter, error: BaseException | None = None
) -> AttackResult:
    """Make the result of a run, with its settings and accounts; ``error`` is what ended it early."""
    oracle = meter.oracle
    replayed = oracle.replayed - meter.replayed
    config: dict[str, Any] = {
        "attack": spec.name,
        "parameters": repr(spec.attack),
        "target": oracle.name,
        "access": oracle.access.name.lower(),
        "classes": oracle.classes,
        **({} if oracle.class_names is None else {"class_names": list(oracle.class_names)}),
        "reading": None if oracle.reading is None else str(oracle.reading),
        "threat": {"norm": spec.threat.norm, **asdict(spec.threat)},
        **({} if spec.asked is None else {"area": str(spec.asked)}),
        "budget": spec.most,
        **shared(spec),
        **({} if spec.max_bad is None else {"max_bad": spec.max_bad}),
        **({} if spec.tariff is None else {"tariff": asdict(spec.tariff), "flags": _flags(oracle, ledger)}),
        **({"locked_out": int(ledger.shut.sum())} if ledger.shut.any() else {}),
        "seed": spec.seed,
        "objective": spec.objective.kind,
        "targeted": spec.objective.targeted,
        "goal": None if spec.goal is None else str(spec.goal),
        **({} if spec.goal is None else {"goal_open": spec.goal.unreached(), "goal_identity": spec.goal.identity()}),
        "cohort": spec.cohort,
        "votes": spec.votes,
        "eight_bit": spec.eight_bit,
        "mask": None if spec.samples.mask is None or spec.samples.table is not None else float(spec.samples.mask.double().mean()),
        "table": None if spec.samples.table is None else spec.samples.table.about,
        **bounded(spec),
        "probe": oracle.probe,
        "detection": meter.detection(int(ledger.spent.sum()) - carried),
        "verify_rows": oracle.counts["verify"] - meter.counts["verify"],
        "check_rows": oracle.counts["check"] - meter.counts["check"],
        "failed_rows": oracle.failed - meter.failed,
        "sent": meter.sent(int(ledger.spent.sum()), carried + replayed.total()),
        "stopped": None if error is None else ended.why(error),
        "carried": carried + replayed.total() - replayed["verify"],
        "journal": meter.journal_entries(),
        "retried_rows": oracle.retried - meter.retried,
        "busy": {"rows": oracle.told_busy[0] - meter.busy, "rate": oracle.told_busy[1]},
        "seconds": time.perf_counter() - meter.begin,
        "target_seconds": oracle.seconds - meter.seconds,
        "prior": meter.prior_cost(len(spec.samples.x)),
        "parts": _parts(spec.attack, ledger),
    }
    made = AttackResult.of(ledger, spec.samples, spec.threat, config)
    if spec.goal is not None:
        made.answers.update(_compared(spec.goal, made.answers))
    if spec.asked is not None:
        return areas.reported(spec.asked, made, spec.samples.x)
    return made if spec.samples.table is None else replace(made, x_clean=spec.samples.inputs.clone())


def _flags(oracle: Oracle, ledger: Ledger) -> bool:
    """Whether the target is known to flag queries: it has a detector, or rejected one."""
    return oracle.flags is not None or bool(ledger.flagged.any())


def _compared(goal: Goal, answers: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The answers whose samples the goal compares with something that can be seen, each with that."""
    out = {}
    for sample in answers:
        picture = goal.picture(sample)
        if picture is not None:
            out[sample] = {**answers[sample], "reference": np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)}
    return out


def shared(spec: RunSpec) -> dict[str, Any]:
    """Of a run on a shared budget: its whole, and what that is an image; nothing for others."""
    return {} if spec.shared is None else {"shared_budget": {"total": len(spec.samples.x) * spec.budget, "an_image": spec.budget}}


def bounded(spec: RunSpec) -> dict[str, Any]:
    """Of a run with shares of eps, their mean over the entries that may change; of one with ranges, their mean width; and of what a
    user gave of these, or of a mask, a hash, by which `pool` tells two of the same size apart."""
    given, out = spec.samples, dict[str, Any]()
    if given.weights is not None and given.mask is not None:
        out["weights"] = float(given.weights[given.mask].double().mean())
    if given.ranges is not None:
        out["ranges"] = float((given.ranges[1] - given.ranges[0]).double().clamp(0, 1).mean())
    own = spec.asked is None and given.table is None  # the place of a patch may be drawn from the seed
    held = [v for v in ((given.mask, given.weights) if own else ()) + (given.ranges or ()) if v is not None]
    return {**out, "bounds": fingerprint(*held)} if held else out


def _parts(attack: Attack, ledger: Ledger) -> dict[str, dict[str, int]] | None:
    """The queries and successes of each part of an attack."""
    names = attack.parts
    if not names:
        return None
    spent, won = ledger.parts.sum(0), np.bincount(ledger.winner[ledger.winner >= 0], minlength=len(names))
    return {name: {"queries": int(q), "successes": int(s)} for name, q, s in zip(names, spent, won, strict=True)}
