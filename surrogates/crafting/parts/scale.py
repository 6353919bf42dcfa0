"""SI: the image at several brightnesses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.rowwise import rows
from surrogates.crafting.parts.draws import Draw
from surrogates.crafting.parts.views import View


@dataclass(frozen=True)
class SI(View):
    """x / 2^i for i = 0 .. copies - 1 (Lin et al. 2020, arXiv:1908.06281, eq. 7; five copies)."""

    copies: int = 5  # type: ignore[misc]
    images = False

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        return x * rows(torch.pow(0.5, draw.copy.to(x)), x)
