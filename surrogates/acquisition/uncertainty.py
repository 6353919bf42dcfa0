"""Uncertainty: the images that the surrogate is least sure of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from surrogates.acquisition.base import Rounds, Situation
from surrogates.nets.predict import logits


@dataclass(frozen=True)
class Uncertainty(Rounds):
    """The entropy of the surrogate's probabilities (Lewis & Gale 1994, "A sequential algorithm for training text
    classifiers"; for extraction Pal et al. 2020, "ActiveThief")."""

    def score(self, now: Situation) -> np.ndarray:
        p = logits(now.net, now.pool[torch.from_numpy(now.left)]).double().softmax(1)
        return torch.special.entr(p).sum(1).numpy()
