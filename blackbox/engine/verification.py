"""The last look: every example kept is shown to the target once more, uncharged, in a column of its own; and, where that
is asked for, once more as an 8-bit image."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from blackbox.oracle.oracle import TargetError
from blackbox.threat import eight_bit

if TYPE_CHECKING:
    from blackbox.engine.engine import Engine


def verify(engine: Engine) -> None:
    """Look at every example kept, in a fresh call."""
    led = engine.ledger
    with contextlib.suppress(TargetError):  # the attack itself is complete; what was not looked at says so
        _look(engine, np.flatnonzero((led.first > 0) & (led.verified < 0)), led.verified)


def round_off(engine: Engine) -> None:
    """Make 8-bit images of all examples, and look whether those inside the threat are still adversarial."""
    led, x, threat = engine.ledger, engine.x, engine.threat
    for start in range(0, len(x), engine.size):
        part = slice(start, min(len(x), start + engine.size))
        led.x[part] = eight_bit(led.x[part], x[part])
        reach = threat.distance(led.x[part], x[part]).numpy()
        led.distance[part] = np.where(np.isfinite(led.distance[part]), reach, np.inf)
    found = led.first > 0
    inside = led.distance <= threat.eps + threat.tolerance
    led.rounded[found & ~inside] = 0
    led.label1[found & ~inside], led.sure1[found & ~inside] = -1, np.nan
    _look(engine, np.flatnonzero(found & inside), led.rounded)


def _look(engine: Engine, who: np.ndarray, column: np.ndarray) -> None:
    """Enter into ``column`` whether the examples of samples ``who`` are adversarial: the majority of fresh looks."""
    oracle, led, start = engine.oracle, engine.ledger, 0
    while start < len(who):
        part = who[start : start + oracle.next_rows(len(who) - start)]
        index = torch.from_numpy(part)
        yes = np.zeros(len(part), np.int64)
        for _ in range(engine.votes):
            reply = oracle.submit(led.x[index].to(oracle.device), "verify")
            yes += engine.objective.judge(reply, engine.goal[part])[1]
            led.label1[part] = reply.label.numpy(force=True)
            led.sure1[part] = reply.confidence().numpy(force=True)
        column[part] = 2 * yes > engine.votes
        start += len(part)
