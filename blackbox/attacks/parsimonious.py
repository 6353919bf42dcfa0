"""Parsimonious attack, ECO (Moon, An & Song 2019, arXiv:1905.06635)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.proposals.tiles import blocks
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose

_UNKNOWN, _NONE = float("inf"), float("-inf")  # gains of a block that is still to be tried, and of none


@dataclass(frozen=True)
class Parsimonious(Attack):
    """Lazy greedy search for the set of blocks that stand at +eps, the others at -eps.

    Blocks of one channel come in batches, in a random order. In a batch, first the blocks at -eps are tried one by one
    and put into the set while the loss rises, the most promising first; then those in the set are taken out in the same
    way. What a flip was once seen to gain is an upper bound: only the best block is tried again before it is flipped.
    After all batches the blocks are halved. A step is one query; rows are at different places of the procedure.

    Args:
        block: the side of the first blocks in pixels: 32 from 128 pixels on (the authors' code, ImageNet), else 4
            (there, CIFAR-10). batch: blocks a batch: 64 (there).

    Needs: scores, or at least the top k. State: up [n, \\*shape], loss [n]; level, page and phase [n]: how often the
    blocks were halved, the number of the batch, 0 while inserting and 1 while taking out; order [n, batch] the blocks
    of the batch; gain, fresh [n, batch]: what flipping them was seen to gain, and whether nothing was flipped since.
    Departs from the paper: blocks whose upper bound is not above 0 are not tried again, nor is one whose gain is known
    exactly.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf",)

    block: int | None = None
    batch: int = 64

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.block is not None and (self.block < 1 or self.block & (self.block - 1))):
            raise ValueError(
                f"Expected block to be a power of two and batch at least 1, but they were {self.block} and {self.batch}."
            )

    @dataclass
    class State:
        up: Tensor
        loss: Tensor
        level: Tensor
        page: Tensor
        phase: Tensor
        order: Tensor
        gain: Tensor
        fresh: Tensor

    def blocks(self, t: Task) -> list[tuple[Tensor, Tensor]]:
        size = self.block or (32 if min(t.shape[1:], default=1) >= 128 else 4)
        return [blocks(t.shape, size >> level, str(t.x0.device)) for level in range(size.bit_length())]

    def init(self, t: Task) -> Steps[State]:
        assert t.low is not None
        a = yield Ask(t.low)
        zero = torch.zeros(t.n, dtype=torch.int64, device=t.x0.device)
        gain = t.x0.new_full((t.n, self.batch), _NONE)
        up = torch.zeros_like(t.x0, dtype=torch.bool)
        return self.State(up, a.loss, zero, zero - 1, zero + 1, zero.new_zeros(t.n, self.batch), gain, gain > 0)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        for _ in range(3):  # a block is either in the set or not, so one of three phases in a row has something to try
            over = s.gain.amax(1) <= 0
            if not bool(over.any()):
                break
            s = self.turn(t, s, over)
        at = s.gain.argmax(1, keepdim=True)
        up = self.flip(t, s, at)
        assert t.low is not None and t.high is not None
        a = yield Ask(torch.where(up, t.high, t.low))
        seen = torch.where(a.paid, a.loss - s.loss, torch.zeros_like(s.loss))
        gain, fresh = s.gain.scatter(1, at, seen[:, None]), s.fresh.scatter(1, at, True)
        best, top = gain.max(1, keepdim=True)
        won = (best > 0) & fresh.gather(1, top)
        gain = torch.where(won, gain.scatter(1, top, _NONE), gain)
        up = choose(won & (top == at), up, s.up)
        other = (won & (top != at))[:, 0]
        if bool(other.any()):  # one that was tried earlier in the round proved to be the best
            up = choose(other, self.flip(t, s, top), up)
        loss = s.loss + torch.where(won, best, torch.zeros_like(best))[:, 0]
        return replace(s, up=up, loss=loss, gain=gain, fresh=fresh & ~won)

    def flip(self, t: Task, s: State, at: Tensor) -> Tensor:
        """``up`` with the blocks at the places ``at`` [n, 1] of the batch flipped."""
        block, levels = s.order.gather(1, at), self.blocks(t)
        level = int(s.level[0])
        if bool((s.level == level).all()):
            owner = levels[level][0]
        else:
            owner = torch.stack([owner for owner, _ in levels])[s.level]
        return (s.up.flatten(1) ^ (owner == block)).view_as(s.up)

    def turn(self, t: Task, s: State, over: Tensor) -> State:
        """The next phase for the rows that are through with theirs; batches and halvings follow from it."""
        levels = self.blocks(t)
        count = torch.tensor([len(first) for _, first in levels], device=over.device)
        page = s.page + (over & (s.phase == 1))
        last = page * self.batch >= count[s.level]
        level, page = (s.level + last).clamp_max(len(levels) - 1), torch.where(last, 0, page)
        order, gain = s.order.clone(), s.gain.clone()
        for j in torch.unique(level[over]).tolist():
            who = (over & (level == j)).nonzero()[:, 0]
            first = levels[j][1]
            place = page[who, None] * self.batch + torch.arange(self.batch, device=who.device)
            dealt = t.rng.take(who.numpy(force=True)).permutation(j, "blocks", len(first))
            order[who] = dealt.gather(1, place.clamp_max(len(first) - 1))
            inside = s.up[who].flatten(1).gather(1, first[order[who]])
            open_ = (inside == (s.phase[who, None] == 0)) & (place < len(first))  # after inserting comes taking out
            gain[who] = torch.where(open_, _UNKNOWN, _NONE)
        phase = torch.where(over, 1 - s.phase, s.phase)
        return self.State(s.up, s.loss, level, page, phase, order, gain, s.fresh & ~over[:, None])
