"""Grouping from coarse to fine: blocks of neighbouring pixels that are split where it pays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from blackbox.estimators.probes import Own, blocks, centre, differences, limit, radius
from blackbox.protocol import Ask, Steps, Task


@dataclass(frozen=True)
class Refine:
    """Differences along blocks of neighbouring pixels; in every round those with the largest differences are halved.

    Source: the grouping of Bhagoji et al. 2018, arXiv:1712.09491, made adaptive in the manner of SignHunter's halving
    (Al-Dujaili & O'Reilly 2020, arXiv:1902.06894, Algorithm 2). Pixels are laid on a curve that keeps neighbours
    together (Morton's order, channels innermost); blocks are stretches of that curve. A split asks for one half
    only: the other half has the rest of the difference, exactly so where the loss is linear and to second order
    elsewhere. Each sample splits its own blocks. ``count`` differences make ``count`` blocks.

    When ``most`` is below the plan there are fewer blocks.

    Args:
        h: probe radius in units of the image range (0.01, as in the paper). count: differences in all (100, measured
            on MNIST). start: blocks of the first round, rounded down to a power of two (an eighth of count).
        grow: blocks split in a round as a share of those there are.
        two_sided: f(x+h) - f(x-h); else f(x+h) - f(x). block: blocks an Ask.
    """

    h: float = 0.01
    count: int = 100
    start: int | None = None
    grow: float = 0.5
    two_sided: bool = True
    block: int = 64

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.grow <= 1 or (self.start is not None and self.start < 1):
            raise ValueError(
                "Expected count and start of at least 1 and grow in (0, 1], but they were "
                f"{self.count}, {self.start} and {self.grow}."
            )

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0) -> int:
        count = min(self.count, torch.Size(shape).numel())
        return 2 * count if self.two_sided else count + centre

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        each = 2 if self.two_sided else 1
        count = limit(min(self.count, t.d), most, each, 0 if self.two_sided or loss is not None else 1)
        if not count:
            return torch.zeros_like(x)
        first = min(count, 2 ** int(math.log2(self.start or max(1, self.count // 8))))
        h = radius(t, self.h, (t.d / count) ** 0.5, self.two_sided)
        flat, curve = x.flatten(1), morton(t.shape).to(x.device)
        if self.two_sided:
            base, inward = None, torch.full_like(flat, h)
            moved = (t.clip(x + h) - t.clip(x - h)).flatten(1)
        else:
            base = yield from centre(x, loss)
            inward = torch.where(flat + h <= t.threat.upper, h, -h)
            moved = t.clip(flat + inward) - flat
        inward, moved = inward[:, curve], moved[:, curve]
        edges = torch.arange(first + 1, device=x.device) * t.d // first
        begin, end = edges[:-1].expand(t.n, -1), edges[1:].expand(t.n, -1)
        diff = yield from self.along(t, x, begin, end, inward, curve, base)
        while (have := begin.shape[1]) < count:
            wide = end - begin
            want = min(count - have, max(1, round(self.grow * have)))
            score = torch.where(wide > 1, diff.abs(), torch.full_like(diff, -1.0))
            pick = score.sort(dim=1, descending=True, stable=True).indices[:, :want]
            a, b = begin.gather(1, pick), end.gather(1, pick)
            middle = (a + b + 1) // 2  # a block of one pixel, when all others are used up, keeps its pixel
            half = yield from self.along(t, x, a, middle, inward, curve, base)
            rest = diff.gather(1, pick) - half
            begin = torch.cat([begin.scatter(1, pick, a), middle], 1)
            end = torch.cat([end.scatter(1, pick, middle), b], 1)
            diff = torch.cat([diff.scatter(1, pick, half), rest], 1)
        return self.spread(t, begin, end, diff, moved, curve).view_as(x)

    def along(
        self, t: Task, x: Tensor, begin: Tensor, end: Tensor, inward: Tensor, curve: Tensor, base: Tensor | None
    ) -> Steps[Tensor]:
        """Differences [n, m] along stretches [begin, end) of the curve, each [n, m]."""
        each, parts = (2 if base is None else 1), []
        back = torch.empty_like(curve)
        back[curve] = torch.arange(t.d, device=x.device)
        place, push = back[None], inward[:, back]
        for start, stop in blocks(begin.shape[1], self.block):
            low, high = begin[:, start:stop], end[:, start:stop]

            def make(row: Tensor, index: Tensor, low: Tensor = low, high: Tensor = high) -> Tensor:
                at = index // each
                on = (place >= low[row, at][:, None]) & (place < high[row, at][:, None])
                u = push[row] * on
                if each == 2:
                    u *= (1 - 2 * (index % 2))[:, None]
                return u.view(-1, *t.shape)

            a = yield Ask(x, u=Own(each * (stop - start), make))
            parts.append(differences(a.loss, base))
        return torch.cat(parts, 1)

    def spread(self, t: Task, begin: Tensor, end: Tensor, diff: Tensor, moved: Tensor, curve: Tensor) -> Tensor:
        """The gradient of least norm that explains the differences: ``df * v / |v|^2`` in each block."""
        g = torch.zeros_like(moved)
        order = (2 * begin + (end > begin)).sort(dim=1, stable=True).indices  # an empty block never hides a real one
        begin, end, diff = begin.gather(1, order), end.gather(1, order), diff.gather(1, order)
        # Which block a place on the curve is in: the last one that begins at or before it.
        which = torch.searchsorted(begin.contiguous(), torch.arange(t.d, device=g.device).expand(t.n, -1).contiguous(), right=True) - 1
        total = torch.cat([torch.zeros_like(moved[:, :1]).double(), (moved.double() ** 2).cumsum(1)], 1)
        square = (total.gather(1, end) - total.gather(1, begin)).to(moved.dtype)
        share = diff / square.clamp_min(1e-12)
        g[:, curve] = share.gather(1, which) * moved
        return g


@lru_cache(maxsize=8)
def morton(shape: tuple[int, ...]) -> Tensor:
    """[d] int64: the entries of an image [channels, height, width] along Morton's curve; of others, in memory order."""
    d = int(np.prod(shape))
    if len(shape) != 3:
        return torch.arange(d)
    c, h, w = shape
    channel, i, j = (a.ravel() for a in np.meshgrid(np.arange(c), np.arange(h), np.arange(w), indexing="ij"))
    code = np.zeros(d, np.int64)
    for bit in range(max(h, w).bit_length()):
        code |= ((i >> bit) & 1) << (2 * bit + 1) | ((j >> bit) & 1) << (2 * bit)
    return torch.from_numpy(np.lexsort((channel, code)))
