"""Everywhere: the class is aimed at from the whole image and from blocks of it alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.rowwise import rows
from surrogates.crafting.parts.blocks import Blocks
from surrogates.crafting.parts.views import Draw


@dataclass(frozen=True)
class Everywhere(Blocks):
    """Everywhere attack: beside the whole image, views of one block of it alone, on black, so that each part of the change leads to the
    class by itself.

    The image is cut into ``blocks`` x ``blocks`` equal blocks; the first of ``copies`` views is the image, each other one a random block
    in its place. Zeng, Chen & Peng 2025, arXiv:2501.00707, "Everywhere attack: attacking locally and globally to boost targeted
    transferability" (AAAI). Chosen here: 4 blocks a side, 9 of them at a step, a black surrounding, and the mean of all gradients; blocks
    are drawn one by one, so that one may be drawn twice.
    """

    copies: int = 10  # type: ignore[misc]
    blocks: int = 4

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        n, (h, w) = self.blocks, x.shape[2:]
        number = draw.integers("block", 0, n * n - 1, 1)[:, 0].to(x.device)
        down = torch.arange(h, device=x.device) * n // h == (number // n)[:, None]
        across = torch.arange(w, device=x.device) * n // w == (number % n)[:, None]
        inside = down[:, None, :, None] & across[:, None, None, :]
        return x * (inside | rows(draw.copy.to(x.device) == 0, x))
