"""Answers Asks without an engine: one estimator, one loss, one account, for looking at an estimator alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Ask, Task, Tell
from blackbox.rng import Stream
from blackbox.threat import Linf, Threat


def task(x: Tensor, *, seed: int = 0, ids: np.ndarray | None = None, threat: Threat | None = None, **other: Any) -> Task:
    """A Task for images ``x`` [n, \\*shape] with ids 0..n-1, Linf 0.1 and a budget that is never in the way."""
    ids = np.arange(len(x), dtype=np.uint64) if ids is None else ids.astype(np.uint64)
    other.setdefault("loss0", torch.zeros(len(x)))
    return Task(x0=x, ids=ids, threat=threat or Linf(0.1), rng=Stream(seed, ids), budget=1_000_000, **other)


def drive(
    steps: Any, t: Task, loss: Callable[[Tensor], Tensor], until: int | None = None
) -> tuple[Any, Tensor]:
    """Run a sub-generator to its end: its return value, and what each row was asked [n].

    Args:
        steps: what ``estimator.estimate(...)`` returned. loss: [m, \\*shape] -> [m].
        until: rows stop being answered (NaN, as when a sample has ended) after this many queries.
    """
    asked = torch.zeros(t.n, dtype=torch.int64)
    if not inspect.isgenerator(steps):
        return steps, asked
    running: Any = steps
    try:
        ask = next(running)
        while True:
            ask = running.send(_answer(ask, t, loss, asked, until))
    except StopIteration as end:
        return end.value, asked


def _answer(ask: Ask, t: Task, loss: Callable[[Tensor], Tensor], asked: Tensor, until: int | None) -> Tell:
    mask = torch.ones(t.n, dtype=torch.bool) if ask.mask is None else ask.mask
    q = 1 if ask.u is None else len(ask.u) if isinstance(ask.u, Tensor) else ask.u.count
    left = torch.full((t.n,), q) if until is None else (until - asked).clamp(0, q)
    paid = (torch.arange(q)[None] < left[:, None]) & mask[:, None]
    asked += paid.sum(1)
    row, col = paid.nonzero(as_tuple=True)
    if ask.u is None:
        landed = t.project(ask.x)
        points = landed[row]
    else:
        landed = None
        move = ask.u[col] if isinstance(ask.u, Tensor) else ask.u.make(row, col)
        h = ask.h[row].view(-1, *[1] * (move.ndim - 1)) if isinstance(ask.h, Tensor) else ask.h
        points = t.clip(ask.x[row] + h * move)
    out = torch.full((t.n, q), torch.nan)
    if len(row):
        out[row, col] = loss(points)
    if ask.u is None:
        out, paid = out[:, 0], paid[:, 0]
    return Tell(out, torch.zeros_like(paid), paid, landed)
