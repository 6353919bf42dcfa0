"""Probes of changed copies of the image: shells around it (OPS), copies with another spectrum (FGSRA), integrated gradients (MuMoDIG)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rng import Stream
from surrogates.crafting.parts.back import Back
from surrogates.crafting.parts.base import Parts, check_images
from surrogates.crafting.parts.intensity import SSA
from surrogates.crafting.parts.operations import OPERATIONS, operated
from surrogates.crafting.parts.probes import Probe
from surrogates.crafting.parts.views import Draw, fork

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Shells(Probe):
    """The mean gradient over ``count`` random points in balls of growing size, those of ``radii`` in turn (in units of eps).

    For OPS (Guo et al. 2025, "Boosting adversarial transferability through augmentation in hypothesis space", CVPR): 30 points,
    up to three times eps.
    """

    count: int = 30
    radii: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)

    def __post_init__(self) -> None:
        if not self.radii or min(self.radii) < 0:
            raise ValueError(f"Expected radii of at least 0 for {type(self).__name__}, but they were {self.radii}.")

    def calls(self, k: int, steps: int) -> int:
        return self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        points = (at + walk.ball(f"neighbour {j}", self.radii[j % len(self.radii)]) for j in range(self.count))
        return walk.mean(points, "neighbour")


@dataclass(frozen=True)
class Spectral(Probe):
    """The mean gradient over ``count`` neighbours whose spectrum is perturbed: IDCT(DCT(x + U(+-beta eps)) * U(1 - rho, 1 + rho)).

    For FGSRA (frequency-guided sample relevance attack, CIKM 2024): 20 neighbours, rho = 0.5.
    """

    count: int = 20
    beta: float = 2.0
    rho: float = 0.5

    def calls(self, k: int, steps: int) -> int:
        return self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        view, copy = SSA(1, rho=self.rho, sigma=0.0), torch.zeros(len(at), dtype=torch.int64)

        def neighbour(x: Tensor, j: int) -> Tensor:
            near = x + walk.ball(f"neighbour {j}", self.beta)
            return view(near, Draw(fork(walk.rng, f"spectral {j}"), walk.k, copy, walk.goal))

        total = torch.zeros_like(at)
        for _, g in walk.through(at, neighbour, self.count, "spectral"):
            total += g
        return total / self.count

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        SSA(1).check(parts, shape, nets)


@dataclass(frozen=True)
class Integrated(Probe):
    """The gradient at the point, plus the integrated gradients of ``count`` changed copies, each along a path of its own.

    A copy is the image behind one random operation (`operated`); its path begins at its own values rounded down to the nearest of
    ``regions`` random levels (lower-bound quantisation), so that no value falls along the way; one gradient is taken at the share
    ``place`` of the path, moved at random by a tenth, and multiplied by the path's length at each pixel.

    MuMoDIG: Ren et al. 2025, arXiv:2412.18844, "Improving integrated gradient-based transferable adversarial examples by refining
    the integration path" (AAAI): six copies, one path and one point for each, two regions, 0.65. *Departs from the paper*: the
    operations are ours; the gradient and the mean of the integrated ones have the same mean absolute entry before they are added
    (ours: the latter is as small as the path is short).
    """

    count: int = 6
    regions: int = 2
    place: float = 0.65

    def __post_init__(self) -> None:
        if self.regions < 1 or not 0 <= self.place <= 1:
            raise ValueError(f"Expected regions >= 1 and a place in [0, 1], but they were {self.regions} and {self.place}.")

    def calls(self, k: int, steps: int) -> int:
        return 1 + self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        back, lengths = Back(), deque[Tensor]()

        def points() -> Iterator[Tensor]:
            yield at
            for j in range(self.count):
                rng = fork(walk.rng, f"path {j}")
                one = (rng.uniform(walk.k, "operation", 1) * len(OPERATIONS)).long().clamp_max(len(OPERATIONS) - 1)
                on = F.one_hot(one[:, 0], len(OPERATIONS)).bool()
                end = back.change(at, partial(operated, on=on, rng=rng, k=walk.k))
                low = lowered(end, self.regions, rng, walk.k)
                share = (self.place + 0.1 * (2 * rng.uniform(walk.k, "place", (1, 1, 1)) - 1)).clamp(0, 1)
                lengths.append(end - low)
                yield low + share * lengths[-1]

        found = walk.gradients(points(), "path")
        first, total = next(found), torch.zeros_like(at)
        for g in found:
            total += back.gradient(g * lengths.popleft())
        return walk.hat(first) + walk.hat(total)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        check_images(self, shape)


def lowered(x: Tensor, regions: int, rng: Stream, k: int) -> Tensor:
    """Round each entry of ``x`` [m, c, h, w] down to a level: 0 (or the entry itself, below it) and ``regions`` - 1 random ones."""
    out = x.clamp_max(0)
    if regions == 1:
        return out
    for level in rng.uniform(k, "levels", (regions - 1, 1, 1, 1)).sort(1).values.unbind(1):
        out = torch.where(x >= level, level.expand_as(x), out)
    return out
