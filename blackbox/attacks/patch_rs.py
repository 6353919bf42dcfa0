"""Sparse-RS for patches and frames (Croce, Andriushchenko, Singh, Flammarion & Hein 2022, arXiv:2006.12834, section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.areas import Frame, Patch, drawn
from blackbox.attacks.sparse import SparseRS
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose

_SQUARES = 20  # of which the first content is made


@dataclass(frozen=True)
class PatchRS(Attack):
    """Random search over the content of a patch and its place, or over that of a frame: one query a step.

    A content step paints a random square of the patch in a random corner colour; a place step moves the patch by as much as a
    range that shrinks to a pixel. A step is kept where the loss rises. The side of the squares shrinks over the budget by the
    paper's schedule.

    Args:
        alpha_init: the share of the patch that the first squares cover: 0.4, targeted 0.1.
        every: one step in so many moves a patch that is free: 5, targeted 10.

    Needs: scores, or at least the top k; images. With ``bb.Patch`` or ``bb.Frame``; with ``bb.L0(k)`` the largest square of at most k
    pixels, anywhere. State: content [n, channels, h, w], place [n, 2], loss [n].
    Departs from the paper: a square that would change nothing gets the opposite colours; the first content is made of 20 random
    squares; frames begin and go on as patches do, with squares around a random pixel of the frame.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("L0",)
    needs_images: ClassVar[bool] = True
    searches_place: ClassVar[bool] = True

    alpha_init: float | None = None
    every: int | None = None

    def __post_init__(self) -> None:
        if self.alpha_init is not None and not 0 < self.alpha_init <= 1:
            raise ValueError(f"Expected alpha_init, a share of the patch, in (0, 1], but it was {self.alpha_init}.")
        if self.every is not None and self.every < 2:
            raise ValueError(f"Expected every, of how many steps one moves the patch, to be 2 or more, but it was {self.every}.")

    @dataclass
    class State:
        content: Tensor
        place: Tensor
        loss: Tensor

    def init(self, t: Task) -> Steps[State]:
        size = size_of(t)
        content = t.x0.new_full((t.n, t.shape[0], *size), t.threat.lower)
        for i in range(_SQUARES):
            side = 1 + int((min(size) - 1) * (1 - i / _SQUARES))
            content = painted(t, content, side, i, "first")
        place = drawn(t.rng, 0, "place", size, t.shape)
        if isinstance(t.threat, Patch) and not t.threat.free and t.mask is not None:
            first = t.mask.any(1).flatten(1).to(torch.int8).argmax(1)
            place = torch.stack([first // t.shape[2], first % t.shape[2]], 1)
        a = yield Ask(pasted(t, content, place))
        return self.State(content, place, a.loss)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        content, place = s.content, s.place
        if self.moves(t) and k % (self.every or (10 if t.targeted else 5)) == 0:
            place = self.moved(t, place, k)
        else:
            h, w = size_of(t)
            share = SparseRS(self.alpha_init or (0.1 if t.targeted else 0.4)).share(t, k)
            pixels = int(t.eps) if isinstance(t.threat, Frame) else h * w
            side = min(max(1, round(math.sqrt(share * pixels))), h, w)
            content = painted(t, content, side, k, "square")
        a = yield Ask(pasted(t, content, place))
        better = a.loss > s.loss
        return self.State(
            choose(better, content, s.content),
            torch.where(better[:, None], place, s.place),
            torch.where(better, a.loss, s.loss),
        )

    def moves(self, t: Task) -> bool:
        """Whether the place is searched, and there is another."""
        h, w = size_of(t)
        fixed = isinstance(t.threat, Frame) or (isinstance(t.threat, Patch) and not t.threat.free)
        return not fixed and (h, w) != t.shape[1:]

    def moved(self, t: Task, place: Tensor, k: int) -> Tensor:
        """Another place: within a range that shrinks over the budget; anywhere, where that leads nowhere."""
        h, w = size_of(t)
        room = torch.tensor([t.shape[1] - h, t.shape[2] - w], device=place.device)
        reach = (room * max(0.0, 1 - (k + 1) / t.budget)).round().clamp_min(1)
        shift = ((2 * t.rng.uniform(k, "shift", 2).double() - 1) * (reach + 0.5)).round().long()
        new = torch.minimum((place + shift).clamp_min(0), room)
        same = (new == place).all(1, keepdim=True)
        return torch.where(same, drawn(t.rng, k, "elsewhere", (h, w), t.shape), new)


def size_of(t: Task) -> tuple[int, int]:
    """Height and width of the content: of the patch, of the image for a frame, of the largest square of at most eps pixels else."""
    _, height, width = t.shape
    if isinstance(t.threat, Frame):
        return height, width
    if isinstance(t.threat, Patch):
        return t.threat.size[0], t.threat.size[1]
    side = math.isqrt(int(min(t.eps, height * width)))
    return min(side, height), min(side, width)


def painted(t: Task, content: Tensor, side: int, k: int, tag: str) -> Tensor:
    """``content`` with a square of a random corner colour at a random place; in a frame around a random pixel of it."""
    c, h, w = content.shape[1:]
    if isinstance(t.threat, Frame) and t.mask is not None:
        at = (t.rng.uniform(k, f"{tag} place", h * w) * t.mask.any(1).flatten(1)).argmax(1)
        top, left = at // w - side // 2, at % w - side // 2
    else:
        top, left = drawn(t.rng, k, f"{tag} place", (side, side), (c, h, w)).unbind(1)
    down, across = torch.arange(h, device=content.device), torch.arange(w, device=content.device)
    tall, wide = down - top[:, None], across - left[:, None]
    inside = ((tall >= 0) & (tall < side))[:, None, :, None] & ((wide >= 0) & (wide < side))[:, None, None, :]
    if isinstance(t.threat, Frame) and t.mask is not None:
        inside = inside & t.mask.any(1, keepdim=True)
    high = t.rng.signs(k, f"{tag} colour", (c, 1, 1)) > 0

    def coloured(high: Tensor) -> Tensor:
        return torch.where(inside, torch.where(high, t.threat.upper, t.threat.lower), content)

    new = coloured(high)
    same = (new == content).flatten(1).all(1)
    return choose(same, coloured(~high), new)


def pasted(t: Task, content: Tensor, place: Tensor) -> Tensor:
    """The clean images with the content at its place [n, 2]."""
    n, c, h, w = content.shape
    down = place[:, 0, None] + torch.arange(h, device=place.device)
    across = place[:, 1, None] + torch.arange(w, device=place.device)
    x = t.x0.clone()
    row, channel = torch.arange(n, device=place.device)[:, None, None, None], torch.arange(c, device=place.device)[:, None, None]
    x[row, channel, down[:, None, :, None], across[:, None, None, :]] = content
    return x
