"""A gradient source over queries: an estimator of `blackbox.estimators` instead of autograd."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from blackbox.answer import run_steps
from blackbox.goals.objective import Objective
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Task
from blackbox.rng import Stream
from blackbox.threat import Threat
from surrogates.crafting.goal import Goal


class _Estimator(Protocol):  # structurally `blackbox.estimators.Estimator`, which surrogates do not import
    def plan(self, shape: tuple[int, ...]) -> int: ...

    def estimate(self, t: Task, x: Tensor, k: int) -> Any: ...


def free_task(oracle: Oracle, x: Tensor, rng: Stream, threat: Threat, targeted: bool = False) -> Task:
    """A task for an estimator outside a search: at images ``x`` [n, \\*shape], clipped to the box alone, without a budget."""
    return Task(
        x, rng.ids, threat, rng, 1 << 62, torch.zeros(len(x), device=x.device), oracle.access, targeted,
        minimises=True,  # the ball is not around x
        probe=oracle.probe, resolution=oracle.resolution, noise=oracle.noise, randomised=oracle.randomised,
    )  # fmt: skip


class Queried:
    """Estimates the gradient of a hidden target's loss from its answers, for `surrogates.ascend` and its parts:

        source = Queried(oracle, blackbox.estimators.Groups(size=8), threat, shape)
        ascend(source, x, y, threat, presets.get("mi-fgsm").parts, steps=10, step=eps / 10, rng=...)

    Every call charges the oracle under ``purpose``. There is no budget and no success check here; `blackbox.attack` with
    fd-ifgsm has both. Use this to combine an estimate with a view, a probe or a filter.

    Args:
        oracle: the target; with label access an estimate is a difference of labels, and mostly zero.
        estimator: any of `blackbox.estimators`.
        threat: its box bounds the probes; the estimator may use the rest.
        shape: of an image.
        kind: ``"margin"`` or ``"cross-entropy"``.
        targeted: goals given as bare classes are classes to reach, not to leave.

    Attributes:
        cost: queries an image at each call (not gradients).
    """

    def __init__(
        self,
        oracle: Oracle,
        estimator: _Estimator,
        threat: Threat,
        shape: tuple[int, ...],
        kind: str = "margin",
        targeted: bool = False,
        purpose: str = "estimate",
    ) -> None:
        self.oracle, self.estimator, self.threat, self.kind = oracle, estimator, threat, kind
        self.targeted, self.purpose = targeted, purpose
        self.cost = estimator.plan(shape)

    def __call__(self, x: Tensor, goal: Tensor | Goal, rng: Stream, k: int) -> Tensor:
        """Estimate the gradient [n, \\*shape] at images [n, \\*shape] for goals [n]. Raises: TargetError, the target failed."""
        x = self.threat.clip(x)  # a look-ahead point may lie outside the box, where the target cannot be queried
        aim = Goal.of(goal, self.targeted)
        loss = Objective(self.kind, aim.targeted, self.oracle.rounding)
        task = free_task(self.oracle, x, rng, self.threat, aim.targeted)
        classes = aim.classes.numpy(force=True)

        def evaluate(points: Tensor, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return loss.judge(self.oracle(points, purpose=self.purpose), classes[row])

        return run_steps(self.estimator.estimate(task, x, k), task, evaluate)
