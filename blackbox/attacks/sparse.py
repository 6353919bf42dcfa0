"""Sparse-RS (Croce, Andriushchenko, Singh, Flammarion & Hein 2022, arXiv:2006.12834)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.rowwise import choose

_FROM = (0, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 iterations:
_DIVISOR = (2, 4, 5, 6, 8, 10, 12, 15, 20)  # from there on alpha is alpha_init over this


@dataclass(frozen=True)
class SparseRS:
    """Random search over which eps pixels change and to which corner of the colour cube: its version for L0.

    A step lets a share of the pixels go, takes as many others in with random corner colours, and keeps the change when
    the loss does not fall: one query. The share shrinks over the budget by the paper's schedule.

    Args:
        alpha_init: the share in the beginning: 0.3, targeted 0.1 (the authors' commands for L0).

    Needs: scores, or at least the top k. State: x [n, \\*shape], loss [n], chosen [n, pixels].
    With ``bb.L0(1)`` it is a one-pixel attack (Su et al. 2019, arXiv:1710.08864) by random search instead of by
    differential evolution.
    Departs from the paper: where eps is so small that one pixel is exchanged, every other step gives a chosen pixel
    another colour and leaves it in place; equal losses are not accepted.
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

    def init(self, t: Task) -> Steps[State]:
        pixels = places(t.shape)
        order = t.rng.permutation(0, "pixels", pixels)
        chosen = torch.zeros_like(order, dtype=torch.bool).scatter(1, order[:, : self.size(t)], True)
        a = yield Ask(paint(t, t.x0, chosen, 0))
        return self.State(a.x, a.loss, chosen)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        size, pixels = self.size(t), places(t.shape)
        count = max(1, min(int(self.share(t, k) * size), size, pixels - size))
        key = t.rng.uniform(k + 1, "exchange", pixels)
        leaving = (key + ~s.chosen).topk(count, dim=1, largest=False).indices
        if pixels == size or (count == 1 and k % 2):
            entering = leaving
        else:
            entering = (key + s.chosen).topk(count, dim=1, largest=False).indices
        none = torch.zeros_like(s.chosen)
        out, new = none.scatter(1, leaving, True), none.scatter(1, entering, True)
        x = torch.where(spread(t, out), t.x0, s.x)
        a = yield Ask(paint(t, x, new, k + 1))
        better = a.loss > s.loss
        return self.State(
            choose(better, a.x, s.x),
            torch.where(better, a.loss, s.loss),
            torch.where(better[:, None], (s.chosen & ~out) | new, s.chosen),
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


def spread(t: Task, mask: Tensor) -> Tensor:
    """[n, pixels] -> a mask that broadcasts over the channels of [n, \\*shape]."""
    return mask.view(-1, 1, *t.shape[1:]) if len(t.shape) == 3 else mask.view(-1, *t.shape)


def paint(t: Task, x: Tensor, where: Tensor, k: int) -> Tensor:
    """``x`` with a random corner colour in the pixels ``where`` [n, pixels]."""
    high = t.rng.signs(k, "colours", t.shape) > 0
    colour = torch.where(high, t.threat.upper, t.threat.lower)
    return torch.where(spread(t, where), colour, x)
