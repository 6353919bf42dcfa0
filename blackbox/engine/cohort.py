"""Cohort: samples that step together, the Ask they are in, and the answers so far. Plain data; the engine acts on it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Ask, Task, Tell
from blackbox.rowwise import deliver

CLEAN, INIT = -2, -1  # the phases before step 0


def take(state: Any, index: Tensor) -> Any:
    """Keep the rows ``index`` of a State: every tensor in it leads with the row axis."""
    if isinstance(state, Tensor):
        return state.index_select(0, index)
    if isinstance(state, np.ndarray):
        return state[index.numpy(force=True)]
    if isinstance(state, tuple):
        kept = [take(v, index) for v in state]
        return type(state)(*kept) if hasattr(state, "_fields") else tuple(kept)
    if is_dataclass(state) and not isinstance(state, type):
        return replace(state, **{f.name: take(getattr(state, f.name), index) for f in fields(state)})
    return state


@dataclass
class Plan:
    """One Ask, cut to the rows that pay. ``row`` and ``col`` name the m evaluations in order, row by row."""

    ask: Ask
    points: Tensor | None  # projected candidates [n, *shape]; None for probes
    row: np.ndarray
    col: np.ndarray
    whole: bool  # candidates, every row pays
    q: int = 1
    loss: list[np.ndarray] = field(default_factory=list)
    adv: list[np.ndarray] = field(default_factory=list)
    done: int = 0
    shown: list[np.ndarray] = field(default_factory=list)  # [m, C] pieces, for an attack that is informed

    def make(self, task: Task, start: int, stop: int) -> Tensor:
        """The points of the evaluations start..stop."""
        if self.whole:
            assert self.points is not None
            return self.points if stop - start == len(self.row) else self.points[start:stop]
        row = torch.from_numpy(self.row[start:stop]).to(task.x0.device)
        if self.points is not None:
            return self.points[row]
        ask, u = self.ask, self.ask.u
        col = torch.from_numpy(self.col[start:stop]).to(task.x0.device)
        move = u[col] if isinstance(u, Tensor) else u.make(row, col)  # type: ignore[union-attr]
        if isinstance(ask.h, Tensor):
            move = move * ask.h[row].view(-1, *[1] * (move.ndim - 1))
        elif ask.h != 1.0:
            move = move * ask.h
        return task.clip(ask.x[row] + move).to(torch.float32)

    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """Loss and success of the evaluations so far."""
        if len(self.loss) == 1:
            return self.loss[0], self.adv[0]
        return np.concatenate([*self.loss, np.zeros(0, np.float32)]), np.concatenate([*self.adv, np.zeros(0, np.bool_)])

    def display(self, n: int, device: torch.device) -> Tensor | None:
        """What the target showed, [n, C], NaN where nothing was paid; None where it is not kept."""
        if not self.shown or self.points is None:
            return None
        out = np.full((n, self.shown[0].shape[1]), np.nan, np.float32)
        out[self.row] = np.concatenate(self.shown)
        return deliver(out, device)

    def tell(self, task: Task) -> Tell:
        """The answers in the Ask's shape, NaN / False where nothing was paid."""
        (loss, adv), device = self.answers(), task.x0.device
        if self.whole:
            paid = ~np.zeros(len(adv), np.bool_)
        else:
            flat, shape = self.row * self.q + self.col, (task.n,) if self.points is not None else (task.n, self.q)
            answered, hit = loss, adv
            loss, adv, paid = np.full(shape, np.nan, np.float32), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
            loss.reshape(-1)[flat], adv.reshape(-1)[flat], paid.reshape(-1)[flat] = answered, hit, True
        shown = self.display(task.n, device)
        return Tell(deliver(loss, device), deliver(adv, device), deliver(paid, device), self.points, shown)


@dataclass
class Claim:
    """A success that one answer of a randomised target claims: evaluation ``at`` of the plan, and the votes so far."""

    at: int
    yes: int = 0
    no: int = 0


@dataclass
class Cohort:
    """Samples that step together. ``samples`` index the ledger; the tensors of task and state follow them."""

    samples: np.ndarray
    task: Task
    best: Tensor  # [n, *shape] the example kept so far
    idle: np.ndarray  # [n] steps in a row without a payment
    spent_before: np.ndarray  # [n] payments when the step began
    spent_at_ask: np.ndarray  # [n] payments when the Ask in hand was planned
    state: Any = None
    k: int = CLEAN
    gen: Any = None
    ask: Ask | None = None
    plan: Plan | None = None
    empty: int = 0  # Asks in a row that nobody paid for
    claims: list[Claim] = field(default_factory=list)  # claims of the Ask in hand that are still to be voted on
    script: list[Plan] = field(default_factory=list)  # answers since the last boundary, for a checkpoint
