"""Verification: queries the target once more, uncharged, with every example kept and, if requested, its 8-bit version; the
results have their own columns."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import Tensor

from blackbox.engine.answers import keep
from blackbox.engine.ledger import Ledger
from blackbox.engine.rounding import ROUNDINGS, rounded
from blackbox.engine.spec import RunSpec
from blackbox.goals.base import GoalError
from blackbox.oracle.asking import asking
from blackbox.oracle.oracle import Oracle, TargetError


def verify(spec: RunSpec, oracle: Oracle, ledger: Ledger) -> None:
    """Verify every example kept, in fresh calls."""
    with contextlib.suppress(TargetError, GoalError):  # the attack itself is complete; examples that were not verified are marked
        _ask(spec, oracle, ledger, np.flatnonzero((ledger.first > 0) & (ledger.verified < 0)), ledger.verified)


def round_off(spec: RunSpec, oracle: Oracle, ledger: Ledger) -> None:
    """Round all examples to 8-bit images: of several `ROUNDINGS` inside the threat the nearest that is adversarial.

    Every example is rounded towards the original and, if it was adversarial, verified. Only where that image is not, the next
    rounding is tried, which is farther; where none is, the first stays, and the example is lost.
    """
    led, x = ledger, spec.samples.x
    before, found = led.x, led.first > 0
    led.x = torch.empty_like(before)
    for start in range(0, len(x), spec.cohort):
        part = np.arange(start, min(len(x), start + spec.cohort))
        _round(spec, led, before, part, ROUNDINGS[0])
    inside = led.distance <= spec.threat.eps + spec.threat.tolerance
    led.rounded[found & ~inside] = 0
    led.label1[found & ~inside], led.sure1[found & ~inside] = -1, np.nan
    _ask(spec, oracle, led, np.flatnonzero(found & inside), led.rounded)
    for way in ROUNDINGS[1:]:
        if len(lost := np.flatnonzero(found & (led.rounded == 0))):
            _try_another(spec, oracle, led, before, lost, way)


def _round(spec: RunSpec, led: Ledger, before: Tensor, who: np.ndarray, way: str) -> None:
    """Put the examples ``before`` of samples ``who``, rounded, into the ledger, with their distances."""
    index, threat = torch.from_numpy(who), spec.threat
    given = spec.samples
    led.x[index] = made = rounded(before[index], given.x[index], threat, way, given.bounds(threat, who))
    led.distance[who] = np.where(np.isfinite(led.distance[who]), given.distance(threat, made, who), np.inf)


def _try_another(
    spec: RunSpec, oracle: Oracle, led: Ledger, before: Tensor, lost: np.ndarray, way: str
) -> None:  # fmt: skip
    """Round the examples of samples ``lost`` in another way, and keep those that are inside the threat and adversarial."""
    index = torch.from_numpy(lost)
    columns = (led.distance, led.label1, led.sure1)
    image, kept = led.x[index], [column[lost] for column in columns]
    said = {i: led.answers[i] for i in lost.tolist() if i in led.answers}
    _round(spec, led, before, lost, way)
    new = (led.x[index] != image).flatten(1).any(1).numpy()
    inside = led.distance[lost] <= spec.threat.eps + spec.threat.tolerance
    try:
        _ask(spec, oracle, led, lost[new & inside], led.rounded)
    finally:  # also when the target fails
        back = led.rounded[lost] != 1
        led.x[torch.from_numpy(lost[back])] = image[torch.from_numpy(back)]
        for column, old in zip(columns, kept, strict=True):
            column[lost[back]] = old[back]
        led.answers.update({i: said[i] for i in lost[back].tolist() if i in said})


def _ask(spec: RunSpec, oracle: Oracle, ledger: Ledger, who: np.ndarray, column: np.ndarray) -> None:
    """Query the examples of samples ``who``, and store in ``column`` whether the majority of ``votes`` answers is adversarial."""
    start = 0
    while start < len(who):
        part = who[start : start + oracle.next_rows(len(who) - start)]
        index = torch.from_numpy(part)
        yes, unknown = np.zeros(len(part), np.int64), np.zeros(len(part), np.bool_)
        for _ in range(spec.votes):
            with asking(spec.samples.ids[part], charged=False):
                reply = oracle.submit(ledger.x[index].to(oracle.device), "verify")
            yes += spec.judge(reply, part)[1]
            if reply.rejected is not None:
                unknown |= reply.rejected.numpy(force=True)
            ledger.label1[part] = reply.label.numpy(force=True)
            if spec.goal is not None:
                keep(ledger, spec.goal, "after", reply, part, np.arange(len(part)))
            ledger.sure1[part] = reply.confidence().numpy(force=True)
        column[part] = np.where(unknown & (2 * yes <= spec.votes), -1, 2 * yes > spec.votes)
        start += len(part)
