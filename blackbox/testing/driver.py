"""Answers Asks without an engine, to test an estimator alone on one loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.answer import run_steps
from blackbox.protocol import Task
from blackbox.rng import Stream
from blackbox.threat import Linf, Threat

_NO_LIMIT = 1_000_000


def task(x: Tensor, *, seed: int = 0, ids: np.ndarray | None = None, threat: Threat | None = None, **other: Any) -> Task:
    """Make a Task for images ``x`` [n, \\*shape] with ids 0..n-1, Linf 0.1 and a practically unlimited budget."""
    ids = np.arange(len(x), dtype=np.uint64) if ids is None else ids.astype(np.uint64)
    other.setdefault("loss0", torch.zeros(len(x)))
    return Task(x0=x, ids=ids, threat=threat or Linf(0.1), rng=Stream(seed, ids), budget=_NO_LIMIT, **other)


def drive(steps: Any, t: Task, loss: Callable[[Tensor], Tensor], until: int = _NO_LIMIT) -> tuple[Any, Tensor]:
    """Run a sub-generator to its end, and return its result and the queries of each row [n].

    Args:
        steps: the result of ``estimator.estimate(...)``.
        loss: [m, \\*shape] -> [m].
        until: after this many queries rows get no answer (NaN, as when a sample is finished).
    """
    left = np.full(t.n, until)

    def evaluate(points: Tensor, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left[:] -= np.bincount(row, minlength=t.n)
        return loss(points).to(torch.float32).numpy(force=True), np.zeros(len(row), np.bool_)

    out = run_steps(steps, t, evaluate, left)
    return out, torch.from_numpy(until - left)
