"""Views: random transforms of an image before a net sees it, drawn for each row, step and copy."""

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
    """A random stream for one copy (or neighbour) of each row, with new ids hashed from (seed, old id, tag)."""
    words = (rng.uniform_array(0, f"fork {tag}", 3).astype(np.float64) * 2.0**24).astype(np.uint64)
    return replace(rng, ids=words[:, 0] | words[:, 1] << np.uint64(24) | words[:, 2] << np.uint64(48))


def join(streams: Sequence[Stream]) -> Stream:
    """Concatenate the rows of several streams into one."""
    return replace(streams[0], ids=np.concatenate([s.ids for s in streams])) if len(streams) > 1 else streams[0]


@dataclass(frozen=True)
class Draw:
    """The context of a view's m rows.

    Attributes:
        rng: the rows' random stream.
        k: the step.
        copy: [m] int64, the number of this view's copy.
        goal: the rows' `Goal`.
        pool: images and labels for views that mix images, or None.
    """

    rng: Stream
    k: int
    copy: Tensor
    goal: Goal
    pool: Pool | None = None

    def uniform(self, tag: str, *shape: int) -> Tensor:
        """Uniform draws [m, \\*shape] in [0, 1)."""
        return self.rng.uniform(self.k, tag, shape)

    def normal(self, tag: str, *shape: int) -> Tensor:
        """Standard normal draws [m, \\*shape]."""
        return self.rng.normal(self.k, tag, shape)

    def integers(self, tag: str, low: int, high: int, *shape: int) -> Tensor:
        """Uniform integers [m, \\*shape] int64, low..high (both included)."""
        return (low + (self.uniform(tag, *shape) * (high - low + 1)).floor().clamp_max(high - low)).to(torch.int64)

    def order(self, tag: str, count: int) -> Tensor:
        """A random permutation of 0..count-1 for every row, [m, count]."""
        return self.rng.permutation(self.k, tag, count)


@dataclass(frozen=True)
class View(Part):
    """Base class: ``__call__(x, draw) -> seen`` maps rows [m, \\*shape] to rows of any shape the nets take.

    It treats each row independently, is differentiable, and draws from ``draw`` only. Views joined with ``|`` follow one
    another, each copy of the first with all copies of the second.

    copies: how many copies of the view are averaged.
    straight: the gradient at the transformed image is used unchanged, instead of going back through the view.
    fuse: average the copies' ``"gradient"``, or the nets' ``"logits"`` before the loss.
    """

    slot: ClassVar[str] = "view"
    copies: ClassVar[int] = 1
    straight: ClassVar[bool] = False
    fuse: ClassVar[str] = "gradient"
    images: ClassVar[bool] = True  # works on images [channels, height, width] only

    def calls(self, k: int, steps: int) -> int:
        return self.copies

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if self.images and len(shape) != 3:
            raise ValueError(
                f"Expected images [channels, height, width] for {self}, but they had shape {shape}. Leave {self} out, or reshape "
                "the images and put a Flatten in front of the net."
            )
