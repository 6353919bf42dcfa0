"""BSR: blocks of the image shuffled and turned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.rowwise import rows
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.draws import Draw
from surrogates.crafting.parts.views import View


@dataclass(frozen=True)
class BSR(View):
    """Block shuffle and rotation: strips of random width along one side change places, each is turned about its middle
    by U(-angle, angle) degrees (what comes from outside the strip is black), and is then itself cut along the other side,
    its pieces changing places (Wang et al. 2024, arXiv:2308.10299). Which side comes first is drawn.

    Widths are in proportion to draws from U(1, 2), as the authors' code has them. Defaults: those of TransferAttack, 20
    copies, 3 blocks a side; 24 degrees.
    """

    copies: int = 20  # type: ignore[misc]
    blocks: int = 3
    angle: float = 24.0

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        n = self.blocks
        side, strips, order = draw.uniform("side", 1)[:, 0], draw.uniform("strips", n), draw.order("order", n)
        pieces, turns = draw.uniform("pieces", n, n), self.angle * math.pi / 180 * (2 * draw.uniform("angle", n) - 1)
        orders = torch.stack([draw.order(f"order {s}", n) for s in range(n)], 1)
        across = side < 0.5  # columns first: the same on the image laid on its side
        if x.shape[2] == x.shape[3]:
            laid = rows(across, x)
            made = self._rows_first(torch.where(laid, x.mT, x), strips, order, pieces, orders, turns)
            return torch.where(laid, made.mT, made)
        out = torch.empty_like(x)
        for at, turn in ((~across, False), (across, True)):
            part = x[at].mT if turn else x[at]
            made = self._rows_first(part, strips[at], order[at], pieces[at], orders[at], turns[at])
            out = out.index_put((at,), made.mT if turn else made)
        return out

    def _rows_first(
        self, x: Tensor, strips: Tensor, order: Tensor, pieces: Tensor, orders: Tensor, turns: Tensor
    ) -> Tensor:
        """Strips of rows, cut into pieces of columns; what depends on a row alone, or on a strip and a column, is worked
        out there and only then spread over the pixels."""
        m, n, h, w = len(x), self.blocks, x.shape[2], x.shape[3]
        strip, *sizes = layout(h, strips, order)  # [m, h]
        start, length, a = (v.to(x) for v in sizes)
        _, begin, _, offset = layout(w, pieces.reshape(m * n, n), orders.reshape(m * n, n))
        b = (begin + offset).view(m, n, w).to(x).gather(1, strip[:, :, None].expand(m, h, w))  # [m, h, w]
        turn, middle, centre = turns.gather(1, strip), (length - 1) / 2, (w - 1) / 2
        cos, sin, da, db = turn.cos()[:, :, None], turn.sin()[:, :, None], (a - middle)[:, :, None], b - centre
        u, v = (middle[:, :, None] + cos * da) + sin * db, (centre - sin * da) + cos * db
        return bilinear(x, u, v, start[:, :, None], length[:, :, None])

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        if min(shape[1:]) < self.blocks:
            raise ValueError(
                f"Expected images of at least {self.blocks} pixels a side for BSR's blocks, but they had shape {shape}."
            )


def layout(side: int, u: Tensor, order: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A side cut by draws u [m, n] and put together in ``order`` [m, n]: for each place which piece lies there, where that
    came from, how long it is, and how far into it the place is; each [m, side]."""
    share = 1 + u
    lengths = torch.round(share / share.sum(1, keepdim=True) * side).to(torch.int64)
    widest = lengths.argmax(1, keepdim=True)
    lengths = lengths.scatter_add(1, widest, side - lengths.sum(1, keepdim=True))
    ends = lengths.gather(1, order).cumsum(1)
    place = torch.arange(side, device=u.device).expand(len(u), side)
    position = (place[:, :, None] >= ends[:, None, :-1]).sum(2)
    piece = order.gather(1, position)
    length = lengths.gather(1, piece)
    origin = (lengths.cumsum(1) - lengths).gather(1, piece)
    return piece, origin, length, place - (ends.gather(1, position) - length)


def bilinear(x: Tensor, u: Tensor, v: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """Samples [m, c, h, w] of ``x`` at rows start + u and columns v [m, h, w], black outside rows start .. start + length."""
    h, w = x.shape[2:]
    flat, total = x.flatten(2), torch.zeros_like(x)
    tops = [(p, (1 - (u - p).abs()) * ((p >= 0) & (p < length))) for p in (u.floor(), u.floor() + 1)]
    lefts = [(q, (1 - (v - q).abs()) * ((q >= 0) & (q < w))) for q in (v.floor(), v.floor() + 1)]
    down = [((start + p).clamp(0, h - 1).to(torch.int64) * w, weight) for p, weight in tops]
    right = [(q.clamp(0, w - 1).to(torch.int64), weight) for q, weight in lefts]
    for row, above in down:
        for column, beside in right:
            index = (row + column).flatten(1)[:, None].expand(-1, x.shape[1], -1)
            total = total + flat.gather(2, index).view_as(x) * (above * beside)[:, None]
    return total
