"""SSA: the image's spectrum shaken."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from surrogates.crafting.parts.draws import Draw
from surrogates.crafting.parts.views import View


@dataclass(frozen=True)
class SSA(View):
    """Spectrum simulation: IDCT(DCT(x + sigma * N(0, 1)) * U(1 - rho, 1 + rho)), ``copies`` times (Long et al. 2022,
    arXiv:2207.05382, eq. 6: 20 copies, rho = 0.5, sigma = 16/255).

    straight: the authors' code takes the gradient at the shaken image as that of the image; the paper's formula goes back
    through the transform, and so does the default.
    """

    copies: int = 20  # type: ignore[misc]
    rho: float = 0.5
    sigma: float = 16 / 255
    straight: bool = False  # type: ignore[misc]

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        shape = tuple(x.shape[1:])
        if self.sigma:
            x = x + self.sigma * draw.normal("noise", *shape)
        if not self.rho:
            return x
        factor = 1 + self.rho * (2 * draw.uniform("spectrum", *shape) - 1)
        down, across = cosines(x.shape[2]).to(x), cosines(x.shape[3]).to(x)
        return down.T @ ((down @ x @ across.T) * factor) @ across


@lru_cache(maxsize=16)
def cosines(side: int) -> Tensor:
    """[side, side]: the orthonormal DCT-II of a column of pixels."""
    from scipy.fft import dct

    return torch.from_numpy(dct(np.eye(side), axis=0, norm="ortho").astype(np.float32))
