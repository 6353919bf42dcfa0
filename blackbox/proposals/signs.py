"""Moves of a search over sign vectors: a window takes other signs, or single entries turn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from blackbox.proposals.windows import intervals
from blackbox.protocol import Task
from blackbox.rowwise import differs, rows


def shrinking_windows(t: Task, k: int, drawn: Tensor) -> Tensor:
    """[n, 1, h, w] bool: a window a row, half as high and wide as the image at first, finer the more moves ``drawn`` [n] a
    row has made (a level every 40, with a scatter of two)."""
    _, h, w = t.grid
    draw = t.rng.uniform_array(k, "window", 3)
    levels = max(1, int(np.log2(max(h, w))))
    level = np.minimum(drawn.numpy(force=True) / 40 + 2 * draw[:, 2], levels).astype(np.int64)
    on = np.ones((t.n, 1), bool)
    for length, at in ((h, draw[:, 0]), (w, draw[:, 1])):
        side = np.maximum(length >> (1 + level), 1)
        on = (on[:, :, None] & intervals(length, at, side)[:, None]).reshape(t.n, -1)
    return torch.from_numpy(on.reshape(t.n, 1, h, w)).to(t.x0.device)


def replaced(t: Task, sign: Tensor, window: Tensor, new: Tensor) -> Tensor:
    """``sign`` [n, \\*shape] with the window of ``new`` [n, \\*shape] in it, where that is not 0; a window that would change
    nothing is turned."""
    now, new = sign.view(t.n, *t.grid), new.view(t.n, *t.grid).to(sign.dtype)
    moved = torch.where(window & (new != 0), new, now)
    return torch.where(rows(~differs(moved, now), now) & window, -now, moved).view_as(sign)


def colour(t: Task, k: int) -> Tensor:
    """[n, \\*shape]: one sign a channel."""
    return t.rng.signs(k, "colour", (t.grid[0], 1, 1)).expand(t.n, *t.grid).reshape(t.x0.shape)


def candidate(t: Task, k: int, signs: Tensor, preferred: Tensor) -> Tensor:
    """[n, \\*shape]: the signs of one of the candidates ``signs`` [n, slots, \\*shape], at random among those that are most
    ``preferred`` [n, slots], in whole steps."""
    draw = t.rng.uniform(k, "slot", signs.shape[1])
    return signs[torch.arange(t.n, device=signs.device), (draw + preferred).argmax(1)]


def flips(t: Task, k: int, sign: Tensor) -> Tensor:
    """``sign`` [n, \\*shape] with single entries turned, each with a chance of 0.3 to 5 % (drawn a row), at least one."""
    chance = 0.003 * 16 ** t.rng.uniform(k, "chance", 1)
    draw = t.rng.uniform(k, "flip", t.shape)
    turn = (draw < rows(chance[:, 0], draw)) | (draw == rows(draw.flatten(1).amin(1), draw))
    return torch.where(turn, -sign, sign)
