"""`Progress`: how far a run is, reported while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from blackbox.engine.ledger import CODES, LIVE, Ledger
from blackbox.protocol import Status


@dataclass(frozen=True)
class Progress:
    """How far a run is: samples done of total, successes among them, queries spent, seconds since the start."""

    done: int
    total: int
    success: int
    spent: int
    seconds: float


class Reporter:
    """Calls ``tell`` with a `Progress`, at most five times a second."""

    def __init__(self, tell: Callable[[Progress], None], ledger: Ledger) -> None:
        self.tell, self.ledger = tell, ledger
        self.begin = self.told = time.perf_counter()

    def report(self, final: bool = False) -> None:
        """Report how far the run is, unless it was reported a moment ago."""
        now = time.perf_counter()
        if final or now - self.told > 0.2:
            self.told = now
            led = self.ledger
            success = int((led.status == CODES[Status.SUCCESS]).sum())
            done = int((led.status != LIVE).sum())
            self.tell(Progress(done, len(led.status), success, int(led.spent.sum()), now - self.begin))
