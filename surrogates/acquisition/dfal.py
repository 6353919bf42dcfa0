"""DFAL: the images nearest to the surrogate's boundary and, of these, those far from one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from surrogates.acquisition.base import Rounds, Situation
from surrogates.acquisition.k_center import spread_out
from surrogates.crafting.minimum_norm import deepfool
from surrogates.nets.predict import predict


@dataclass(frozen=True)
class DFAL(Rounds):
    """DeepFool active learning (Ducoffe & Precioso 2018, arXiv:1802.09841): the L2 distance that DeepFool finds to the
    boundary, the smallest first; then, as Pal et al. 2020 ("ActiveThief", DFAL + k-center), k-center among those.

    Args:
        shortlist: so many times the images wanted go on to k-center; 1 leaves k-center out. 3 (ours).
        looked_at: at most so many images of the pool, at random, are measured in a round; 2,000 (ours).
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
