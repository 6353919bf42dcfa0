"""SignHunter (Al-Dujaili & O'Reilly 2020, arXiv:1902.06894)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose

STARTS = ("ones", "stripes")
ORDERS = ("flat", "columns", "tiles", "channel-tiles")


@dataclass(frozen=True)
class SignHunter(Attack):
    """Divide and conquer on the signs of the gradient: Algorithm 2.

    Every entry stands at +eps or -eps (L2: at the same share of eps), all at + in the beginning. The entries, in some
    order, are cut into 1, 2, 4, ... runs; each run in turn has its signs flipped, and stays so if the loss rises: one
    query a step. When single entries have been tried, it begins again with the whole.

    Args:
        order: in which the entries are cut. ``flat``: as they lie in memory, the paper's. ``columns``: channel by
            channel, down the columns, so that runs become stripes. ``tiles``: along a curve that keeps neighbours
            together, the channels of a pixel side by side; ``channel-tiles``: the same for each channel by itself.
        start: ``ones``, the paper's; or ``stripes``: a random sign for each column and channel, the start of Square
            (arXiv:1912.00049, section 3.3).

    Needs: scores, or at least the top k. State: up [n, \\*shape], loss [n]. With ``ones`` it draws nothing.
    Departs from the paper: the default order is ``tiles``. On images other than those reported on (numbers 100 to 129,
    Linf, budget 500, mean queries): MNIST LeNet 12 with ``tiles``, 15 ``flat``; CIFAR ResNet-20 52 and 57, and 12 with
    ``columns`` from ``stripes``, which on MNIST take 52. The authors begin again around the point reached, with
    eps in each entry once more and a projection; here the signs themselves go on to be flipped.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    order: str = "tiles"
    start: str = "ones"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"Expected order to be one of {', '.join(ORDERS)}, but it was {self.order!r}.")
        if self.start not in STARTS:
            raise ValueError(f"Expected start to be one of {', '.join(STARTS)}, but it was {self.start!r}.")

    @dataclass
    class State:
        up: Tensor
        loss: Tensor

    def init(self, t: Task) -> Steps[State]:
        up = torch.ones_like(t.x0, dtype=torch.bool)
        if self.start == "stripes":
            c, _, w = (*(1,) * (3 - len(t.shape)), *t.shape)
            up = (t.rng.signs(0, "stripes", (c, 1, w)) > 0).expand(-1, -1, t.d // (c * w), -1).reshape(up.shape)
        a = yield Ask(corner(t, up))
        return self.State(up, a.loss)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        start, stop = runs(t.d)[k % len(runs(t.d))]
        rank = ranks(t.shape, self.order).to(t.x0.device)
        up = s.up ^ ((rank >= start) & (rank < stop))
        a = yield Ask(corner(t, up))
        better = a.loss > s.loss
        return self.State(choose(better, up, s.up), torch.where(better, a.loss, s.loss))


def corner(t: Task, up: Tensor) -> Tensor:
    """The point whose change is the same in every entry but for the sign, as large as the threat allows."""
    if t.low is not None and t.high is not None:
        return torch.where(up, t.high, t.low)
    h = (t.eps if t.eps < torch.inf else (t.threat.upper - t.threat.lower) * t.d**0.5) / t.d**0.5
    return torch.where(up, t.x0 + h, t.x0 - h)


@lru_cache(maxsize=8)
def runs(d: int) -> list[tuple[int, int]]:
    """(start, stop) of the runs that are flipped: the whole, the halves, the quarters, ... single entries."""
    out, size = [], d
    for level in range((d - 1).bit_length() + 1):
        size = -(-d // 2**level)
        out += [(start, min(start + size, d)) for start in range(0, d, size)]
    return out


@lru_cache(maxsize=16)
def ranks(shape: tuple[int, ...], order: str) -> Tensor:
    """[\\*shape] int32: the place of each entry in the order."""
    d = torch.Size(shape).numel()
    place = torch.arange(d)
    if len(shape) == 3 and order != "flat":
        channel, i, j = torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")
        code = torch.zeros_like(i)  # Morton's: the bits of row and column take turns
        for bit in range(max(shape[1:]).bit_length()):
            code |= ((i >> bit) & 1) << (2 * bit + 1) | ((j >> bit) & 1) << (2 * bit)
        key = {
            "columns": (channel * shape[2] + j) * shape[1] + i,
            "tiles": code * shape[0] + channel,
            "channel-tiles": channel * (int(code.max()) + 1) + code,
        }[order]
        place = torch.empty_like(place).scatter_(0, key.flatten().argsort(), place)
    return place.to(torch.int32).view(shape)
