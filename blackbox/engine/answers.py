"""The answers that a report may show: those to clean inputs and to the examples found, of the first samples that are attacked."""

from __future__ import annotations

from typing import Any

import numpy as np

from blackbox.engine.ledger import Ledger
from blackbox.goals import excerpt
from blackbox.goals.base import Goal
from blackbox.oracle.reply import Reply

SAMPLES = 128  # whose answers are kept while a run is on


def keep(ledger: Ledger, goal: Goal, when: str, reply: Reply, who: np.ndarray, rows: np.ndarray) -> None:
    """Keep what a report shows of the answers to samples ``who`` [m], ``when``: ``"before"`` or ``"after"`` the attack.

    rows: which of the m. Only goals that are not one class need it: else a label says all."""
    for row in rows.tolist():
        sample = int(who[row])
        if reply.rejected is not None and bool(reply.rejected[row]):
            continue
        if when == "before" and sample not in ledger.answers and len(ledger.answers) < SAMPLES:
            ledger.answers[sample] = {}
        if sample in ledger.answers:
            ledger.answers[sample] = {**ledger.answers[sample], when: _excerpt(goal, reply, row, sample)}


def _excerpt(goal: Goal, reply: Reply, row: int, sample: int) -> dict[str, Any]:
    try:
        return goal.excerpt(reply, row, sample)
    except Exception:  # of a user's goal: what is shown of an answer is not worth a run
        return excerpt.text("not shown" if reply.answers is None else reply.answers[row])
