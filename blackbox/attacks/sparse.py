"""Sparse-RS (Croce, Andriushchenko, Singh, Flammarion & Hein 2022, arXiv:2006.12834)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose

_FROM = (0, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 iterations:
_DIVISOR = (2, 4, 5, 6, 8, 10, 12, 15, 20)  # from there on alpha is alpha_init over this
_STALE = 30  # steps; by then 15 of the 35 other colours of five pixels have been drawn


@dataclass(frozen=True)
class SparseRS(Attack):
    """Random search over which eps pixels change and to which corner of the colour cube: its version for L0.

    A step lets a share of the pixels go, takes as many others in with random corner colours, and keeps the change when
    the loss does not fall: one query. The share shrinks over the budget by the paper's schedule.

    Args:
        alpha_init: the share in the beginning: 0.3, targeted 0.1 (the authors' commands for L0).

    Needs: scores, or at least the top k. State: x [n, \\*shape], loss [n], chosen [n, pixels], stale [n]: steps since a
    change was last kept, without [n, pixels]: the loss when the pixel was last let go in vain, inf where it never was.
    With ``bb.L0(1)`` it is a one-pixel attack (Su et al. 2019, arXiv:1710.08864) by random search instead of by
    differential evolution.
    Departs from the paper: equal losses are not accepted; and where eps is so small that one pixel is exchanged, every
    other step gives a chosen pixel a random colour and leaves it in place, until 30 steps in a row have changed nothing;
    three in four exchanges let the pixel go whose absence has hurt least; half of them take in one beside it.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("L0",)

    alpha_init: float | None = None

    def __post_init__(self) -> None:
        if self.alpha_init is not None and not 0 < self.alpha_init <= 1:
            raise ValueError(f"Expected alpha_init, a share of the pixels, in (0, 1], but it was {self.alpha_init}.")

    @dataclass
    class State:
        x: Tensor
        loss: Tensor
        chosen: Tensor
        stale: Tensor
        without: Tensor

    def init(self, t: Task) -> Steps[State]:
        pixels = places(t.shape)
        order = t.rng.permutation(0, "pixels", pixels)
        chosen = torch.zeros_like(order, dtype=torch.bool).scatter(1, order[:, : self.size(t)], True)
        a = yield Ask(paint(t, t.x0, chosen, 0))
        return self.State(a.x, a.loss, chosen, torch.zeros_like(a.loss), torch.full_like(order, torch.inf, dtype=a.loss.dtype))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        size, pixels = self.size(t), places(t.shape)
        count = max(1, min(int(self.share(t, k) * size), size, pixels - size))
        key = t.rng.uniform(k + 1, "exchange", pixels)
        recolour = (s.stale < _STALE)[:, None] & (count == 1 and k % 2 == 1)
        free = ~s.chosen
        if count == 1 and k // 2 % 4 < 3:
            hurt = torch.where(s.chosen, s.without, -torch.inf)
            free = torch.where(recolour, free, free | (hurt < hurt.amax(1, keepdim=True)))
        leaving = (key + free).topk(count, dim=1, largest=False).indices
        barred = s.chosen.float()
        if count == 1 and k % 4 >= 2:
            barred += ~around(leaving, t.shape) * 2.0
        entering = (key + barred).topk(count, dim=1, largest=False).indices
        entering = leaving if pixels == size else torch.where(recolour, leaving, entering)
        none = torch.zeros_like(s.chosen)
        out, new = none.scatter(1, leaving, True), none.scatter(1, entering, True)
        x = torch.where(spread(t, out), t.x0, s.x)
        a = yield Ask(paint(t, x, new, k + 1))
        better = a.loss > s.loss
        without = torch.where(out & ~recolour, a.loss[:, None], s.without)
        return self.State(
            choose(better, a.x, s.x),
            torch.where(better, a.loss, s.loss),
            torch.where(better[:, None], (s.chosen & ~out) | new, s.chosen),
            torch.where(better, 0, s.stale + 1),
            torch.where(better[:, None] & new, torch.inf, without),
        )

    @staticmethod
    def size(t: Task) -> int:
        """How many pixels may change."""
        return int(min(t.eps, places(t.shape)))

    def share(self, t: Task, k: int) -> float:
        """The paper's alpha at step k."""
        done = (k + 1) * 10_000 / t.budget
        first = self.alpha_init or (0.1 if t.targeted else 0.3)
        return first / next((v for start, v in zip(_FROM[::-1], _DIVISOR[::-1], strict=True) if done > start), 1)


def places(shape: tuple[int, ...]) -> int:
    """Pixels: places with all their channels; in a vector every entry is one."""
    return torch.Size(shape[1:] if len(shape) == 3 else shape).numel()


def around(place: Tensor, shape: tuple[int, ...]) -> Tensor:
    """[n, pixels]: the places beside ``place`` [n, 1], across corners too, and itself; in a vector the entries beside it."""
    width = shape[-1]
    at = torch.arange(places(shape), device=place.device)
    down, right = (at // width - place // width).abs(), (at % width - place % width).abs()
    return torch.maximum(down, right) <= 1


def spread(t: Task, mask: Tensor) -> Tensor:
    """[n, pixels] -> a mask that broadcasts over the channels of [n, \\*shape]."""
    return mask.view(-1, 1, *t.shape[1:]) if len(t.shape) == 3 else mask.view(-1, *t.shape)


def paint(t: Task, x: Tensor, where: Tensor, k: int) -> Tensor:
    """``x`` with a random corner colour in the pixels ``where`` [n, pixels]."""
    high = t.rng.signs(k, "colours", t.shape) > 0
    colour = torch.where(high, t.threat.upper, t.threat.lower)
    return torch.where(spread(t, where), colour, x)
