"""TI: the gradient smoothed as an image, which stands for averaging over small shifts of the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.direction import smooth
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.finish import Filter
from surrogates.crafting.parts.walk import Walk
from surrogates.nets.predict import cut, pieces


def steady(f: Callable[[Tensor], Tensor], x: Tensor, rows: int) -> Tensor:
    """``f`` on pieces of exactly ``rows`` rows (the last filled up), because a kernel that picks its way by the number
    of rows would let a row's last bit depend on its batch."""
    out = torch.empty_like(x)
    for where, fill in pieces(len(x), rows):
        out[where] = f(cut(x, where, fill))[: where.stop - where.start]
    return out


@dataclass(frozen=True)
class TI(Filter):
    """The gradient convolved, channel by channel, with a Gaussian of ``kernel`` x ``kernel`` pixels and standard deviation
    (kernel - 1) / 6 (Dong et al. 2019, arXiv:1904.02884, eq. 9; 15 for images of 299 pixels).

    kernel: odd; by default 15 from 150 pixels a side, below that the odd number next to a tenth of the shorter side, at
    least 3 (ours: fifteen pixels are half of a 32-pixel image, and the attack dies of it).
    """

    kernel: int | None = None

    def __post_init__(self) -> None:
        if self.kernel is not None and (self.kernel < 1 or self.kernel % 2 == 0):
            raise ValueError(f"Expected the kernel of TI to be an odd number of pixels, but it was {self.kernel}.")

    def size(self, shape: tuple[int, ...]) -> int:
        """Pixels a side of the kernel, for images of ``shape``."""
        return self.kernel or min(15, max(3, 2 * round((min(shape[1:]) / 10 - 1) / 2) + 1))

    def __call__(self, g: Tensor, walk: Walk) -> Tensor:
        kernel = gaussian(self.size(tuple(g.shape[1:]))).to(g)
        return steady(lambda part: smooth(kernel).update(part, ())[0], g, walk.rows)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if len(shape) != 3:
            raise ValueError(
                f"Expected images [channels, height, width] for TI, which smooths over pixels, but they had shape {shape}. Leave "
                "TI out."
            )


def gaussian(size: int) -> Tensor:
    """[size, size] float64: a Gaussian that ends at three standard deviations, with sum 1."""
    if size == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    line = torch.exp(-(torch.linspace(-3, 3, size, dtype=torch.float64) ** 2) / 2)
    return torch.outer(line, line) / line.sum() ** 2
