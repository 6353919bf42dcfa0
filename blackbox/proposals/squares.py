"""The moves of Square (Andriushchenko, Croce, Flammarion & Hein 2020, arXiv:1912.00049, section 3 and Algorithms 2 and 3)."""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from blackbox.proposals.windows import windows
from blackbox.protocol import Task
from blackbox.rowwise import all_true, choose, deliver, differs, row_norm, row_sum, rows

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # section 3.2: p is halved here, of 10,000 iterations


def side_at(t: Task, k: int, p_init: float) -> int:
    """Side of the square at step k: the share of the pixels that it covers halves at fixed shares of the budget."""
    _, h, w = t.grid
    done = (k + 2) * 10_000 / t.budget
    p = p_init / 2 ** bisect_left(_HALVINGS, done)  # as many halvings as lie before
    return max(1, min(round(math.sqrt(p * h * w)), h, w))


def square(t: Task, x: Tensor, k: int, side: int) -> Tensor:
    """[n, \\*shape]: ``x`` with one random square changed, as the threat's norm has it."""
    return linf_square(t, x, k, side) if t.threat.norm == "Linf" else lp_square(t, x, k, side)


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


@lru_cache(maxsize=64)
def bump(height: int, width: int) -> Tensor:
    """[height, width], a pyramid of squares: j squares from the rim an entry is the sum over i <= j of 1/(n+1-i)**2.

    Source: Andriushchenko et al. 2020, arXiv:1912.00049, equation 2.
    """
    n = max(height, width) // 2
    r, s = torch.arange(height)[:, None] - height // 2, torch.arange(width)[None] - width // 2
    level = n - torch.maximum(r.abs(), s.abs())
    return torch.tensor([1.0 / (n + 1 - j) ** 2 for j in range(n + 1)]).cumsum(0)[level.clamp(0, n)]


@lru_cache(maxsize=64)
def ridge(side: int) -> Tensor:
    """[side, side], two bumps of opposite sign side by side; length 1 (arXiv:1912.00049, section 3.4)."""
    k = side // 2
    v = torch.cat([bump(k, side), -bump(side - k, side)]) if k else bump(side, side)
    return v / v.norm()
