"""Distil: all queries at once, on images drawn at random from the pool.

What is learned is decided elsewhere: soft labels, top-k lists or rounded scores by the `Oracle` (access, k, decimals) and by
``soft`` and ``topk`` of `surrogates.learn`; the temperature by `Recipe`; own data, other data or noise by the pool.
"""

from __future__ import annotations

from dataclasses import dataclass

from surrogates.acquisition.base import Choice, Situation, Strategy


@dataclass(frozen=True)
class Distil(Strategy):
    """Distillation of a target's answers (Hinton et al. 2015, arXiv:1503.02531) on a random transfer set (Orekondy et al.
    2019, arXiv:1812.02766, "random")."""

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        return (min(queries, pool),)

    def select(self, now: Situation, count: int) -> Choice:
        return now.take(now.random(count))
