"""k-center: the images farthest from all that were asked about, and from one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surrogates.acquisition.base import Rounds, Situation
from surrogates.nets.predict import logits


@dataclass(frozen=True)
class KCenter(Rounds):
    """Greedy k-center (Sener & Savarese 2018, arXiv:1708.00489, algorithm 1) in the space of the surrogate's
    probabilities (Pal et al. 2020, "ActiveThief")."""

    def pick(self, now: Situation, count: int) -> np.ndarray:
        return spread_out(now, now.left, count)


def spread_out(now: Situation, places: np.ndarray, count: int) -> np.ndarray:
    """``count`` of the ``places`` in the pool by greedy k-center, the images asked about being the first centres."""
    assert now.asked is not None

    def probabilities(images: Tensor) -> np.ndarray:
        return logits(now.net, images).double().softmax(1).numpy()

    points = probabilities(now.pool[torch.from_numpy(places)])
    return places[farthest_first(points, probabilities(now.asked.images), count)]


def farthest_first(points: np.ndarray, centres: np.ndarray, count: int) -> np.ndarray:
    """Greedy k-center: indices of up to ``count`` points [n, D], each farthest from the centres [m, D] and the points
    chosen before it (the first among equals)."""
    from scipy.spatial.distance import cdist

    far = np.full(len(points), np.inf)
    for start in range(0, len(centres), 1024):
        far = np.minimum(far, cdist(points, centres[start : start + 1024]).min(1))
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        chosen.append(int(far.argmax()))
        far = np.minimum(far, cdist(points, points[chosen[-1:]])[:, 0])
        far[chosen] = -1.0  # chosen; a duplicate of a chosen point (distance 0) may still come
    return np.array(chosen, dtype=np.int64)
