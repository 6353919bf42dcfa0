"""`universal_rate`: how many images of a target a universal change fools, beside noise of the same size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.change import Universal
from blackbox.checkpoint import fingerprint
from blackbox.checks import check_int
from blackbox.goals.base import Goal
from blackbox.image_set.judge import samples_of
from blackbox.oracle.kept import kept
from blackbox.oracle.oracle import Oracle
from blackbox.statistics import Rate


@dataclass(frozen=True)
class Measured:
    """What a universal change does to images on a target.

    Attributes:
        right: [N] bool, the images that do not reach the goal unchanged: the denominator of every rate.
        fooled: [N] bool, those that reach it with the change. noise: with noise of the same size; None where it was not measured.
        queries: charged for all of this.
    """

    right: np.ndarray
    fooled: np.ndarray
    noise: np.ndarray | None
    queries: int

    @property
    def rate(self) -> Rate:
        """The share of the right images that are fooled."""
        return Rate.of(self.fooled, self.right)

    @property
    def noise_rate(self) -> Rate | None:
        """The same with noise of the same size."""
        return None if self.noise is None else Rate.of(self.noise, self.right)

    def summary(self) -> str:
        """One line."""
        beside = "" if self.noise is None else f", noise of the same size {self.noise_rate}"
        return f"fooled {self.rate}{beside}; {self.queries} queries"


def universal_rate(
    change: Universal,
    oracle: Oracle,
    x: Any,
    y: Any = None,
    *,
    target: Any = None,
    goal: Goal | None = None,
    noise: bool = True,
    seed: int = 0,
    ids: Any = None,
    journal: str | os.PathLike[str] | None = None,
) -> Measured:
    """Measure a universal change on a target, best with images that it was not made from.

    It costs two queries an image (clean, changed), and one more with noise, under the purposes ``"clean"``, ``"transfer"`` and
    ``"noise"``.

    Args:
        change: what `surrogates.universal` or `blackbox.universal` made.
        oracle, x, y, target, goal: as in `blackbox.attack`.
        noise: also ask about a random change of the same size (`Universal.noise`), the baseline.
        seed, ids: of the noise, and of places that are drawn for each image.
        journal: a file for every answer; the same call pays for none twice.

    Raises:
        ValueError: images, labels or goals that do not fit. AccessError: the oracle shows too little. TargetError: it failed.
    """
    samples, judge, _ = samples_of(oracle, change.threat, x, y, target, goal, ids)
    seed, who, before = check_int(seed, "seed"), np.arange(len(samples.x)), oracle.spent
    looks = {"clean": samples.x, "transfer": change.apply(samples.x, seed=seed, ids=samples.ids)}
    if noise:
        looks["noise"] = change.noise(seed).apply(samples.x, seed=seed, ids=samples.ids)
    told = fingerprint(*looks.values(), samples.goal)
    with kept(oracle, journal, images=told, seed=seed):
        found = {purpose: judge(oracle(images, purpose), who)[1] for purpose, images in looks.items()}
    return Measured(~found["clean"], found["transfer"], found.get("noise"), oracle.spent - before)
