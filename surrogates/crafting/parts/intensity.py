"""Views that change pixel values: scaled brightness (SI), another image mixed in (Admix), a perturbed spectrum (SSA)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from blackbox.rowwise import rows
from surrogates.crafting.parts.views import Draw, View


@dataclass(frozen=True)
class SI(View):
    """Scale invariance: x / 2^i for i = 0 .. copies - 1 (Lin et al. 2020, arXiv:1908.06281, eq. 7; five copies)."""

    copies: int = 5  # type: ignore[misc]
    images = False

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        return x * rows(torch.pow(0.5, draw.copy.to(x)), x)


@dataclass(frozen=True)
class Admix(View):
    """Adds a part of a clean image of another class: x + eta * x', for ``copies`` partners x'.

    Wang et al. 2021, arXiv:2102.00436, eq. 5: eta = 0.2, three partners; the paper follows it with SI's five scales. A
    partner depends on (seed, id, step, copy) and the pool given to `craft`, never on the batch. Partners are drawn
    independently, so two copies may have the same one.

    Raises:
        ValueError: the pool holds no image of another class.
    """

    copies: int = 3  # type: ignore[misc]
    eta: float = 0.2
    images = False

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        if draw.pool is None:
            raise ValueError(
                "Expected a pool of images that Admix can mix in, but there was none. Give pool=(images, labels)."
            )
        u, partner = draw.uniform("partner", 1)[:, 0].cpu(), torch.empty(len(x), dtype=torch.int64)
        labels, have = draw.goal.labels.cpu(), draw.pool.labels.cpu()
        for label in labels.unique():
            others, rows = (have != label).nonzero()[:, 0], labels == label
            if not len(others):
                raise ValueError(
                    f"Expected the pool to hold an image of another class than {int(label)} for Admix, but all {len(have)} were "
                    "of it. Give pool=(images, labels) with several classes."
                )
            partner[rows] = others[(u[rows] * len(others)).to(torch.int64).clamp_max(len(others) - 1)]
        return x + self.eta * draw.pool.images[partner.to(draw.pool.images.device)].to(x)


@dataclass(frozen=True)
class SSA(View):
    """Spectrum simulation: perturbs the image's DCT, IDCT(DCT(x + sigma * N(0, 1)) * U(1 - rho, 1 + rho)).

    Long et al. 2022, arXiv:2207.05382, eq. 6: 20 copies, rho = 0.5, sigma = 16/255. straight: use the gradient at the
    perturbed image unchanged, as the authors' code does; by default it goes back through the transform, as in the paper.
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
    """The matrix [side, side] of the orthonormal DCT-II of a column of pixels."""
    from scipy.fft import dct

    return torch.from_numpy(dct(np.eye(side), axis=0, norm="ortho").astype(np.float32))
