"""Active strategies: query the images that the surrogate is least sure of, that are farthest from those already queried, or
that are nearest to its boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surrogates.acquisition.base import Rounds, Situation
from surrogates.crafting.minimum_norm import deepfool
from surrogates.nets.predict import logits, predict


@dataclass(frozen=True)
class Uncertainty(Rounds):
    """Queries the images with the highest entropy of the surrogate's probabilities (Lewis & Gale 1994, "A sequential
    algorithm for training text classifiers"; for extraction Pal et al. 2020, "ActiveThief")."""

    def score(self, now: Situation) -> np.ndarray:
        p = logits(now.net, now.pool[torch.from_numpy(now.left)]).double().softmax(1)
        return torch.special.entr(p).sum(1).numpy()


@dataclass(frozen=True)
class KCenter(Rounds):
    """Greedy k-center (Sener & Savarese 2018, arXiv:1708.00489, algorithm 1) in the space of the surrogate's
    probabilities (Pal et al. 2020, "ActiveThief")."""

    def pick(self, now: Situation, count: int) -> np.ndarray:
        return spread_out(now, now.left, count)


def spread_out(now: Situation, places: np.ndarray, count: int) -> np.ndarray:
    """Choose ``count`` of the pool's ``places`` by greedy k-center, starting with the queried images as centres."""
    assert now.asked is not None

    def probabilities(images: Tensor) -> np.ndarray:
        return logits(now.net, images).double().softmax(1).numpy()

    points = probabilities(now.pool[torch.from_numpy(places)])
    return places[farthest_first(points, probabilities(now.asked.images), count)]


def farthest_first(points: np.ndarray, centres: np.ndarray, count: int) -> np.ndarray:
    """Greedy k-center: indices of up to ``count`` points [n, D], each the farthest from the centres [m, D] and the points
    already chosen (the first in a tie)."""
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


@dataclass(frozen=True)
class DFAL(Rounds):
    """DeepFool active learning: queries the images nearest to the boundary by DeepFool's L2 distance.

    Ducoffe & Precioso 2018, arXiv:1802.09841; then k-center among those (Pal et al. 2020, "ActiveThief", DFAL + k-center).

    Args:
        shortlist: k-center chooses from this many times the images wanted; 1 leaves k-center out. 3 (ours).
        looked_at: at most this many random images of the pool are measured in a round; 2,000 (ours).
        iterations, candidates: of `minimum_norm.deepfool`; 10 and 3 (ours: only the order of the distances is needed).

    *Departs from Ducoffe & Precioso*, who give the perturbed image the label of the original as a second example.
    """

    shortlist: float = 3.0
    looked_at: int = 2000
    iterations: int = 10
    candidates: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortlist < 1 or self.looked_at < 1:
            raise ValueError(
                f"Expected shortlist and looked_at of at least 1, but they were {self.shortlist!r} and {self.looked_at!r}."
            )

    def pick(self, now: Situation, count: int) -> np.ndarray:
        places = np.sort(now.random(max(self.looked_at, count)))
        images = now.pool[torch.from_numpy(places)]
        label = predict(now.net, images)
        found = deepfool(now.net, images, label, iterations=self.iterations, candidates=self.candidates)
        near = places[np.argsort(found.distance.numpy(), kind="stable")]
        wanted = max(round(self.shortlist * count), count)
        return spread_out(now, near[:wanted], count) if self.shortlist > 1 else near[:count]
