"""Square Attack (Andriushchenko, Croce, Flammarion & Hein 2020, arXiv:1912.00049)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.proposals.squares import side_at, square
from blackbox.proposals.stripes import stripes
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose, keep_better


@dataclass(frozen=True)
class Square(Attack):
    """Random search with square-shaped updates: Algorithm 1, with Algorithm 2 (Linf) or 3 (L2) for the update.

    Starts from vertical stripes of +-eps (Linf) or a tiling with bumps (L2, L1), then tries one square a query and
    keeps what raises the loss: one query a step.

    Args:
        p_init: share of the pixels that the first squares cover; it shrinks over the budget by the paper's schedule.

    Needs: scores, or at least the top k. State: x [n, \\*shape], loss [n].
    Departs from the paper: p_init is 0.4 where its table 5 has 0.05 (Linf) and 0.1 (L2) for a budget of 10,000: the
    schedule is rescaled to the budget, as in the authors' later code, and short runs need larger squares (chosen by
    `experiments.studies.settings --study p_init`). A square that would change nothing is drawn with the opposite signs instead of being
    paid for. L1 takes the L2 update with sums of absolute values (after Croce & Hein 2021, arXiv:2103.01208, which
    projects onto the box as well). Vectors [d] are strips.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2", "L1")

    p_init: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.p_init <= 1:
            raise ValueError(f"Expected p_init, a share of the pixels, in (0, 1], but it was {self.p_init}.")

    @dataclass
    class State:
        x: Tensor
        loss: Tensor

    def init(self, t: Task) -> Steps[State]:
        a = yield Ask(stripes(t))
        return self.State(a.x, a.loss)

    def from_start(self, t: Task, x: Tensor, loss: Tensor) -> Steps[State]:
        """Begin at ``x`` [n, \\*shape], whose loss [n] is known, or at the stripes where it is worse than the clean image."""
        worse = ~(loss > t.loss0)
        if bool(worse.any()):
            a = yield Ask(stripes(t), mask=worse)
            x, loss = choose(worse & a.paid, a.x, x), torch.where(worse & a.paid, a.loss, loss)
        return self.State(x, loss)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        a = yield Ask(square(t, s.x, k, side_at(t, k, self.p_init)))
        return self.State(*keep_better(s.x, s.loss, a.x, a.loss))
