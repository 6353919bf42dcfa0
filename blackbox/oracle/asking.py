"""Whose rows a call asks about: for a target that keeps an account for each image, as the league's server does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Asking:
    """ids: [m], the sample id of each row of the call. charged: the rows count; others are asked to verify what was found."""

    ids: np.ndarray
    charged: bool


class LockedOut(RuntimeError):
    """A target answers no more about some of the samples that a call is about. Nothing of that call counts: the engine makes it again
    without those rows, whose samples are finished. rows: [k] their places in the call."""

    def __init__(self, message: str, rows: np.ndarray) -> None:
        super().__init__(message)
        self.rows = rows


_NOW: ContextVar[Asking | None] = ContextVar("asking", default=None)


@contextlib.contextmanager
def asking(ids: np.ndarray, charged: bool = True) -> Iterator[None]:
    """In this context calls are about samples ``ids`` [m], row by row."""
    token = _NOW.set(Asking(ids, charged))
    try:
        yield
    finally:
        _NOW.reset(token)


def asked() -> Asking | None:
    """Whose rows the call is about that is being made; None where nobody said."""
    return _NOW.get()
