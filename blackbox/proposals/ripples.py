"""Ripples: waves a few pixels long, over the whole image or in a window.

Nets trained on photographs react to waves of high frequency far more than these are seen (Tsuzuku & Sato 2019,
arXiv:1809.04098; Yin et al. 2019, arXiv:1906.08988). How short the waves are is counted in units of a pixel, or of more on
large images (`unit`), which nets make smaller before they look.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from blackbox.proposals.windows import intervals
from blackbox.protocol import Task
from blackbox.rowwise import deliver

DIRECTIONS = ("rows", "columns", "both", "tall", "wide", "diagonal", "antidiagonal")
"""Lines along the rows; along the columns; a chequerboard, its fields square, twice as tall, or twice as wide; lines along
either diagonal."""
_ROWS, _COLUMNS, _, _TALL, _WIDE, _SLANTED, _ = range(7)  # in `DIRECTIONS`; those along a diagonal are the last two
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
    return deliver(_in_phase(t, kind, long, np.zeros((1, 2), np.int64)).over(1.0), t.x0.device)[0]


def waves(t: Task, k: int, halves: tuple[int, ...], least: float, tag: str = "waves") -> Tensor:
    """[n, 1, h, w]: +1 and -1 in a row's window, 0 around it: a wave of one of the `DIRECTIONS`, anywhere in its phase.

    halves: in units, how long half a wave may be. least: the smallest side of a window as a share of the image's; sides are
    drawn log-uniformly from there up to 1. tag: names the draws.
    """
    return deliver(_drawn(t, k, halves, least, tag).over(1.0)[:, None], t.x0.device)


def add_waves(t: Task, x: Tensor, far: float, k: int, halves: tuple[int, ...], least: float, tag: str = "waves") -> Tensor:
    """[n, \\*shape]: ``x`` and ``far`` times its `waves`, alike in all channels."""
    return _drawn(t, k, halves, least, tag).added(x.reshape(-1, *t.grid), far).reshape(x.shape)


class _Waves(NamedTuple):
    """Waves in windows. All but those along a diagonal are products of two lines, which are cheap to add to an image.

    down [n, h], across [n, w]: int64, +1 and -1 in the window and 0 around it; along a diagonal +1 in the window.
    oblique: [m] the rows of those along a diagonal. slant: [m, h, w] float32, +1 and -1 everywhere.
    """

    down: np.ndarray
    across: np.ndarray
    oblique: np.ndarray
    slant: np.ndarray

    def lines(self, far: float, rows: np.ndarray | slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """[n, 1, h, 1] times ``far``, and [n, 1, 1, w], float32."""
        down, across = self.down[rows] * np.float32(far), self.across[rows].astype(np.float32)
        return down.astype(np.float32)[:, None, :, None], across[:, None, None]

    def over(self, far: float) -> np.ndarray:
        """[n, h, w] float32: ``far`` times the waves."""
        down, across = self.lines(far)
        out = (down * across)[:, 0]
        out[self.oblique] *= self.slant
        return out

    def added(self, x: Tensor, far: float) -> Tensor:
        """``x`` [n, c, h, w] and ``far`` times the waves."""
        down, across = (deliver(line, x.device) for line in self.lines(far))
        out = torch.addcmul(x, down, across)
        if len(self.oblique):
            rows, (tall, wide) = deliver(self.oblique, x.device), self.lines(far, self.oblique)
            out[rows] = x[rows] + deliver(tall * wide * self.slant[:, None], x.device)
        return out


def _drawn(t: Task, k: int, halves: tuple[int, ...], least: float, tag: str) -> _Waves:
    """The waves of each row, see `waves`."""
    _, h, w = t.grid
    draw = t.rng.uniform_array(k, tag, 7)
    kind = (len(DIRECTIONS) * draw[:, 0]).astype(np.int64)
    half = np.array(halves, np.int64)[(len(halves) * draw[:, 1]).astype(np.int64)] * unit(t)
    out = _in_phase(t, kind, half, (draw[:, 5:] * 4 * half[:, None]).astype(np.int64))
    share = least ** draw[:, 2]
    down, across = (
        line * intervals(length, at, np.maximum(np.rint(share * length).astype(np.int64), 1))
        for line, length, at in ((out.down, h, draw[:, 3]), (out.across, w, draw[:, 4]))
    )
    return out._replace(down=down, across=across)


def _in_phase(t: Task, kind: np.ndarray, half: np.ndarray, phase: np.ndarray) -> _Waves:
    """Waves over whole images, for the direction ``kind`` [n], the half wave ``half`` [n] in pixels, and ``phase`` [n, 2]."""
    _, h, w = t.grid
    slanted = kind >= _SLANTED
    lines = []
    for i, (length, flat, long) in enumerate(((h, _COLUMNS, _TALL), (w, _ROWS, _WIDE))):
        line = _sign(np.arange(length) + phase[:, i : i + 1], (half * (1 + (kind == long)))[:, None])
        line[slanted | (kind == flat)] = 1  # lines along the rows alternate from row to row, not from column to column
        lines.append(line)
    oblique = slanted.nonzero()[0]
    slant = np.empty((len(oblique), h, w), np.float32)
    for j, row in enumerate(oblique.tolist()):
        turn, long = 1 - 2 * int(kind[row] - _SLANTED), int(half[row])
        slant[j] = _slants(h, w, long, turn)[(phase[row, 0] + turn * phase[row, 1]) % (2 * long)]
    return _Waves(lines[0], lines[1], oblique, slant)


@lru_cache(maxsize=32)
def _slants(h: int, w: int, half: int, turn: int) -> np.ndarray:
    """[2 half, h, w] float32: waves along a diagonal, in each phase. turn: 1, or -1 for the other diagonal."""
    phase = np.arange(2 * half)[:, None, None]
    return _sign(phase + np.arange(h)[:, None] + turn * np.arange(w), half).astype(np.float32)


def _sign(at: np.ndarray, half: np.ndarray | int) -> np.ndarray:
    return 1 - 2 * (at // half % 2)
