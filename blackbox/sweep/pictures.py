"""The few images of a grid point that are kept for reports: packed for a store, and unpacked.

Of the first block of a point, up to `MOST` images that it fooled, as many as `ROOM` holds. Which they are, and
every byte of them, is a function of the point alone, as all else in a store.

Kept is what was added to an image, not the image: the clean one is in the data, whose hash is in the cell's key. It is kept
in 255 steps from minus to plus its own largest entry. So the largest entry is exact, every other is off by 1/254 of it at
most, and a difference drawn on a screen, stretched to its largest entry, has no finer steps itself. (The changed image in
eight bits would be off by half of 1/255, an eighth of a change of 4/255, and a small one in L2 would be gone.)
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from blackbox.sweep import columns

STEPS = 127
MOST = 8  # images kept of one point, or of one run
ROOM = 500_000
"""Bytes that the images of one point may take before they are compressed: three photographs of 224 x 224, all eight up to
144 x 144. At least one image is kept, of any size."""


def choose(fooled: np.ndarray, labels: np.ndarray, image: Any) -> np.ndarray:
    """Which of the images ``fooled`` [n] bool are kept: of as many classes as there are, in order. ``image``: one of them."""
    return spread(np.flatnonzero(fooled), labels, max(1, min(MOST, ROOM // image.numel())))


def spread(index: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Up to ``count`` of the images ``index``, of as many classes as there are, in file order."""
    _, first = np.unique(labels[index], return_index=True)
    rest = np.setdiff1d(np.arange(len(index)), first)
    return np.sort(index[np.concatenate([first, rest])[:count]])


def pack(index: np.ndarray, clean: Any, changed: Any, said: Mapping[str, Any] | None = None) -> bytes | None:
    """The images ``index`` [m] of a block, ``clean`` and ``changed`` [n, C, H, W], as they go to a store; None for m = 0.

    said: what the target said of all n, by the name of the column of `AttackResult`.
    """
    if not len(index):
        return None
    change = np.subtract(*(images[index].numpy(force=True).astype(np.float64) for images in (changed, clean)))
    largest = np.abs(change).max((1, 2, 3))
    steps = np.rint(change * (STEPS / np.where(largest > 0, largest, 1))[:, None, None, None])
    kept = {"index": index.astype(np.int64), "largest": largest, "steps": steps.astype(np.int8)}
    return zlib.compress(columns.pack({**kept, **{name: column[index] for name, column in (said or {}).items()}}))


def unpack(packed: bytes) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What `pack` packed: index [m], the changes [m, C, H, W], and the target's answers."""
    kept = columns.joined([zlib.decompress(packed)])
    index, steps, largest = (kept.pop(name) for name in ("index", "steps", "largest"))
    return index, steps / STEPS * largest[:, None, None, None], kept
