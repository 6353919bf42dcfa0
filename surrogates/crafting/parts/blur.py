"""Box blur and row means whose backward passes are as simple as they are: what changed images spend their time on."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rowwise import row_sum


def box_blur(x: Tensor, reach: int) -> Tensor:
    """The mean of ``x`` [m, c, h, w] over squares of side 2 ``reach`` + 1; at the edge, over what lies inside."""
    return _Box.apply(x, reach)  # type: ignore[no-any-return]


class _Box(torch.autograd.Function):
    """``avg_pool2d`` with stride 1, added in its order, many pixels at a time; the backward pass is the same sum again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, reach: int) -> Tensor:
        ctx.reach, ctx.count = reach, _count(x, reach)
        return _sum(x, reach).div_(ctx.count)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _sum(g / ctx.count, ctx.reach), None


def _sum(x: Tensor, reach: int) -> Tensor:
    """The sum of each pixel's square, black outside."""
    h, w = x.shape[2:]
    wide, total = F.pad(x, (reach,) * 4), torch.zeros_like(x, memory_format=torch.contiguous_format)
    for i in range(2 * reach + 1):
        for j in range(2 * reach + 1):
            total += wide[:, :, i : i + h, j : j + w]
    return total


def _count(x: Tensor, reach: int) -> Tensor:
    """How many pixels of each square lie inside, [h, w]."""
    tall, wide = ((torch.arange(side) + reach).clamp_max(side - 1) - (torch.arange(side) - reach).clamp_min(0) + 1 for side in x.shape[2:])
    return (tall[:, None] * wide).to(x)


def row_mean(v: Tensor) -> Tensor:
    """The mean of each row of ``v`` [n, width] -> [n]; every entry gets the same gradient."""
    return _RowMean.apply(v)  # type: ignore[no-any-return]


class _RowMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.width = v.shape[1]
        return row_sum(v) / v.shape[1]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return (g / ctx.width)[:, None].expand(-1, ctx.width)
