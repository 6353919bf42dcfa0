"""Windows: where in an image a change is made. Drawn by the caller, so that each search has its own draws."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from blackbox.protocol import Task


def windows(t: Task, draw: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A square at the place that ``draw`` [n, 2] gives: 1 in the rows [n, h] and columns [n, w] inside it, 0 outside
    (float32); and its corner [n, 2]."""
    _, h, w = t.grid
    corner = (draw * np.array([h - side + 1, w - side + 1], np.float32)).astype(np.int64)
    return places(h, side)[corner[:, 0]], places(w, side)[corner[:, 1]], corner


def intervals(length: int, draw: np.ndarray, side: np.ndarray) -> np.ndarray:
    """[n, length] bool: in each row an interval of ``side`` [n] entries, at the place that ``draw`` [n] gives."""
    place = np.arange(length) - (draw * (length - side + 1)).astype(np.int64)[:, None]
    return (place >= 0) & (place < side[:, None])


@lru_cache(maxsize=64)
def places(length: int, side: int) -> np.ndarray:
    """[length - side + 1, length] float32: all places of an interval of ``side`` entries among ``length``."""
    place = np.arange(length) - np.arange(length - side + 1)[:, None]
    return ((place >= 0) & (place < side)).astype(np.float32)
