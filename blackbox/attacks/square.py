"""Square Attack (Andriushchenko, Croce, Flammarion & Hein 2020, arXiv:1912.00049)."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.proposals.bases import ridge
from blackbox.proposals.stripes import stripes
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import all_true, choose, deliver, differs, keep_better, row_norm, row_sum, rows

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # section 3.2: p is halved here, of 10,000 iterations


@dataclass(frozen=True)
class Square(Attack):
    """Random search with square-shaped updates: Algorithm 1, with Algorithm 2 (Linf) or 3 (L2) for the update.

    Starts from vertical stripes of +-eps (Linf) or a tiling with bumps (L2, L1), then tries one square a query and
    keeps what raises the loss: one query a step.

    Args:
        p_init: share of the pixels that the first squares cover; it shrinks over the budget by the paper's schedule.

    Needs: scores, or at least the top k. State: x [n, \\*shape], loss [n].
    Departs from the paper: p_init is 0.4 where its table 5 has 0.05 (Linf) and 0.1 (L2) for a budget of 10,000: the
    schedule is rescaled to the budget, as in the authors' later code, and short runs need larger squares (chosen on
    images and a net other than those reported on: `python -m experiments.square_p_init`). A square that would change
    nothing is drawn with the opposite signs instead of being paid for. L1 takes the L2 update with sums of absolute
    values (after Croce & Hein 2021, arXiv:2103.01208, which projects onto the box as well). Vectors [d] are strips.
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
        side = self.side(t, k)
        a = yield Ask(linf_square(t, s.x, k, side) if t.threat.norm == "Linf" else lp_square(t, s.x, k, side))
        return self.State(*keep_better(s.x, s.loss, a.x, a.loss))

    def side(self, t: Task, k: int) -> int:
        """Side of the square at step k: p halves at fixed shares of the budget."""
        _, h, w = t.grid
        done = (k + 2) * 10_000 / t.budget
        p = self.p_init / 2 ** bisect_left(_HALVINGS, done)  # as many halvings as lie before
        return max(1, min(round(math.sqrt(p * h * w)), h, w))


def windows(t: Task, draw: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A square at the place that ``draw`` [n, 2] gives: 1 in the rows [n, h] and columns [n, w] inside it, 0 outside
    (float32); and its corner [n, 2]."""
    _, h, w = t.grid
    corner = (draw * np.array([h - side + 1, w - side + 1], np.float32)).astype(np.int64)
    return places(h, side)[corner[:, 0]], places(w, side)[corner[:, 1]], corner


def intervals(length: int, draw: np.ndarray, side: np.ndarray) -> np.ndarray:
    """[n, length] bool: in each row an interval of ``side`` [n] entries, at the place that ``draw`` [n] gives."""
    place = np.arange(length) - (draw * (length - side + 1)).astype(np.int64)[:, None]
    return (place >= 0) & (place < side[:, None])


@lru_cache(maxsize=64)
def places(length: int, side: int) -> np.ndarray:
    """[length - side + 1, length] float32: all places of an interval of ``side`` entries among ``length``."""
    place = np.arange(length) - np.arange(length - side + 1)[:, None]
    return ((place >= 0) & (place < side)).astype(np.float32)


def linf_square(t: Task, x: Tensor, k: int, side: int) -> Tensor:
    """Algorithm 2: the square goes to +eps or -eps, a sign for each channel; x is at its bounds already."""
    c, h, w = t.grid
    now = x.view(-1, c, h, w)
    draw = t.rng.uniform_array(k, "square", 2 + c)
    down, across, _ = windows(t, draw[:, :2], side)
    far = np.float32(4 * t.eps)  # from either bound past the other, where the projection cuts
    push = np.where(draw[:, 2:] < 0.5, far, -far)
    tall = deliver(push[:, :, None, None] * down[:, None, :, None], x.device)
    wide = deliver(across[:, None, None], x.device)
    new = t.project(torch.addcmul(now, tall, wide).view_as(x))
    if not all_true(changed := differs(new, x)):
        # nothing would change in these rows; the opposite sign in every channel does change them
        new = t.project(choose(changed, new, torch.addcmul(now, tall, wide, value=-1).view_as(x)))
    return new


def lp_square(t: Task, x: Tensor, k: int, side: int) -> Tensor:
    """Algorithm 3: move the length of a second square into the first one, and use up what eps leaves."""
    c, h, w = t.grid
    p, n = t.threat.p, t.n
    side = min(max(side + 1 - side % 2, 3), h, w)  # odd, so that the bump has a middle
    delta = (x - t.x0).view(n, c, h, w)
    draw = t.rng.uniform_array(k, "square", 5 + c)
    down, across, corner = windows(t, draw[:, :2], side)
    first = down[:, :, None] * across[:, None]
    down, across, _ = windows(t, draw[:, 2:4], side)
    both = torch.from_numpy(first + down[:, :, None] * across[:, None] > 0)[:, None].to(x.device)

    def power(v: Tensor) -> Tensor:  # [n, c, ...] -> [n, c, 1, 1], the p-th power of each channel's norm
        return row_sum(v.abs().pow(p).reshape(n * c, -1)).view(n, c, 1, 1)

    unused = (t.eps**p - row_sum(delta.abs().pow(p))).clamp_min(0).view(n, 1, 1, 1)
    available = (power(delta * both) + unused / c).pow(1 / p)
    device = x.device
    top, left = torch.from_numpy(corner).to(device).view(n, 2, 1, 1, 1).unbind(1)
    y = top + torch.arange(side, device=device)[:, None]
    z = left + torch.arange(side, device=device)
    channel = torch.arange(c, device=device)[:, None, None]
    where = (torch.arange(n, device=device)[:, None, None, None], channel, y, z)
    old = delta[where]
    shape = ridge(side).to(x)
    coin = torch.from_numpy(draw[:, 4:] < 0.5).to(device).view(n, 1 + c, 1, 1)
    new = torch.where(coin[:, :1], shape.T, shape) * torch.where(coin[:, 1:], 1.0, -1.0)
    new = new + old / power(old).pow(1 / p).clamp_min(1e-12)
    new = new * available / power(new).pow(1 / p).clamp_min(1e-12)
    moved = torch.where(both, torch.zeros_like(delta), delta)
    moved[where] = new
    length = row_norm(moved, p).clamp_min(1e-12)
    return t.x0 + (moved * rows(t.eps / length, moved)).view_as(x)
