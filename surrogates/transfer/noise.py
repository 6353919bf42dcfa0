"""Noise of the same size as a crafted perturbation: the baseline of any transfer rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.rng import Stream
from blackbox.rowwise import row_norm
from blackbox.threat import L2, Threat
from surrogates.crafting.ball import stretched
from surrogates.crafting.kept import Limits, shared

KINDS = ("linf", "rms")
_PIECE = 8_000_000  # numbers at once, to bound memory


def uniform_noise(x: Tensor, threat: Threat | Limits, seed: int, ids: np.ndarray) -> Tensor:
    """Add noise drawn uniformly from [-eps, eps] to every entry of ``x`` [n, \\*shape], then clip to the box.

    Matched Linf: no entry moves by more than eps; clipping may make an image's largest change slightly smaller.
    """

    def one(part: Tensor, rng: Stream, where: slice) -> Tensor:
        here = _of(threat, where)
        return here.clip(part + shared(here, (2 * rng.uniform(0, "noise", _shape(x)) - 1) * here.eps))

    return _each(x, seed, ids, one)


def gaussian_noise(x: Tensor, length: Tensor, threat: Threat | Limits, seed: int, ids: np.ndarray) -> Tensor:
    """Add Gaussian noise to ``x`` [n, \\*shape] whose Euclidean length *after* clipping to the box is ``length`` [n].

    Matched RMS: the length divided by the root of the number of entries. See `crafting.ball.stretched`.
    """

    def one(part: Tensor, rng: Stream, where: slice) -> Tensor:
        here = _of(threat, where)
        return stretched(part, shared(here, rng.normal(0, "noise", _shape(x))), length[where].to(part), here)

    return _each(x, seed, ids, one)


def same_length_noise(
    made: Tensor, x: Tensor, threat: Threat | None = None, *, seed: int = 0, ids: Any = None
) -> Tensor:
    """Add Gaussian noise to ``x`` [n, \\*shape] with the length, image by image, of the change from ``x`` to ``made``: the
    baseline for any table of minimum-norm or amplified perturbations."""
    numbers = np.arange(len(x), dtype=np.uint64) if ids is None else np.asarray(ids, dtype=np.uint64)
    return gaussian_noise(x, row_norm(made - x), threat or L2(math.inf), seed, numbers)


def _of(threat: Threat | Limits, where: slice) -> Threat:
    """The threat of these rows."""
    return threat.at(where) if isinstance(threat, Limits) else threat


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
