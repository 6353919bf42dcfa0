"""Arithmetic that never mixes rows.

The first axis of every tensor in the engine is the batch. A sum over the *other* axes looks harmless, but a library kernel
may add the same numbers in another order when the batch has more or fewer rows, and then a sample's result depends on the
rest of the batch. The functions here add in an order that depends on the row's width alone.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def rows(v: Tensor, like: Tensor) -> Tensor:
    """View per-row values ``v`` [n] so that they broadcast against ``like`` [n, \\*shape]."""
    return v.view(-1, *[1] * (like.ndim - 1))


def choose(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Select the rows of ``a`` [n, \\*shape] where ``mask`` [n], those of ``b`` elsewhere; always a new tensor.

    On a CPU with numpy, where torch is slower with a broadcast mask.
    """
    if b.device.type != "cpu" or a.dtype != b.dtype or a.shape != b.shape:
        return torch.where(rows(mask, b), a, b)
    out, kept = b.numpy().copy(), mask.numpy().nonzero()[0]
    out[kept] = a.numpy()[kept]
    return torch.from_numpy(out)


def keep_better(x: Tensor, loss: Tensor, new: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Keep the better of two points for each row: ``new`` [n, \\*shape] where its ``value`` [n] exceeds ``loss`` [n], else ``x``.

    NaN is never better. Returns the points and their losses; if no row improves, ``x`` and ``loss`` themselves."""
    if x.device.type != "cpu":
        better = value > loss
        return choose(better, new, x), torch.where(better, value, loss)
    kept = (value.numpy() > loss.numpy()).nonzero()[0]
    if not len(kept):
        return x, loss
    out, best = x.numpy().copy(), loss.numpy().copy()
    out[kept], best[kept] = new.numpy()[kept], value.numpy()[kept]
    return torch.from_numpy(out), torch.from_numpy(best)


def scatter_rows(to: Tensor, at: np.ndarray, source: Tensor, kept: np.ndarray) -> None:
    """Copy rows of one tensor into another, in place: ``to[at] = source[kept]``."""
    if to.device.type == "cpu":
        to.numpy()[at] = source.numpy()[kept]
    else:
        to[torch.from_numpy(at)] = source[torch.from_numpy(kept)]


def deliver(a: np.ndarray, device: torch.device) -> Tensor:
    """Move a numpy array to the target's device; the accounts use numpy, which is fast for a few rows."""
    out = torch.from_numpy(a)
    return out if device.type == "cpu" else out.to(device)


def differs(a: Tensor, b: Tensor) -> Tensor:
    """Which rows of ``a`` and ``b`` [n, \\*shape] differ, [n] bool. On a CPU with numpy, which is faster here than torch."""
    if a.device.type != "cpu":
        return (a != b).flatten(1).any(1)
    return torch.from_numpy(np.logical_or.reduce((a.numpy() != b.numpy()).reshape(a.shape[0], -1), 1))


def all_true(mask: Tensor) -> bool:
    """Whether ``mask`` [n] is True throughout."""
    return bool(np.logical_and.reduce(mask.numpy())) if mask.device.type == "cpu" else bool(mask.all())


def row_sum(v: Tensor) -> Tensor:
    """Sum each row of ``v`` [n, \\*shape] -> [n], by halving: the order of additions depends on the width alone."""
    v = v.flatten(1)
    if v.shape[1] == 0:
        return v.new_zeros(len(v))
    while (width := v.shape[1]) > 1:
        half = (width + 1) // 2
        head = v[:, : width - half] + v[:, half:]
        v = head if width % 2 == 0 else torch.cat([head, v[:, half - 1 : half]], 1)
    return v[:, 0]


def row_dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of matching rows: [n, \\*shape], [n, \\*shape] -> [n]."""
    return row_sum(a * b)


def row_norm(v: Tensor, p: float = 2.0) -> Tensor:
    """p-norm (1, 2 or inf) of each row: [n, \\*shape] -> [n]."""
    if p == math.inf:
        return v.flatten(1).abs().amax(1)  # a maximum does not depend on the order
    if p == 1:
        return row_sum(v.abs())
    if p == 2:
        return row_sum(v * v).sqrt()
    raise ValueError(f"Expected p to be 1, 2 or inf, but it was {p}.")


def unit(v: Tensor) -> Tensor:
    """Divide each row by its Euclidean length; a zero row stays zero."""
    return v / rows(row_norm(v).clamp_min(1e-12), v)


def tanh(v: Tensor) -> Tensor:
    """tanh of every entry. On a CPU by numpy: torch's own (and its sigmoid) rounds an entry by its place in memory."""
    return torch.from_numpy(np.tanh(v.numpy())) if v.device.type == "cpu" else v.tanh()


def weighted_sum(w: Tensor, u: Tensor) -> Tensor:
    """``sum_j w[i, j] * u[j]`` for shared directions: [n, q], [q, \\*shape] -> [n, \\*shape].

    One pass a direction instead of a matrix product, because a matrix product picks its kernel by the number of rows.
    """
    out = u.new_zeros(len(w), *u.shape[1:])
    for j in range(len(u)):
        out.addcmul_(rows(w[:, j].contiguous(), out), u[j].unsqueeze(0))
    return out
