"""Verification: queries the target once more, uncharged, with every example kept and, if requested, its 8-bit version; the
results have their own columns."""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from blackbox.engine.ledger import Ledger
from blackbox.engine.spec import RunSpec
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.threat import eight_bit


def verify(spec: RunSpec, oracle: Oracle, ledger: Ledger) -> None:
    """Verify every example kept, in fresh calls."""
    with contextlib.suppress(TargetError):  # the attack itself is complete; examples that were not verified are marked
        _ask(spec, oracle, ledger, np.flatnonzero((ledger.first > 0) & (ledger.verified < 0)), ledger.verified)


def round_off(spec: RunSpec, oracle: Oracle, ledger: Ledger) -> None:
    """Round all examples to 8-bit images, and verify those that were adversarial and are still inside the threat."""
    led, x, threat = ledger, spec.samples.x, spec.threat
    for start in range(0, len(x), spec.cohort):
        part = slice(start, min(len(x), start + spec.cohort))
        led.x[part] = eight_bit(led.x[part], x[part])
        reach = threat.distance(led.x[part], x[part]).numpy()
        led.distance[part] = np.where(np.isfinite(led.distance[part]), reach, np.inf)
    found = led.first > 0
    inside = led.distance <= threat.eps + threat.tolerance
    led.rounded[found & ~inside] = 0
    led.label1[found & ~inside], led.sure1[found & ~inside] = -1, np.nan
    _ask(spec, oracle, led, np.flatnonzero(found & inside), led.rounded)


def _ask(spec: RunSpec, oracle: Oracle, ledger: Ledger, who: np.ndarray, column: np.ndarray) -> None:
    """Query the examples of samples ``who``, and store in ``column`` whether the majority of ``votes`` answers is adversarial."""
    goal, start = spec.samples.goal.numpy(force=True), 0
    while start < len(who):
        part = who[start : start + oracle.next_rows(len(who) - start)]
        index = torch.from_numpy(part)
        yes = np.zeros(len(part), np.int64)
        for _ in range(spec.votes):
            reply = oracle.submit(ledger.x[index].to(oracle.device), "verify")
            yes += spec.objective.judge(reply, goal[part])[1]
            ledger.label1[part] = reply.label.numpy(force=True)
            ledger.sure1[part] = reply.confidence().numpy(force=True)
        column[part] = 2 * yes > spec.votes
        start += len(part)
