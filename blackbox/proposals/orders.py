"""Orders of an image's entries, and the runs into which they are halved, for searches that change many entries at once."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

ORDERS = ("flat", "columns", "tiles", "channel-tiles")


@lru_cache(maxsize=16)
def ordered(shape: tuple[int, ...], order: str) -> Tensor:
    """[d] int64: the entries of an image [channels, height, width] in an order; those of anything else in memory order.

    ``flat``: as they lie in memory. ``columns``: channel by channel, down the columns. ``tiles``: along Morton's curve,
    which keeps neighbours together, the channels of a pixel side by side. ``channel-tiles``: the same for each channel by
    itself.
    """
    if len(shape) != 3 or order == "flat":
        return torch.arange(torch.Size(shape).numel())
    channel, i, j = torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")
    code = torch.zeros_like(i)  # Morton's: the bits of row and column take turns
    for bit in range(max(shape[1:]).bit_length()):
        code |= ((i >> bit) & 1) << (2 * bit + 1) | ((j >> bit) & 1) << (2 * bit)
    key = {
        "columns": (channel * shape[2] + j) * shape[1] + i,
        "tiles": code * shape[0] + channel,
        "channel-tiles": channel * (int(code.max()) + 1) + code,
    }[order]
    return key.flatten().argsort()


@lru_cache(maxsize=16)
def ranks(shape: tuple[int, ...], order: str) -> Tensor:
    """[\\*shape] int32: the place of each entry in the order."""
    entries = ordered(shape, order)
    place = torch.empty_like(entries).scatter_(0, entries, torch.arange(len(entries)))
    return place.to(torch.int32).view(shape)


@lru_cache(maxsize=8)
def runs(d: int) -> Tensor:
    """[runs, 2] int64: (start, stop) of the runs of ``d`` entries: the whole, the halves, the quarters, ... single entries."""
    levels = []
    for level in range((d - 1).bit_length() + 1):
        size = -(-d // 2**level)
        start = torch.arange(0, d, size)
        levels.append(torch.stack([start, (start + size).clamp_max(d)], 1))
    return torch.cat(levels)
