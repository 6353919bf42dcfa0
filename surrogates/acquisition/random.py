"""Random: the baseline that every active strategy has to beat, on the same rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surrogates.acquisition.base import Rounds, Situation


@dataclass(frozen=True)
class Random(Rounds):
    """Images at random from what is left of the pool."""

    def pick(self, now: Situation, count: int) -> np.ndarray:
        return now.random(count)
