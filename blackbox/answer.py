"""Answers an Ask: decides which rows pay for which points, computes these points, and builds the Tell."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Ask, Task, Tell
from blackbox.rowwise import deliver

Evaluate = Callable[[Tensor, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""points [m, \\*shape] and the rows [m] that they belong to -> loss [m] float32, adv [m] bool."""


@dataclass
class Plan:
    """One Ask, restricted to the rows that pay, and its answers so far.

    ``row`` and ``col`` [m] index the evaluations in order: row by row, within a row from left to right. ``points`` are the
    projected candidates [n, \\*shape], None for probes. ``all_pay``: candidates, and every row pays. ``q``: evaluations a row.
    ``loss``, ``adv``: the answers, one piece a call; ``done``: how many there are. ``shown``: pieces [m, C] of what the target
    showed, kept for an informed attack. ``rejected``: pieces [m] bool, of a target that may refuse an answer.
    """

    ask: Ask
    points: Tensor | None
    row: np.ndarray
    col: np.ndarray
    all_pay: bool
    q: int = 1
    loss: list[np.ndarray] = field(default_factory=list)
    adv: list[np.ndarray] = field(default_factory=list)
    done: int = 0
    shown: list[np.ndarray] = field(default_factory=list)
    rejected: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(cls, ask: Ask, task: Task, pays: np.ndarray, left: np.ndarray | None = None, project: bool = True) -> Plan:
        """Plan the evaluations of the rows that may pay, ``pays`` [n] bool, and that the Ask's mask names.

        Args:
            left: [n] how many probes each row can pay for, None for all.
            project: project candidates onto the threat.
        """
        if ask.mask is not None:
            pays = pays & ask.mask.numpy(force=True)
        if ask.u is None:
            row = pays.nonzero()[0]
            points = task.project(ask.x.to(torch.float32)) if project else ask.x
            return cls(ask, points, row, np.zeros(len(row), np.int64), len(row) == task.n)
        q = count(ask)
        row, col = np.nonzero(np.arange(q)[None] < np.where(pays, q if left is None else left, 0)[:, None])
        return cls(ask, None, row, col, False, q)

    def inputs(self, task: Task, start: int, stop: int) -> Tensor:
        """The target's inputs for these evaluations, [stop - start, \\*shape]; made late, so that memory is that of one call."""
        made = self._points(task, start, stop)
        stretched = task.bounds is not None and task.bounds.stretched
        if task.table is None and not stretched:
            return made
        row = torch.from_numpy(self.row[start:stop]).to(made.device)
        if task.bounds is not None and stretched:
            return task.bounds.shown(made, row)
        assert task.table is not None  # probes, and an attack that minimises, go outside the threat
        return task.table.shown(made, row, None if self.points is None or task.minimises else task.threat)

    def _points(self, task: Task, start: int, stop: int) -> Tensor:
        if self.all_pay:
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
        made = ask.x[row] + move
        if task.mask is not None:
            made = torch.where(task.mask[row], made, task.x0[row])
        if task.bounds is not None:
            return task.bounds.take(row).clip(made).to(torch.float32)
        return task.threat.clip(made).to(torch.float32)

    def add(
        self, loss: np.ndarray, adv: np.ndarray, shown: np.ndarray | None = None, rejected: np.ndarray | None = None
    ) -> None:
        """Store the answers to the next evaluations."""
        if rejected is not None or self.rejected:  # a target may say nothing of rejections until the first
            before = [] if self.rejected or not self.done else [np.zeros(self.done, np.bool_)]
            self.rejected += [*before, np.zeros(len(loss), np.bool_) if rejected is None else rejected]
        self.loss.append(loss)
        self.adv.append(adv)
        if shown is not None:
            self.shown.append(shown)
        self.done += len(loss)

    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """Loss and success of the evaluations so far."""
        if len(self.loss) == 1:
            return self.loss[0], self.adv[0]
        return np.concatenate([*self.loss, np.zeros(0, np.float32)]), np.concatenate([*self.adv, np.zeros(0, np.bool_)])

    def tell(self, task: Task) -> Tell:
        """Build the Tell: the answers in the Ask's shape, NaN and False where nothing was paid."""
        (loss, adv), device = self.answers(), task.x0.device
        rejected = self._rejected((task.n,) if self.points is not None else (task.n, self.q), device) if self.rejected else None
        if self.all_pay:
            paid = ~np.zeros(len(adv), np.bool_)
        else:
            flat, shape = self.row * self.q + self.col, (task.n,) if self.points is not None else (task.n, self.q)
            answered, hit = loss, adv
            loss, adv, paid = np.full(shape, np.nan, np.float32), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
            loss.reshape(-1)[flat], adv.reshape(-1)[flat], paid.reshape(-1)[flat] = answered, hit, True
        shown = self._shown(task.n, device) if self.shown else None
        return Tell(deliver(loss, device), deliver(adv, device), deliver(paid, device), self.points, shown, rejected)

    def _rejected(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        out = np.zeros(shape, np.bool_)
        out.reshape(-1)[self.row * self.q + self.col] = np.concatenate(self.rejected)
        return deliver(out, device)

    def _shown(self, n: int, device: torch.device) -> Tensor:
        out = np.full((n, self.shown[0].shape[1]), np.nan, np.float32)
        out[self.row] = np.concatenate(self.shown)
        return deliver(out, device)


def count(ask: Ask) -> int:
    """The number of evaluations that an Ask requests for each row."""
    return 1 if ask.u is None else len(ask.u) if isinstance(ask.u, Tensor) else ask.u.count


def answer(ask: Ask, task: Task, evaluate: Evaluate, left: np.ndarray | None = None) -> Tell:
    """Answer one Ask in one call. ``left``: [n] how many more evaluations each row can pay for, None for no limit."""
    plan = Plan.of(ask, task, np.ones(task.n, np.bool_) if left is None else left > 0, left)
    if len(plan.row):
        plan.add(*evaluate(plan.inputs(task, 0, len(plan.row)), plan.row))
    return plan.tell(task)


def run_steps(steps: Any, task: Task, evaluate: Evaluate, left: np.ndarray | None = None) -> Any:
    """Run a generator of Asks (an estimator, a bisection) to its end, and return its result.

    Args:
        steps: the generator; anything else is taken as the result.
        left: see `answer`; ``evaluate`` may count it down in place.
    """
    if not inspect.isgenerator(steps):
        return steps
    running: Any = steps
    try:
        ask = next(running)
        while True:
            ask = running.send(answer(ask, task, evaluate, left))
    except StopIteration as end:
        return end.value
