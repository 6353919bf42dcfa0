"""Random images, queried all at once (`Distil`) or round by round (`Random`, the baseline of the active strategies)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surrogates.acquisition.base import Choice, Rounds, Situation, Strategy


@dataclass(frozen=True)
class Distil(Strategy):
    """Distillation of a target's answers (Hinton et al. 2015, arXiv:1503.02531) on a random transfer set (Orekondy et al.
    2019, arXiv:1812.02766, "random")."""

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        return (min(queries, pool),)

    def select(self, now: Situation, count: int) -> Choice:
        return now.take(now.random(count))


@dataclass(frozen=True)
class Random(Rounds):
    """Queries random images of those left in the pool."""

    def pick(self, now: Situation, count: int) -> np.ndarray:
        return now.random(count)
