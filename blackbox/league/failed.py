"""A target that fails. What it says may show what a sealed one is: it goes into the host's log, and a player learns the name alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from blackbox.league.targets import Targets
from blackbox.oracle import Oracle, TargetError
from blackbox.protocol import Access
from blackbox.serving import Refused

TARGET_ENDED = 410  # HTTP's "gone": another attempt at the same call is of no use
_LOG = logging.getLogger(__name__)


class Answered(NamedTuple):
    """labels: [m], -1 where rejected. scores: [m, C] or None. rejected: [m] bool."""

    labels: list[int]
    scores: np.ndarray | None
    rejected: np.ndarray


def answered(targets: Targets, name: str, oracle: Oracle, images: np.ndarray, like: np.ndarray | None) -> Answered:
    """Ask a target about images [m, \\*shape] uint8. Where it fails it was asked all the same: every row counts as rejected.

    like: the scores of an earlier answer, None if there was none.
    """
    try:
        reply = targets.submit(oracle, images)
    except TargetError as error:
        _LOG.error("%s failed, and %d rows count as rejected: %s", name, len(images), error)
        width = targets.material.classes if like is None else len(like)
        scores = None if oracle.access is Access.LABELS else np.full((len(images), width), np.nan, np.float32)
        return Answered([-1] * len(images), scores, np.ones(len(images), bool))
    return Answered(reply.label.tolist(), None if reply.values is None else reply.values.numpy(force=True), reply.refused)


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """In this context, where a session is opened, a target that fails is a refusal with a sentence that names it."""
    try:
        yield
    except TargetError as error:
        _LOG.error("%s failed when a session was opened: %s", name, error)
        raise Refused(TARGET_ENDED, f"Expected the target {name} to answer, but it failed. The host's log says why.") from None
