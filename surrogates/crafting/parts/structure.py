"""SIA: the image cut into blocks, each changed in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.draws import Draw
from surrogates.crafting.parts.views import View

OPERATIONS = ("roll down", "roll right", "flip down", "flip right", "turn", "scale", "noise")


@dataclass(frozen=True)
class SIA(View):
    """Structure invariant: cut at random into ``blocks`` x ``blocks``; each is rolled or flipped in one direction, turned
    by 180 degrees, scaled by U(0, 1), or gets noise U(+-noise) and is cut to [0, 1] (Wang et al. 2023, arXiv:2309.14700).

    Departs from the paper: it has three operations more (resizing, DCT, dropout); these seven are those of the
    TransferAttack collection, whose 20 copies and 3 blocks are the defaults here.
    """

    copies: int = 20  # type: ignore[misc]
    blocks: int = 3
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
        number = draw.whole("operation", 0, len(self.operations) - 1, count)
        chosen = torch.tensor([OPERATIONS.index(o) for o in self.operations], device=x.device)[number].view(m, n, n)
        shift = draw.uniform("shift", count).view(m, n, n)
        # the row a pixel comes from depends on its own row and its column of blocks; and the other way round
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
        """For each pixel of a side, [m, side]: where its block begins, how long it is, which it is."""
        cuts = draw.order(tag, side - 1)[:, : self.blocks - 1].sort(1).values + 1
        ends = torch.cat([cuts.new_zeros(len(cuts), 1), cuts, cuts.new_full((len(cuts), 1), side)], 1)
        which = (torch.arange(side, device=cuts.device)[None, :, None] >= ends[:, None, 1:-1]).sum(2)
        return ends[:, :-1].gather(1, which), ends.diff(dim=1).gather(1, which), which

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        if min(shape[1:]) < self.blocks:
            raise ValueError(
                f"Expected images of at least {self.blocks} pixels a side for SIA's blocks, but they had shape {shape}."
            )


def source(begin: Tensor, length: Tensor, block: Tensor, chosen: Tensor, shift: Tensor, roll: str, flip: str) -> Tensor:
    """[m, side, blocks]: the place along a side that each place is filled from, for every block across it.

    begin, length, block: [m, side], of the block a place lies in; chosen, shift: [m, blocks along, blocks across].
    """
    spread = block[:, :, None].expand(-1, -1, chosen.shape[2])
    what, far = chosen.gather(1, spread), shift.gather(1, spread)
    size = length[:, :, None]
    at = (torch.arange(block.shape[1], device=block.device) - begin)[:, :, None].expand_as(what)
    rolled = (at - (far * size).to(torch.int64)) % size
    turned = (what == OPERATIONS.index(flip)) | (what == OPERATIONS.index("turn"))
    at = torch.where(what == OPERATIONS.index(roll), rolled, torch.where(turned, size - 1 - at, at))
    return at + begin[:, :, None]
