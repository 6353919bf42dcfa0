"""Aggregates: how the gradient at the point and the mean gradient of its probe become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from blackbox.rowwise import row_dot, row_norm, rows
from surrogates.crafting.parts.base import Part
from surrogates.crafting.parts.probes import Probe

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Aggregate(Part):
    """Base class: ``__call__(walk, at, probe) -> gradient``; takes one gradient at ``at`` beside the probe's."""

    slot: ClassVar[str] = "aggregate"

    def total(self, points: int, k: int, steps: int) -> int:
        """Gradients a row at step ``k``, ``points`` of them the probe's."""
        return points + 1

    def __call__(self, walk: Walk, at: Tensor, probe: Probe) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Variance(Aggregate):
    """g + v, v the difference between neighbours' mean and point at the step before (VMI; Wang & He 2021,
    arXiv:2103.15571, eq. 6-7). The neighbours lie around x itself, whatever looks ahead for g."""

    def total(self, points: int, k: int, steps: int) -> int:
        return points + 1 if k < steps - 1 else 1  # nobody would see the last step's variance

    def __call__(self, walk: Walk, at: Tensor, probe: Probe) -> Tensor:
        g = walk.gradient(at)
        before = walk.kept.get("aggregate", torch.zeros_like(g))
        walk.kept["aggregate"] = probe(walk, walk.x) - g if walk.k < walk.steps - 1 else before
        return g + before


@dataclass(frozen=True)
class Cosine(Aggregate):
    """s * g + (1 - s) * mean of the neighbours, s the cosine between the two (GRA; Zhu et al. 2023)."""

    def __call__(self, walk: Walk, at: Tensor, probe: Probe) -> Tensor:
        g = walk.gradient(at)
        near = probe(walk, at)
        s = row_dot(g, near) / (row_norm(g) * row_norm(near)).clamp_min(1e-30)
        return rows(s, g) * g + rows(1 - s, g) * near
