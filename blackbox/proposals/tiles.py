"""Tiles and blocks: squares of neighbouring pixels that change together."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from blackbox.protocol import Task, grid


def widen(v: Tensor, t: Task) -> Tensor:
    """Tiles to pixels: [n, channels, down, across] -> [n, \\*shape]."""
    tile = tiles(t.grid[1:], tuple(v.shape[2:])).to(v.device)
    return v.flatten(2).index_select(2, tile).view(len(v), *t.shape)


@lru_cache(maxsize=16)
def tiles(pixels: tuple[int, int], count: tuple[int, int]) -> Tensor:
    """[height * width] the tile that each pixel lies in, tiles counted line by line."""
    (h, w), (down, across) = pixels, count
    return ((torch.arange(h) * down // h)[:, None] * across + torch.arange(w) * across // w).flatten()


@lru_cache(maxsize=64)
def blocks(shape: tuple[int, ...], size: int, device: str) -> tuple[Tensor, Tensor]:
    """Blocks of size x size in each channel: [d] the block of every entry, [blocks] the first entry of every block."""
    c, h, w = grid(shape)
    down, across = torch.arange(h) // size, torch.arange(w) // size
    a, b = int(down[-1]) + 1, int(across[-1]) + 1
    owner = ((torch.arange(c)[:, None, None] * a + down[:, None]) * b + across).flatten()
    channel, i, j = torch.meshgrid(torch.arange(c), torch.arange(a) * size, torch.arange(b) * size, indexing="ij")
    return owner.to(device), ((channel * h + i) * w + j).flatten().to(device)
