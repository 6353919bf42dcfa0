"""Admix: a little of an image of another class added."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.crafting.parts.draws import Draw
from surrogates.crafting.parts.views import View


@dataclass(frozen=True)
class Admix(View):
    """x + eta * x', x' a clean image of another class, for ``copies`` partners (Wang et al. 2021, arXiv:2102.00436, eq. 5:
    eta = 0.2, three partners; the paper follows it with SI's five scales).

    The partner is a function of (seed, id, step, copy) and of the pool that was given to `craft`, not of the images that
    lie beside this one. Partners are drawn independently, so two copies may have the same.

    Raises:
        ValueError: the pool holds no image of another class.
    """

    copies: int = 3  # type: ignore[misc]
    eta: float = 0.2
    images = False

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        if draw.pool is None:
            raise ValueError(
                "Expected a pool of images for Admix to mix in, but there was none. Give pool=(images, labels)."
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
