"""Pools for an attacker without data: noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from blackbox.rng import Stream
from surrogates.data.dataset import Dataset

KINDS = ("uniform", "gaussian", "smooth")


def noise(shape: Sequence[int], count: int, kind: str = "uniform", seed: int = 0) -> Dataset:
    """Make a pool of noise images.

    Args:
        shape: (C, H, W).
        count: how many.
        kind: ``"uniform"`` in [0, 1] (the noise baseline of Pal et al. 2019, arXiv:1905.09165); ``"gaussian"``:
            N(0.5, 0.25^2), clipped to [0, 1] (ours); ``"smooth"``: an enlarged random 4 x 4 picture (ours).
        seed: image i is a function of (seed, i).

    Raises:
        ValueError: an unknown kind, or a count below 1.
    """
    if kind not in KINDS or count < 1:
        raise ValueError(
            f"Expected one of {', '.join(KINDS)} and a count of at least 1, but they were {kind!r}, {count!r}."
        )
    rng = Stream(seed, np.arange(count, dtype=np.uint64))
    channels, *size = shape
    if kind == "gaussian":
        x = 0.5 + 0.25 * rng.normal(0, "noise", tuple(shape))
    elif kind == "uniform":
        x = rng.uniform(0, "noise", tuple(shape))
    else:
        small = rng.uniform(0, "noise", (channels, 4, 4))
        x = torch.nn.functional.interpolate(small, size=size, mode="bicubic", align_corners=False)
    return Dataset(x.clamp(0, 1), torch.zeros(count, dtype=torch.int64), ("unknown",), f"{kind} noise")
