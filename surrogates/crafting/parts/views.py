"""Views: what is done to an image before a net sees it, drawn anew for each row, step and copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.rng import Stream
from surrogates.crafting.parts.base import Part, Parts

if TYPE_CHECKING:
    from surrogates.crafting.goal import Goal, Pool


def fork(rng: Stream, tag: str) -> Stream:
    """A stream for one copy (or neighbour) of each row: new ids, hashed from (seed, old id, tag)."""
    words = (rng.uniform_array(0, f"fork {tag}", 3).astype(np.float64) * 2.0**24).astype(np.uint64)
    return replace(rng, ids=words[:, 0] | words[:, 1] << np.uint64(24) | words[:, 2] << np.uint64(48))


def join(streams: Sequence[Stream]) -> Stream:
    """One stream over the rows of several."""
    return replace(streams[0], ids=np.concatenate([s.ids for s in streams])) if len(streams) > 1 else streams[0]


@dataclass(frozen=True)
class Draw:
    """What a view knows of its m rows.

    rng: the rows' stream; k: the step; copy: [m] int64, the number of the copy of this view; goal: the rows' `Goal`; pool:
    images and labels for views that mix images (or None).
    """

    rng: Stream
    k: int
    copy: Tensor
    goal: Goal
    pool: Pool | None = None

    def uniform(self, tag: str, *shape: int) -> Tensor:
        """[m, \\*shape] in [0, 1)."""
        return self.rng.uniform(self.k, tag, shape)

    def normal(self, tag: str, *shape: int) -> Tensor:
        """[m, \\*shape] standard normal."""
        return self.rng.normal(self.k, tag, shape)

    def integers(self, tag: str, low: int, high: int, *shape: int) -> Tensor:
        """[m, \\*shape] int64, uniform on low..high (both included)."""
        return (low + (self.uniform(tag, *shape) * (high - low + 1)).floor().clamp_max(high - low)).to(torch.int64)

    def order(self, tag: str, count: int) -> Tensor:
        """[m, count]: a random order of ``count`` things in every row."""
        return self.rng.permutation(self.k, tag, count)


@dataclass(frozen=True)
class View(Part):
    """Base class: ``__call__(x, draw) -> seen``, rows [m, \\*shape] to rows of any shape the nets take.

    Each row by itself, differentiable; draws from ``draw`` only. ``copies``: how many of it are averaged. Views joined
    with ``|`` follow one another, each copy of the first having all copies of the second.

    straight: the gradient is taken at the seen image and passed on as it is, instead of back through the view.
    fuse: average the copies' ``"gradient"``, or the nets' ``"logits"`` before the loss.
    """

    slot: ClassVar[str] = "view"
    copies: ClassVar[int] = 1
    straight: ClassVar[bool] = False
    fuse: ClassVar[str] = "gradient"
    images: ClassVar[bool] = True  # works on [channels, height, width] only

    def calls(self, k: int, steps: int) -> int:
        return self.copies

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if self.images and len(shape) != 3:
            raise ValueError(
                f"Expected images [channels, height, width] for {self}, but they had shape {shape}. Leave {self} out, or reshape "
                "the images and put a Flatten in front of the net."
            )
