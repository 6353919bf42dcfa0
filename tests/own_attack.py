"""An attack as a user writes it in a file of their own, for tests of what takes its name."""

from __future__ import annotations

OWN = '''
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

import blackbox as bb


class State(NamedTuple):
    sign: torch.Tensor
    loss: torch.Tensor


@dataclass(frozen=True)
class Flip(bb.Attack):
    """Flips signs, and keeps what raises the loss."""

    access: ClassVar[bb.Access] = bb.Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    count: int = 1

    def init(self, t):
        return State(torch.ones_like(t.x0), torch.full_like(t.loss0, -torch.inf))

    def step(self, t, s, k):
        pixel = (t.rng.uniform(k, "PIXEL", self.count) * t.d).long()
        flat = s.sign.flatten(1)
        sign = flat.scatter(1, pixel, -flat.gather(1, pixel)).view_as(s.sign)
        tell = yield bb.Ask(t.x0 + t.eps * sign)
        better = tell.loss > s.loss
        keep = better.view(-1, *[1] * len(t.shape))
        return State(torch.where(keep, sign, s.sign), torch.where(better, tell.loss, s.loss))


twice = Flip(count=2)
nothing = 3
'''
