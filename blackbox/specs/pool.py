"""More images to ask about than the attacker owns: changed copies of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from surrogates import Dataset

NOISE = 0.1  # largest change of an entry by the noise on a copy


def widen(own: Dataset, count: int, seed: int) -> Dataset:
    """``own`` and, where ``count`` is larger, copies: each shifted by up to an eighth of the side, with uniform noise.

    A target's answer to an image that it has answered before teaches nothing, its answer to a changed copy does: it
    tells on which side of the boundary the copy lies (ours; cf. the jittered queries of Papernot et al. 2017,
    arXiv:1602.02697, who move along the surrogate's Jacobian instead).
    """
    extra = count - len(own)
    if extra <= 0:
        return own
    rng = np.random.Generator(np.random.Philox(key=[seed & (1 << 64) - 1, 2]))
    index = torch.from_numpy(np.resize(np.arange(len(own)), extra))
    images = own.images[index]
    reach = max(1, min(own.shape[1:]) // 8)
    moves = rng.integers(-reach, reach + 1, (extra, 2))
    padded = torch.nn.functional.pad(images, (reach,) * 4, mode="replicate")
    h, w = own.shape[1:]
    shifted = torch.stack(
        [padded[i, :, reach + a : reach + a + h, reach + b : reach + b + w] for i, (a, b) in enumerate(moves.tolist())]
    )
    noise = torch.from_numpy(rng.uniform(-NOISE, NOISE, tuple(shifted.shape)).astype(np.float32))
    copies = own.take(index)
    from dataclasses import replace

    return replace(
        own,
        images=torch.cat([own.images, (shifted + noise).clamp(0, 1)]),
        labels=torch.cat([own.labels, copies.labels]),
    )
