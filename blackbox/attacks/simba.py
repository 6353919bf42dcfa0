"""SimBA (Guo et al. 2019, arXiv:1905.07121)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.proposals import bases
from blackbox.protocol import Access, Ask, Attack, Steps, Task, grid
from blackbox.rowwise import choose, row_norm, rows


@dataclass(frozen=True)
class SimBA(Attack):
    """One direction of an orthonormal basis a step, up or else down, kept when the loss rises: Algorithm 1.

    A step costs 1 query where the first side raises the loss, else 2. Directions come without replacement, in an order
    of each row's own; when they are used up, a fresh order begins.

    Departs from the paper: points are projected into the threat (the paper bounds the L2 length by sqrt(steps) *
    step_size only); Linf is served too; the loss is the engine's, the paper takes the label's probability.

    Args:
        basis: ``pixel``, ``dct``, or any basis of `blackbox.bases`.
        step_size: the L2 length of a step in units of the image range: 0.2 (the authors' code). In Linf, the largest change
            of a pixel as a share of eps; 2 by default, which carries a pixel from one bound to the other (ours).
        low: ``dct`` keeps the frequencies below this share of each side; by default 1/8 from 128 pixels on (the
            authors' command for ImageNet: 28 of 224), else all (their code on CIFAR-10).
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("L2", "Linf")

    basis: str | bases.Basis = "pixel"
    step_size: float | None = None
    low: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.basis, str) and self.basis not in ("pixel", "dct"):
            raise ValueError(f"Expected basis to be pixel, dct or a basis of blackbox.bases, but it was {self.basis!r}.")
        if self.step_size is not None and not self.step_size > 0:
            raise ValueError(f"Expected step_size > 0, but it was {self.step_size}.")

    @dataclass
    class State:
        x: Tensor
        loss: Tensor
        order: Tensor  # [n, directions] int32

    def directions(self, shape: tuple[int, ...]) -> bases.Basis:
        """The basis for images of a shape."""
        if not isinstance(self.basis, str):
            return self.basis
        if self.basis == "pixel":
            return bases.Pixels()
        return bases.DCT(self.low if self.low is not None else 1 / 8 if min(grid(shape)[1:]) >= 128 else 1.0)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        self.directions(shape).count(shape)  # a basis made of images serves their shape alone

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0, self.order(t, 0))

    def order(self, t: Task, turn: int) -> Tensor:
        count = self.directions(t.shape).count(t.shape)
        return t.rng.permutation(turn, "order", count).to(torch.int32)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        basis, count = self.directions(t.shape), s.order.shape[1]
        turn, at = divmod(k, count)
        order = self.order(t, turn) if turn and not at else s.order
        move = basis.make(t.shape, order[:, at].to(torch.int64))
        if t.threat.norm == "L2":
            move = move * (0.2 if self.step_size is None else self.step_size)
        else:
            size = 2.0 if self.step_size is None else self.step_size
            move = move * rows(size * t.radius / row_norm(move, torch.inf), move)
        a = yield Ask(s.x + move)
        up = a.loss > s.loss
        b = yield Ask(s.x - move, mask=~up)
        down = b.loss > s.loss  # False where nothing was paid
        assert a.x is not None and b.x is not None
        x = choose(up, a.x, choose(down, b.x, s.x))
        return self.State(x, torch.where(up, a.loss, torch.where(down, b.loss, s.loss)), order)
