"""Filters that let a part of the image's patches take part in a step: for transformers, which see it in patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from blackbox.rowwise import unit
from surrogates.crafting.parts.base import Parts, check_images
from surrogates.crafting.parts.finish import Filter
from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class PatchOut(Filter):
    """Lets a random share ``keep`` of the image's patches take part in a step, and pulls the change outwards.

    The gradient of J + ``pull`` |x - x0|, zero in the patches that stay out. Wei et al. 2022, arXiv:2109.04176: 130 of 196 patches,
    0.1. patch: their side in pixels; by default 14 patches along the shorter side from 112 pixels on, as in the paper, 8 below (ours,
    the size that `surrogates.build("vit")` takes).
    """

    keep: float = 130 / 196
    pull: float = 0.1
    patch: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1 or (self.patch is not None and self.patch < 1):
            raise ValueError(f"Expected keep in (0, 1] and a patch of at least 1, but they were {self.keep} and {self.patch}.")

    def side(self, shape: tuple[int, ...]) -> int:
        """The side of a patch in pixels."""
        short = min(shape[1:])
        return self.patch or max(1, round(short / (14 if short >= 112 else 8)))

    def __call__(self, g: Tensor, walk: Walk) -> Tensor:
        side = self.side(tuple(g.shape[1:]))
        tall, wide = (-(-length // side) for length in g.shape[2:])
        place = self.order(g, walk, side, tall * wide).argsort(1).view(-1, 1, tall, wide)
        inside = place < max(1, round(self.share(walk) * tall * wide))
        mask = inside.repeat_interleave(side, 2).repeat_interleave(side, 3)[..., : g.shape[2], : g.shape[3]].to(g.device)
        return (g + self.pull * unit(walk.x - walk.x0)) * mask

    def share(self, walk: Walk) -> float:
        """The share of patches that take part at this step."""
        return self.keep

    def order(self, g: Tensor, walk: Walk, side: int, count: int) -> Tensor:
        """The patches [n, count] of each image in the order in which they are taken."""
        return walk.rng.permutation(walk.k, "patch out", count)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        check_images(self, shape)


@dataclass(frozen=True)
class SelfPaced(PatchOut):
    """As `PatchOut`, but the patches with the largest gradients take part, and their share falls from 1 to ``keep`` over the steps
    (for ATT; the pace and the ranking are ours)."""

    pull: float = 0.0

    def share(self, walk: Walk) -> float:
        return 1 - (1 - self.keep) * walk.k / max(walk.steps - 1, 1)

    def order(self, g: Tensor, walk: Walk, side: int, count: int) -> Tensor:
        h, w = g.shape[2:]
        wide = F.pad(g.abs().sum(1), (0, -w % side, 0, -h % side))
        size = wide.unflatten(1, (-1, side)).unflatten(3, (-1, side)).sum((2, 4)).flatten(1)
        return size.argsort(dim=1, descending=True, stable=True)
