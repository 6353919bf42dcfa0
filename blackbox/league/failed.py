"""A target that fails. What it says may show what a sealed one is: it goes into the host's log, and a player learns the name alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from blackbox.goals.base import GoalError
from blackbox.league.judge import Judge, Told
from blackbox.league.targets import Targets
from blackbox.oracle import Oracle, TargetError
from blackbox.protocol import Access
from blackbox.serving import Refused
from blackbox.targets.rows import encoded

TARGET_ENDED = 410  # HTTP's "gone": another attempt at the same call is of no use
_LOG = logging.getLogger(__name__)


class Answered(NamedTuple):
    """told: what the player is told of m images. reached: which of them are what the goal wants, [m] bool."""

    told: Told
    reached: np.ndarray


def answered(
    targets: Targets, name: str, oracle: Oracle, judge: Judge, images: np.ndarray, rows: np.ndarray, like: np.ndarray | None
) -> Answered:
    """Ask a target about images [m, \\*shape] uint8 of these ``rows``. Where it fails, or answers what the goal cannot judge, it was asked
    all the same: every row counts as rejected.

    like: the scores of an earlier answer, None if there was none.
    """
    try:
        told = Told.of(targets.submit(oracle, images))
        encoded(told.answers or [])  # else the journal could not keep them
        return Answered(told, judge(told, rows)[1])
    except (TargetError, GoalError, TypeError) as error:
        _LOG.error("%s failed, and %d rows count as rejected: %s", name, len(images), error)
        width = targets.material.classes if like is None else len(like)
        classes = oracle.access not in (Access.LABELS, Access.ANSWERS)
        scores = np.full((len(images), width), np.nan, np.float32) if classes else None
        return Answered(Told([-1] * len(images), scores, [True] * len(images)), np.zeros(len(images), bool))


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """In this context, where a session is opened, a target that fails is a refusal with a sentence that names it."""
    try:
        yield
    except (TargetError, GoalError) as error:
        _LOG.error("%s failed when a session was opened: %s", name, error)
        raise Refused(TARGET_ENDED, f"Expected the target {name} to answer, but it failed. The host's log says why.") from None
