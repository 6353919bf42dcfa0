"""Noised: the pool's images, and the same images under noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surrogates.acquisition.base import Choice, Situation, Strategy


@dataclass(frozen=True)
class Noised(Strategy):
    """Half of the queries on images of the pool, at random; the other half on the same images with every pixel moved by
    +-``size`` at random (ours; after the augmentation of Papernot et al. 2017, arXiv:1602.02697, which moves them along the
    surrogate's Jacobian). For targets that show labels only.

    Random moves keep the label more often than moves along the gradient, which tells the net where its boundary is not.

    Args:
        size: in units of the image range; 0.4, chosen by `experiments.studies.practical_blackbox`. Take somewhat more than the eps of
            the attack. copies: noisy versions of each image; 1, chosen by the same.
    """

    size: float = 0.4
    copies: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.size <= 1 or not (isinstance(self.copies, int) and self.copies >= 1):
            raise ValueError(
                f"Expected size in (0, 1], in units of the image range, and at least 1 copy, but they were {self.size!r} and "
                f"{self.copies!r}."
            )

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        seeds = min(pool, -(-queries // (1 + self.copies)))
        rounds = [seeds]
        for _ in range(self.copies):
            if (count := min(seeds, queries - sum(rounds))) < 1:
                break
            rounds.append(count)
        return tuple(rounds)

    def select(self, now: Situation, count: int) -> Choice:
        if now.asked is None:
            return now.take(now.random(count))
        seeds = now.asked.images[:count]  # the first round's come first
        moved = seeds + self.size * now.rng.shared_signs(now.round, "noised", tuple(seeds.shape))
        return Choice(moved.clamp(0, 1), np.full(len(moved), -1))
