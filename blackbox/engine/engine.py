"""`Engine`: puts the parts of the engine together. An attack proposes points; the engine projects them, decides who pays,
evaluates, checks success, keeps the best, retires finished samples, and can stop and resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blackbox.checkpoint import CheckpointError
from blackbox.engine.accounts import Accounts
from blackbox.engine.cohort import Cohort
from blackbox.engine.confirmation import Confirmation
from blackbox.engine.evaluator import Evaluator
from blackbox.engine.ledger import CODES, Ledger
from blackbox.engine.progress import Progress, Reporter
from blackbox.engine.resume import Checkpoint, same_target, uncharged
from blackbox.engine.scheduler import Scheduler
from blackbox.engine.sharing import Sharing
from blackbox.engine.spec import RunSpec
from blackbox.engine.verification import round_off, verify
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Status


class Engine:
    """Runs one attack against one oracle.

    Attributes:
        ledger: every sample's queries and results so far.
        carried: queries that a resumed run had paid before.
        checked: of them asked again, uncharged, to see whether the target is the same; None where that cannot be told.
        before, least: see `blackbox.engine.resume.Checkpoint`.
    """

    def __init__(self, spec: RunSpec, oracle: Oracle, progress: Callable[[Progress], None] | None = None) -> None:
        self.spec, self.oracle, self.progress = spec, oracle, progress
        self.ledger = Ledger.open(spec.samples.inputs, len(spec.attack.parts))
        self.carried = 0
        self.checked: int | None = 0
        self.before, self.least = 0, False

    def run(self) -> Ledger:
        """Attack all samples.

        Raises:
            TargetError: the target failed; everything reached and paid for is in ``ledger``, and in the checkpoint.
        """
        spec, oracle = self.spec, self.oracle
        if spec.checkpoint is None:
            return self._run(None, None)
        file = Checkpoint(spec.checkpoint, spec.identity(oracle), lambda: uncharged(oracle), len(spec.attack.parts))
        saved, other = file.load(), False
        self.before, self.least = file.before, file.least
        try:
            if saved is not None:
                file.mark(closed=False)
                self.ledger = Ledger.restore(saved["ledger"])
                self.carried = int(self.ledger.spent.sum())
                self.checked = same_target(spec, oracle, self.ledger)
            return self._run(file, saved)
        except CheckpointError:
            other = True
            raise
        finally:
            file.mark(closed=True, unsent=other)

    def _run(self, file: Checkpoint | None, saved: dict[str, Any] | None) -> Ledger:
        spec, oracle, led = self.spec, self.oracle, self.ledger
        scheduler = Scheduler(spec, oracle, led) if spec.shared is None else Sharing(spec, oracle, led)
        if file is not None and saved is not None:
            file.restore(saved, scheduler)
        reporter = None if self.progress is None else Reporter(self.progress, led, oracle, spec.most)
        self._step_all(scheduler, file, reporter)
        led.status[led.first > 0] = CODES[Status.SUCCESS]  # an attack that minimises continues after its first success
        verify(spec, oracle, led)
        if spec.eight_bit:
            round_off(spec, oracle, led)
        if reporter is not None:
            reporter.report(final=True)
        return led

    def _step_all(self, scheduler: Scheduler, file: Checkpoint | None, reporter: Reporter | None) -> None:
        """Step all cohorts to their end; even after an error, the ledger and the file have all examples."""
        spec, accounts = self.spec, Accounts(self.spec, self.ledger, scheduler.limits)
        evaluator = Evaluator(spec, self.oracle, accounts)
        confirmation = Confirmation(spec, evaluator, accounts)

        def answer(cohorts: list[Cohort]) -> None:
            evaluator.answer(cohorts)
            confirmation.decide(cohorts)

        def between() -> None:
            if reporter is not None:
                reporter.report()
            if file is not None:
                file.save_when_due(scheduler)

        try:
            quiet = reporter is None and file is None
            scheduler.run(evaluator.answer if spec.votes == 1 else answer, None if quiet else between)
        finally:
            for cohort in scheduler.cohorts:
                self.ledger.store(cohort)
            try:
                if file is not None:
                    file.save(scheduler)
            finally:
                scheduler.close()
