"""Ripples: waves a few pixels long, over the whole image or in a window.

Nets trained on photographs react to waves of high frequency far more than these are seen (Tsuzuku & Sato 2019,
arXiv:1809.04098; Yin et al. 2019, arXiv:1906.08988). How short the waves are is counted in units of a pixel, or of more on
large images (`unit`), which nets make smaller before they look.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from blackbox.proposals.windows import intervals
from blackbox.protocol import Task
from blackbox.rowwise import deliver

DIRECTIONS = ("rows", "columns", "both", "tall", "wide", "diagonal", "antidiagonal")
"""Lines along the rows; along the columns; a chequerboard, its fields square, twice as tall, or twice as wide; lines along
either diagonal."""
LEAST_SIDE = 16  # of an image on which waves are tried; smaller ones have no room for them


def unit(t: Task) -> int:
    """Pixels in a unit of length: one on images of up to 167 pixels, two at 224."""
    return max(1, round(min(t.grid[1:]) / 112))


def drawings(t: Task) -> Tensor:
    """[n] bool: images that waves do little to, which the image alone tells: more than half of its entries lie at a bound of
    the box (digits, text, line drawings), where it cuts a wave in half; or a side has fewer than `LEAST_SIDE` entries."""
    if min(t.grid[1:]) < LEAST_SIDE:
        return torch.ones(t.n, dtype=torch.bool, device=t.x0.device)
    at_bound = (t.x0 <= t.threat.lower) | (t.x0 >= t.threat.upper)
    return at_bound.flatten(1).sum(1) * 2 > t.d


def whole(t: Task, direction: str, half: int) -> Tensor:
    """[h, w] of +1 and -1: a wave over the whole image, each half of it ``half`` units long."""
    kind, long = np.array([DIRECTIONS.index(direction)]), np.array([half * unit(t)])
    return deliver(_pattern(t, kind, long, np.zeros((1, 2), np.int64)).astype(np.float32), t.x0.device)[0]


def waves(t: Task, k: int, halves: tuple[int, ...], least: float, tag: str = "waves") -> Tensor:
    """[n, 1, h, w]: +1 and -1 in a row's window, 0 around it: a wave of one of the `DIRECTIONS`, anywhere in its phase.

    halves: in units, how long half a wave may be. least: the smallest side of a window as a share of the image's; sides are
    drawn log-uniformly from there up to 1. tag: names the draws.
    """
    _, h, w = t.grid
    draw = t.rng.uniform_array(k, tag, 7)
    kind = (len(DIRECTIONS) * draw[:, 0]).astype(np.int64)
    half = np.array(halves, np.int64)[(len(halves) * draw[:, 1]).astype(np.int64)] * unit(t)
    pattern = _pattern(t, kind, half, (draw[:, 5:] * 4 * half[:, None]).astype(np.int64))
    share = least ** draw[:, 2]
    for axis, (length, at) in enumerate(((h, draw[:, 3]), (w, draw[:, 4]))):
        inside = intervals(length, at, np.maximum(np.rint(share * length).astype(np.int64), 1))
        pattern = pattern * (inside[:, :, None] if axis == 0 else inside[:, None])
    return deliver(pattern[:, None].astype(np.float32), t.x0.device)


def _pattern(t: Task, kind: np.ndarray, half: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """[n, h, w] of +1 and -1, for the direction ``kind`` [n], the half wave ``half`` [n] in pixels, and ``phase`` [n, 2]."""
    _, h, w = t.grid
    down, across = np.arange(h) + phase[:, :1], np.arange(w) + phase[:, 1:]
    tall, wide = (half * (1 + (kind == DIRECTIONS.index(name))) for name in ("tall", "wide"))
    flat = (kind == DIRECTIONS.index("columns"))[:, None], (kind == DIRECTIONS.index("rows"))[:, None]
    rows = np.where(flat[0], 1, _sign(down, tall[:, None]))  # lines along the rows alternate from row to row
    columns = np.where(flat[1], 1, _sign(across, wide[:, None]))
    out = rows[:, :, None] * columns[:, None]
    for name, turn in (("diagonal", 1), ("antidiagonal", -1)):
        if (on := kind == DIRECTIONS.index(name)).any():
            out[on] = _sign(down[on][:, :, None] + turn * across[on][:, None], half[on][:, None, None])
    return out


def _sign(at: np.ndarray, half: np.ndarray) -> np.ndarray:
    return 1 - 2 * (at // half % 2)
