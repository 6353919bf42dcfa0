"""Random grouping: one difference for many pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.estimators.probes import Own, blocks, centre, differences, limit, radius
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import row_sum


@dataclass(frozen=True)
class Groups:
    """Differences along random groups of pixels: 2 * ceil(d / size) queries two-sided.

    Source: Bhagoji et al. 2018, arXiv:1712.09491, query reduction by random feature grouping. The pixels are dealt
    into groups at random, all of a group move together, and each gets the group's share: the gradient of least norm
    that explains the difference, ``g += df * v / |v|^2`` for the displacement v that really happened (the paper's
    df / (2 h size), away from the box's edges).

    Departs from the paper: the groups are fresh for every step *and* every sample, the clip to the box is accounted
    for, and ``size`` may fall from step to step (``finest``), from coarse to fine. When ``most`` is below the plan
    the groups are made larger until the whole image is covered.

    Args:
        h: probe radius in units of the image range (as in the paper, 0.01). size: pixels a group (the paper: 8 on
            MNIST and CIFAR-10). finest: halve the size after every step k until it is this; by default it stays.
        two_sided: f(x+h) - f(x-h); else f(x+h) - f(x). block: groups an Ask.
    """

    h: float = 0.01
    size: int = 8
    finest: int | None = None
    two_sided: bool = True
    block: int = 64

    def __post_init__(self) -> None:
        if self.size < 1 or (self.finest is not None and not 1 <= self.finest <= self.size):
            raise ValueError(
                f"Expected size of at least 1 and finest between 1 and size, but they were {self.size} and {self.finest}."
            )

    def size_at(self, k: int) -> int:
        """Pixels a group at step k."""
        return self.size if self.finest is None else max(self.finest, self.size >> k)

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0) -> int:
        count = -(-torch.Size(shape).numel() // self.size_at(k))
        return 2 * count if self.two_sided else count + centre

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        each = 2 if self.two_sided else 1
        size = min(self.size_at(k), t.d)
        count = limit(-(-t.d // size), most, each, 0 if self.two_sided or loss is not None else 1)
        if not count:
            return torch.zeros_like(x)
        size = max(size, -(-t.d // count))
        count = -(-t.d // size)
        h = radius(t, self.h, size**0.5, self.two_sided)
        flat = x.flatten(1)
        if self.two_sided:
            base, inward = None, torch.full_like(flat, h)
            moved = (t.clip(x + h) - t.clip(x - h)).flatten(1)
        else:
            base = yield from centre(x, loss)
            inward = torch.where(flat + h <= t.threat.upper, h, -h)
            moved = t.clip(flat + inward) - flat
        # A dummy pixel d fills the last group up; it never moves.
        order = t.rng.permutation(k, "groups", t.d)
        order = torch.cat([order, order.new_full((t.n, count * size - t.d), t.d)], 1).view(t.n, count, size)
        pad = flat.new_zeros(t.n, 1)
        moved, inward = torch.cat([moved, pad], 1), torch.cat([inward, pad], 1)
        g = torch.zeros_like(moved)
        for start, stop in blocks(count, self.block):
            pixels = order[:, start:stop]

            def make(row: Tensor, index: Tensor, pixels: Tensor = pixels) -> Tensor:
                at = pixels[row, index // each]
                push = inward[row[:, None], at]
                if each == 2:
                    push = push * (1 - 2 * (index % 2))[:, None]
                u = push.new_zeros(len(row), t.d + 1).scatter_(1, at, push)
                return u[:, : t.d].view(-1, *t.shape)

            m = stop - start
            a = yield Ask(x, u=Own(each * m, make))
            at = pixels.flatten(1)
            v = moved.gather(1, at).view(t.n * m, size)
            share = differences(a.loss, base).flatten() / row_sum(v * v).clamp_min(1e-12)
            g.scatter_(1, at, (share[:, None] * v).view(t.n, m * size))
        return g[:, : t.d].view_as(x)
