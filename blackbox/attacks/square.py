"""Square Attack (Andriushchenko et al. 2020, arXiv:1912.00049)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.rowwise import row_norm, rows

# Section 3.2: p is halved at these iterations of a run of 10,000; other budgets rescale them.
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@dataclass(frozen=True)
class Square:
    """Random search with square-shaped updates, Algorithm 1; Algorithm 2 for Linf, 3 for L2.

    Starts from vertical stripes of +-eps (Linf) or a tiling of bumps (L2, L1), then tries one square a query and
    keeps what raises the loss. Serves images [channels, height, width].

    Args:
        p_init: share of the pixels that the first squares cover. The paper's table 5 takes 0.05 in Linf and 0.1 in L2
            for undefended nets, and 0.8 where a defence makes scores uninformative.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)

    p_init: float = 0.05

    @dataclass
    class State:
        x: Tensor
        loss: Tensor

    def init(self, t: Task) -> Steps[State]:
        c, _, w = t.shape
        sign = t.rng.signs(0, "stripes", (c, 1, w))
        a = yield Ask(t.x0 + t.eps * sign)
        return self.State(a.x, a.loss)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        c, h, w = t.shape
        side = self.side(t, k)
        draw = t.rng.uniform_array(k, "square", 2 + c)
        top = np.minimum((draw[:, 0] * (h - side + 1)).astype(np.int64), h - side)
        left = np.minimum((draw[:, 1] * (w - side + 1)).astype(np.int64), w - side)
        down, across = np.arange(h)[None] - top[:, None], np.arange(w)[None] - left[:, None]
        window = ((down >= 0) & (down < side))[:, None, :, None] & ((across >= 0) & (across < side))[:, None, None, :]
        sign = np.where(draw[:, 2:] < 0.5, np.float32(-t.eps), np.float32(t.eps))
        x = torch.where(torch.from_numpy(window), t.x0 + torch.from_numpy(sign)[:, :, None, None], s.x)
        a = yield Ask(x)
        better = a.loss > s.loss
        return self.State(torch.where(rows(better, x), a.x, s.x), torch.where(better, a.loss, s.loss))

    def side(self, t: Task, k: int) -> int:
        done = (k + 2) * 10_000 / t.budget
        p = self.p_init / 2 ** sum(done > at for at in _HALVINGS)
        return max(1, min(round(math.sqrt(p * t.shape[1] * t.shape[2])), *t.shape[1:]))
