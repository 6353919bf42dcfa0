"""Views that cut the image into blocks: SIA transforms each block differently, BSR shuffles and rotates them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.rowwise import rows
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.views import Draw, View

OPERATIONS = ("roll down", "roll right", "flip down", "flip right", "turn", "scale", "noise")


@dataclass(frozen=True)
class Blocks(View):
    """Base class: ``copies`` views of an image cut into ``blocks`` pieces a side (TransferAttack's defaults)."""

    copies: int = 20  # type: ignore[misc]
    blocks: int = 3

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        if min(shape[1:]) < self.blocks:
            raise ValueError(
                f"Expected images of at least {self.blocks} pixels a side for {type(self).__name__}'s blocks, but they had shape "
                f"{shape}."
            )


@dataclass(frozen=True)
class SIA(Blocks):
    """Structure invariant attack: applies one random operation to each of ``blocks`` x ``blocks`` randomly cut blocks.

    A block is rolled or flipped in one direction, turned by 180 degrees, scaled by U(0, 1), or gets noise U(+-noise) and
    is clipped to [0, 1]. Wang et al. 2023, arXiv:2309.14700. Departs from the paper, which has three more operations
    (resizing, DCT, dropout): these seven are those of the TransferAttack collection.
    """

    noise: float = 16 / 255
    operations: tuple[str, ...] = OPERATIONS

    def __post_init__(self) -> None:
        if not self.operations or not set(self.operations) <= set(OPERATIONS):
            raise ValueError(
                f"Expected SIA's operations among {', '.join(OPERATIONS)}, but they were {self.operations}."
            )

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        m, channels, h, w = x.shape
        n, count = self.blocks, self.blocks**2
        top, tall, across = self._blocks(draw, "rows", h)
        left, wide, along = self._blocks(draw, "columns", w)
        number = draw.integers("operation", 0, len(self.operations) - 1, count)
        chosen = torch.tensor([OPERATIONS.index(o) for o in self.operations], device=x.device)[number].view(m, n, n)
        shift = draw.uniform("shift", count).view(m, n, n)
        # the row a pixel comes from depends on its own row and on its block column; likewise for columns
        rows = source(top, tall, across, chosen, shift, "roll down", "flip down").gather(
            2, along[:, None].expand(m, h, w)
        )
        columns = source(left, wide, along, chosen.mT, shift.mT, "roll right", "flip right")
        columns = columns.gather(2, across[:, None].expand(m, w, h)).mT
        index = (rows * w + columns).reshape(m, 1, h * w).expand(-1, channels, -1)
        out = x.flatten(2).gather(2, index).view_as(x)
        block = (across[:, :, None] * n + along[:, None, :]).flatten(1)
        factor = (
            torch.where(chosen.flatten(1) == 5, draw.uniform("scale", count), 1.0).gather(1, block).view(m, 1, h, w)
        )
        noisy = (chosen.flatten(1) == 6).gather(1, block).view(m, 1, h, w)
        noise = self.noise * (2 * draw.uniform("noise", channels, h, w) - 1)
        return torch.where(noisy, (out + noise).clamp(0, 1), out * factor)

    def _blocks(self, draw: Draw, tag: str, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """For each pixel of a side, [m, side] each: the start, the length and the number of its block."""
        cuts = draw.order(tag, side - 1)[:, : self.blocks - 1].sort(1).values + 1
        ends = torch.cat([cuts.new_zeros(len(cuts), 1), cuts, cuts.new_full((len(cuts), 1), side)], 1)
        which = (torch.arange(side, device=cuts.device)[None, :, None] >= ends[:, None, 1:-1]).sum(2)
        return ends[:, :-1].gather(1, which), ends.diff(dim=1).gather(1, which), which


def source(begin: Tensor, length: Tensor, block: Tensor, chosen: Tensor, shift: Tensor, roll: str, flip: str) -> Tensor:
    """[m, side, blocks]: the index along a side that each pixel is copied from, for every block across the side.

    begin, length, block: [m, side], of the block that holds the pixel; chosen, shift: [m, blocks along, blocks across].
    """
    spread = block[:, :, None].expand(-1, -1, chosen.shape[2])
    what, far = chosen.gather(1, spread), shift.gather(1, spread)
    size = length[:, :, None]
    at = (torch.arange(block.shape[1], device=block.device) - begin)[:, :, None].expand_as(what)
    rolled = (at - (far * size).to(torch.int64)) % size
    turned = (what == OPERATIONS.index(flip)) | (what == OPERATIONS.index("turn"))
    at = torch.where(what == OPERATIONS.index(roll), rolled, torch.where(turned, size - 1 - at, at))
    return at + begin[:, :, None]


@dataclass(frozen=True)
class BSR(Blocks):
    """Block shuffle and rotation: strips of random width along one side change places, each is turned about its middle
    by U(-angle, angle) degrees (what comes from outside the strip is black), and is then itself cut along the other side,
    its pieces changing places (Wang et al. 2024, arXiv:2308.10299). Which side comes first is drawn.

    Widths are in proportion to draws from U(1, 2), as the authors' code has them. Defaults: those of TransferAttack, 20
    copies, 3 blocks a side; 24 degrees.
    """

    angle: float = 24.0

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        n = self.blocks
        side, strips, order = draw.uniform("side", 1)[:, 0], draw.uniform("strips", n), draw.order("order", n)
        pieces, turns = draw.uniform("pieces", n, n), self.angle * math.pi / 180 * (2 * draw.uniform("angle", n) - 1)
        orders = torch.stack([draw.order(f"order {s}", n) for s in range(n)], 1)
        across = side < 0.5  # columns first: the same operation on the transposed image
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
        """Cut strips of pixel rows into pieces of columns. Terms that depend on a row alone, or on a strip and a column,
        are computed at that size and only then expanded to pixels."""
        m, n, h, w = len(x), self.blocks, x.shape[2], x.shape[3]
        strip, *sizes = layout(h, strips, order)  # [m, h]
        start, length, a = (v.to(x) for v in sizes)
        _, begin, _, offset = layout(w, pieces.reshape(m * n, n), orders.reshape(m * n, n))
        b = (begin + offset).view(m, n, w).to(x).gather(1, strip[:, :, None].expand(m, h, w))  # [m, h, w]
        turn, middle, centre = turns.gather(1, strip), (length - 1) / 2, (w - 1) / 2
        cos, sin, da, db = turn.cos()[:, :, None], turn.sin()[:, :, None], (a - middle)[:, :, None], b - centre
        u, v = (middle[:, :, None] + cos * da) + sin * db, (centre - sin * da) + cos * db
        return bilinear(x, u, v, start[:, :, None], length[:, :, None])


def layout(side: int, u: Tensor, order: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cut a side by draws u [m, n] and join the pieces in ``order`` [m, n].

    Returns four tensors [m, side], for each pixel: the piece now there, that piece's original start, its length, and the
    pixel's offset in it."""
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
    """Sample ``x`` [m, c, h, w] bilinearly at rows start + u and columns v [m, h, w]; black outside start .. start + length."""
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
