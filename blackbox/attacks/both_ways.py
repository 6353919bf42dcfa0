"""Search in both directions against answers with a reversed slope (Chen et al. 2022, arXiv:2205.12134), around any attack."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from blackbox.attacks.adaptive import Adaptive
from blackbox.protocol import Access, Ask, Attack, Retire, Task, Tell
from blackbox.threat import Threat


@dataclass(frozen=True)
class BothWays(Adaptive):
    """Runs an attack twice side by side: once towards higher losses, once towards lower ones.

    AAA shows scores whose loss falls where the true one rises, within intervals of the margin; an attack that climbs what it is
    shown is led back. The second search is told losses of the opposite sign. Where it crosses from an interval to the next, the
    loss that is shown leaps up, which no small change does: such a leap counts as a gain. Each search has half of the budget, so
    against an undefended target this costs twice what the attack does.

    Departs from the paper: its adaptive attack turns Square's direction round for the whole run; here both run.

    Args:
        attack: that is wrapped; it must see scores. leap: a change of the loss, in logits, that only an edge of an interval makes.
    """

    leap: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimises or not self.leap > 0:
            raise ValueError(
                "Expected an attack that compares losses, such as square or simba, and leap > 0; there is no slope in labels, "
                f"but it was {self.attack!r} and {self.leap}."
            )

    def settle(self, access: Access, threat: Threat) -> Attack:
        settled = self.inner.settle(access, threat)
        if access is Access.LABELS or settled.minimises:  # labels have no slope that could be reversed: the attack as it is
            return settled
        return super().settle(access, threat)

    @dataclass
    class Memory:
        shown: Tensor  # [n] the loss that is shown at the best point
        true: Tensor  # [n] what it counts as

    def init(self, t: Task) -> Any:
        half = self.half(t)
        up = yield from _steps(self.inner.init(half))
        down = yield from self.through(half, self.inner.init(half), self.Memory(t.loss0, t.loss0), -1)
        return _joined(up, down)

    def step(self, t: Task, s: Any, k: int) -> Any:
        half = self.half(t)
        up = None if s[0] is None else (yield from _steps(self.inner.step(half, s[0], k)))
        down = None if s[1] is None else (yield from self.through(half, self.inner.step(half, s[1].inner, k), s[1].memory, k))
        return _joined(up, down)

    @staticmethod
    def half(t: Task) -> Task:
        return replace(t, budget=max(t.budget // 2, 1))

    def ask(self, t: Task, ask: Ask, memory: Memory, tag: str) -> Generator[Ask, Tell, tuple[Tell, Memory]]:
        """The answer with the losses turned round; a leap upwards is a gain of the rest."""
        a = yield ask
        shown = memory.shown if ask.u is None else memory.shown[:, None]
        true = memory.true if ask.u is None else memory.true[:, None]
        change = a.loss - shown
        loss = true + torch.where(change.abs() > self.leap, change, -change)
        if ask.u is None:
            better = a.paid & (loss > memory.true)
            memory = self.Memory(torch.where(better, a.loss, memory.shown), torch.where(better, loss, memory.true))
        return a._replace(loss=loss), memory


def _steps(made: Any) -> Any:
    return (yield from made) if hasattr(made, "send") else made


def _joined(up: Any, down: Any) -> Any:
    """The State of both; a row is given up where both give it up."""
    if up is None and down is None:
        return None
    rows = [s.rows if isinstance(s, Retire) else None for s in (up, down)]
    states = tuple(s.state if isinstance(s, Retire) else s for s in (up, down))
    if rows[0] is not None and rows[1] is not None:
        return Retire(states, rows[0] & rows[1], up.status)
    return states
