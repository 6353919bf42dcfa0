"""Views: what is done to an image before a net sees it, drawn afresh for each row, step and copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from surrogates.crafting.parts.base import Part, Parts
from surrogates.crafting.parts.draws import Draw


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

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        raise NotImplementedError

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if self.images and len(shape) != 3:
            raise ValueError(
                f"Expected images [channels, height, width] for {self}, but they had shape {shape}. Leave {self} out, or reshape "
                "the images and put a Flatten in front of the net."
            )
