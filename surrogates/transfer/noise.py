"""Noise of the same size as a crafted change: the floor that any transfer rate has to be read against."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.rng import Stream
from blackbox.rowwise import row_norm, rows
from blackbox.threat import L2, Threat

KINDS = ("linf", "rms")
_PIECE = 8_000_000  # numbers at once, to bound memory


def uniform_noise(x: Tensor, threat: Threat, seed: int, ids: np.ndarray) -> Tensor:
    """``x`` [n, \\*shape] with a change drawn uniformly from [-eps, eps] in every entry, then cut to the box.

    Matched Linf: no entry moves by more than eps. The cut makes the largest move of an image slightly smaller still.
    """

    def one(part: Tensor, rng: Stream, where: slice) -> Tensor:
        return threat.clip(part + (2 * rng.uniform(0, "noise", _shape(x)) - 1) * threat.eps)

    return _each(x, seed, ids, one)


def gaussian_noise(x: Tensor, length: Tensor, threat: Threat, seed: int, ids: np.ndarray) -> Tensor:
    """``x`` [n, \\*shape] with Gaussian noise whose Euclidean length *after* the cut to the box is ``length`` [n].

    Matched RMS: RMS is the length divided by the root of the number of entries. Cutting shortens a change, so the noise
    is scaled up until what is left of it has the length wanted (bisection, to one part in a million). Where the box has
    no room for so long a change along the draw, the longest there is remains.
    """

    def one(part: Tensor, rng: Stream, where: slice) -> Tensor:
        return stretched(part, rng.normal(0, "noise", _shape(x)), length[where].to(part), threat)

    return _each(x, seed, ids, one)


def same_length_noise(
    made: Tensor, x: Tensor, threat: Threat | None = None, *, seed: int = 0, ids: Any = None
) -> Tensor:
    """Gaussian noise on ``x`` [n, \\*shape] as long, image by image, as the change from ``x`` to ``made``: the row that
    belongs beneath any table of minimum-norm or amplified changes."""
    numbers = np.arange(len(x), dtype=np.uint64) if ids is None else np.asarray(ids, dtype=np.uint64)
    return gaussian_noise(x, row_norm(made - x), threat or L2(math.inf), seed, numbers)


def stretched(x: Tensor, z: Tensor, want: Tensor, threat: Threat) -> Tensor:
    """``x`` + s ``z`` [n, \\*shape], cut to the box, with the scale s of each row for which what is left of the change
    has the Euclidean length ``want`` [n]; the longest there is where the box has no room, ``x`` where ``z`` is zero."""

    def left(scale: Tensor) -> Tensor:
        return row_norm(threat.clip(x + rows(scale, z) * z) - x)

    high = want / row_norm(z).clamp_min(1e-12)
    low = torch.zeros_like(high)
    short = left(high) < want * (1 - 1e-6)  # nothing was cut from the others: they are done
    exact = ~short
    for _ in range(24):
        if not bool(short.any()):
            break
        low = torch.where(short, high, low)
        high = torch.where(short, 2 * high, high)
        short &= left(high) < want
    if not bool(exact.all()):
        for _ in range(26):
            middle = (low + high) / 2
            below = left(middle) < want
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    scale = torch.where(exact, want / row_norm(z).clamp_min(1e-12), high)
    return threat.clip(x + rows(scale, z) * z)


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape[1:])


def _each(x: Tensor, seed: int, ids: np.ndarray, change: Callable[[Tensor, Stream, slice], Tensor]) -> Tensor:
    """Change the rows a piece at a time."""
    size = max(1, _PIECE // max(x[0].numel(), 1))
    out = torch.empty_like(x)
    for start in range(0, len(x), size):
        where = slice(start, start + size)
        out[where] = change(x[where], Stream(seed, ids[where], x.device), where)
    return out
