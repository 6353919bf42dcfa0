"""SignHunter (Al-Dujaili & O'Reilly 2020, arXiv:1902.06894)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.proposals.orders import ORDERS, ranks, runs
from blackbox.proposals.stripes import column_signs
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose

STARTS = ("ones", "stripes")


@dataclass(frozen=True)
class SignHunter(Attack):
    """Divide and conquer on the signs of the gradient: Algorithm 2.

    Every entry stands at +eps or -eps (L2: at the same share of eps), all at + in the beginning. The entries, in some
    order, are cut into 1, 2, 4, ... runs; each run in turn has its signs flipped, and stays so if the loss rises: one
    query a step. When single entries have been tried, it begins again with the whole.

    Args:
        order: in which the entries are cut (`proposals.orders`): ``tiles``, ``channel-tiles``, ``columns``, where runs
            become stripes, or ``flat``, the paper's.
        start: ``ones``, the paper's; or ``stripes``: a random sign for each column and channel, the start of Square
            (arXiv:1912.00049, section 3.3).

    Needs: scores, or at least the top k. State: up [n, \\*shape], loss [n]. With ``ones`` it draws nothing.
    Departs from the paper: the default order is ``tiles`` (chosen on images and nets other than those reported on;
    ``columns`` from ``stripes`` suits colour photographs). The authors begin again around the point reached, with eps in
    each entry once more and a projection; here the signs themselves go on to be flipped.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    order: str = "tiles"
    start: str = "ones"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"Expected order to be one of {', '.join(ORDERS)}, but it was {self.order!r}.")
        if self.start not in STARTS:
            raise ValueError(f"Expected start to be one of {', '.join(STARTS)}, but it was {self.start!r}.")

    @dataclass
    class State:
        up: Tensor
        loss: Tensor

    def init(self, t: Task) -> Steps[State]:
        up = torch.ones_like(t.x0, dtype=torch.bool)
        if self.start == "stripes":
            up = (column_signs(t) > 0).expand(t.n, *t.grid).reshape(up.shape)
        a = yield Ask(corner(t, up))
        return self.State(up, a.loss)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        start, stop = runs(t.d)[k % len(runs(t.d))].tolist()
        rank = ranks(t.shape, self.order).to(t.x0.device)
        up = s.up ^ ((rank >= start) & (rank < stop))
        a = yield Ask(corner(t, up))
        better = a.loss > s.loss
        return self.State(choose(better, up, s.up), torch.where(better, a.loss, s.loss))


def corner(t: Task, up: Tensor) -> Tensor:
    """The point whose change is the same in every entry but for the sign, as large as the threat allows."""
    if t.low is not None and t.high is not None:
        return torch.where(up, t.high, t.low)
    h = (t.eps if t.eps < torch.inf else (t.threat.upper - t.threat.lower) * t.d**0.5) / t.d**0.5
    return torch.where(up, t.x0 + h, t.x0 - h)
