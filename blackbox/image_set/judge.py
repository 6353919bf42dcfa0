"""What a target's answers to some images say: how near each is to being fooled, and whether it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from blackbox import given
from blackbox.engine.spec import Samples
from blackbox.goals import base as goals
from blackbox.goals.base import Goal
from blackbox.goals.objective import Objective
from blackbox.oracle.oracle import Oracle
from blackbox.oracle.reply import Reply
from blackbox.threat import Threat

Judge = Callable[[Reply, np.ndarray], tuple[np.ndarray, np.ndarray]]


def samples_of(
    oracle: Oracle, threat: Threat, x: Any, y: Any, target: Any, goal: Goal | None, ids: Any = None
) -> tuple[Samples, Judge, str]:  # fmt: skip
    """The images, checked before any query; what judges replies to images of them, by their numbers; and its name.

    Raises:
        TypeError: no oracle. ValueError, AccessError: as `blackbox.attack`.
    """
    if not isinstance(oracle, Oracle):
        raise TypeError(f"Expected an Oracle, but it was {type(oracle).__name__}. Wrap the model: blackbox.Oracle(model, ...).")
    samples = given.samples(oracle, threat, x, y, target, ids, None, None, goal)
    if goal is not None:
        bound = goals.bound(goal, oracle, len(samples.x), target)
        return samples, bound.verdict, str(bound)
    objective = Objective.behind(oracle, targeted=target is not None)

    def judge(reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return objective.judge(reply, samples.aims[who])

    return samples, judge, "another class than the true one" if target is None else "the target class"
