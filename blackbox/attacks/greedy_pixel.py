"""GreedyPixel (Wang, Chang, Lu, Leckie & Echizen 2025, arXiv:2501.14230)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.candidates.craft import CraftGoal, slope
from blackbox.prior import Guided
from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.rowwise import differs, keep_better, row_sum

CHANNELS = 4  # a pixel of so many has 16 colours


@dataclass(frozen=True)
class GreedyPixel(Guided):
    """Pixel by pixel, the most promising first: each channel at +eps or -eps, and the best of these colours is kept.

    A surrogate's gradient orders the pixels, by the sum of its absolute values over the channels; the target's answers
    choose the colour, 8 queries for a pixel of three channels, 2 for a grey one. A pixel that no colour makes better stays as
    it was, so that few are changed. After the last pixel a new pass begins, with the gradient at the point reached.

    Departs from the paper: without a prior the order is random, each row's own, and drawn afresh for each pass; a colour
    that the pixel has already is not queried; where there are more than four channels, each entry is a pixel.

    Args:
        prior: `surrogates.prior(nets)`, or None.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    needs_prior: ClassVar[bool] = False

    @dataclass
    class State:
        x: Tensor
        loss: Tensor
        order: Tensor  # [n, pixels] int32

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0, self.order(t, t.x0, 0))

    def order(self, t: Task, x: Tensor, turn: int) -> Tensor:
        """[n, pixels] int32: the places of the pixels, the first to try first."""
        c, count = split(t)
        if self.prior is None:
            return t.rng.permutation(turn, "order", count).to(torch.int32)
        steep = slope(self.known, x, CraftGoal.of(t)).abs().reshape(t.n, c, count)
        total = row_sum(steep.transpose(1, 2).reshape(-1, c)).view(t.n, -1)
        return torch.argsort(total, dim=1, descending=True, stable=True).to(torch.int32)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        c, count = split(t)
        turn, at = divmod(k, count)
        order = self.order(t, s.x, turn) if turn and not at else s.order
        place = order[:, at].to(torch.int64)[:, None, None].expand(-1, c, 1)  # of the pixel, in each channel
        assert t.low is not None and t.high is not None
        low, high = (bound.reshape(t.n, c, -1).gather(2, place) for bound in (t.low, t.high))
        x, loss = s.x, s.loss
        for colour in range(2**c):
            up = torch.tensor([colour >> i & 1 for i in range(c)], dtype=torch.bool, device=x.device)[:, None]
            new = s.x.reshape(t.n, c, -1).scatter(2, place, torch.where(up, high, low)).view_as(s.x)
            a = yield Ask(new, mask=differs(new, s.x))
            x, loss = keep_better(x, loss, a.x, a.loss)
        return self.State(x, loss, order)


def split(t: Task) -> tuple[int, int]:
    """Channels that are changed together, and how many such pixels there are."""
    c, h, w = t.grid
    return (c, h * w) if c <= CHANNELS else (1, t.d)
