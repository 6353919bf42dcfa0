"""SAM: an update that looks for weights whose neighbours are as good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surrogates.training.update import Batch, Update, still_statistics


@dataclass(frozen=True)
class SAM(Update):
    """Sharpness-aware minimisation: takes the gradient at weights one ascent step of length ``rho`` away.

    Foret et al. 2021, arXiv:2010.01412, algorithm 1. It costs two passes an update; batch norm's running statistics come
    from the first one, at the weights themselves.

    Args:
        rho: Euclidean length over all weights; 0.05 (the paper's for CIFAR and ImageNet).
    """

    rho: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.rho < np.inf:
            raise ValueError(f"Expected rho to be positive, but it was {self.rho!r}.")

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        weights = [p for p in batch.net.parameters() if p.requires_grad]
        loss, scores = batch.loss()
        slopes = torch.autograd.grad(loss, weights, allow_unused=True)
        length = torch.stack([g.norm() for g in slopes if g is not None]).norm().clamp_min(1e-12)
        kept = [p.detach().clone() for p in weights]
        with torch.no_grad():
            for p, g in zip(weights, slopes, strict=True):
                if g is not None:
                    p.add_(self.rho * g / length)
        batch.optimiser.zero_grad(set_to_none=True)
        with still_statistics(batch.net):
            batch.loss()[0].backward()
        with torch.no_grad():
            for p, w in zip(weights, kept, strict=True):
                p.copy_(w)
        batch.optimiser.step()
        return loss.detach(), scores.detach()
