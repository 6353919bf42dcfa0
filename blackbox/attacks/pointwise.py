"""Pointwise attack (Schott, Rauber, Bethge & Brendel 2018, "Towards the first adversarially robust neural network model on MNIST",
arXiv:1805.09190)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose


@dataclass(frozen=True)
class Pointwise(Attack):
    """Put one entry after the other back to its clean value, as long as the label stays wrong; then move each as near as it goes.

    A step is one entry of each row. In the first pass over an example's changed entries each costs one query, and is put back or
    stays; in later passes one that must stay is bisected between its clean value and its own, which costs up to ``halvings`` more.
    When a pass gains nothing, the search begins again from another start. It needs no slope, so it suits models whose answer is a step of
    single columns, such as trees; an example changes few entries. Of the distances it comes nearest in L1.

    Departs from the paper: the start is a noise image that needs few queries instead of the least salt-and-pepper noise that is
    adversarial; the entry that is farthest from its clean value comes first instead of one at random; other starts follow.

    Args:
        halvings: of the distance of one entry. tries: noise images for a start.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L2", "L1")
    minimises: ClassVar[bool] = True

    halvings: int = 4
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        if self.halvings < 1 or self.tries < 1:
            raise ValueError(f"Expected halvings and tries of at least 1, but they were {self.halvings} and {self.tries}.")

    @dataclass
    class State:
        x: Tensor  # [n, *shape] adversarial
        left: Tensor  # [n, *shape] bool, entries that this pass has not tried
        later: Tensor  # [n] bool, not the first pass of this start
        gained: Tensor  # [n] bool, in this pass

    def init(self, t: Task) -> Steps[Retire]:
        x, found = yield from search.start(t, self.tries)
        return Retire(self.State(x, x != t.x0, torch.zeros_like(found), torch.ones_like(found)), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        over = ~(s.left & (s.x != t.x0)).flatten(1).any(1)
        again = over & s.later & ~s.gained
        x, fresh = s.x, torch.zeros_like(over)
        if bool(again.any()):
            a = yield Ask(search.noise(t, self.tries + k), mask=again)
            x, fresh = choose(a.adv, a.x, x), a.adv
        later, gained = (s.later | over) & ~fresh, s.gained & ~over
        changed = (x != t.x0).flatten(1)
        left = torch.where((over | fresh)[:, None], changed, s.left.flatten(1) & changed)
        far = torch.where(left, (x - t.x0).flatten(1).abs(), -1.0)
        one = torch.zeros_like(left).scatter(1, far.argmax(1, keepdim=True), True).view_as(x)
        able = left.any(1) & ~(again & ~fresh)

        b = yield Ask(torch.where(one, t.x0, x), mask=able)
        x = choose(b.adv, torch.where(one, t.x0, x), x)
        near, rest = x, able & b.paid & ~b.adv & later

        def path(share: Tensor) -> Tensor:
            return torch.where(one, t.x0 + share.view(-1, *[1] * (near.ndim - 1)) * (near - t.x0), near)

        ends = torch.zeros_like(far[:, 0]), torch.ones_like(far[:, 0])
        share = yield from search.bisect(path, *ends, 2.0**-self.halvings, rest)
        x = choose(share < 1, path(share), x)
        return self.State(x, (left & ~one.flatten(1)).view_as(x), later, gained | b.adv | (share <= 0.75))
