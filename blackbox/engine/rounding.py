"""Roundings of an example to 8 bits (multiples of 1/255), relative to the original that it was made from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from blackbox.bounds import Bounds
from blackbox.threat import Threat, eight_bit

ROUNDINGS = ("towards", "nearest", "away")
"""From the nearest to the original to the farthest: each moves every entry at least as far from it as the one before."""

_GRAIN = 1e-4  # in levels, as in `blackbox.threat.eight_bit`


def rounded(x: Tensor, x0: Tensor, threat: Threat, way: str, bounds: Bounds | None = None) -> Tensor:
    """Round the entries of ``x`` [n, \\*shape] that differ from ``x0`` in one of the `ROUNDINGS`, within the threat's box
    and the ``bounds`` of their entries.

    ``towards``: see `blackbox.threat.eight_bit`. ``nearest``: to the nearest multiple. ``away``: to the next multiple away from
    ``x0``. Entries equal to ``x0`` stay, in all three. The last two keep each entry within an Linf radius, where a multiple lies in it; in
    another norm the whole may leave the radius.
    """
    if bounds is not None:  # an original that is no 8-bit image may be rounded past a bound
        ball = threat.p == math.inf and threat.eps < math.inf
        least, most = bounds.ball(threat.eps) if ball else (bounds.lower, bounds.upper)
        made = rounded(x, x0, threat, way)
        if way != "towards":
            high, low = (most.double() * 255 + _GRAIN).floor(), (least.double() * 255 - _GRAIN).ceil()
            made = torch.where(made == x0, x0, torch.maximum(torch.minimum(made.double() * 255, high), low).round().to(x.dtype) / 255)
        return torch.where((made < least) | (made > most), x0, made)
    if way == "towards":
        return eight_bit(x, x0)
    level, level0 = x.double() * 255, x0.double() * 255
    nearest0 = level0.round()
    if way == "nearest":
        kept = level.round()
    else:
        kept = torch.where(level >= level0, (level - _GRAIN).ceil(), (level + _GRAIN).floor())
        kept = torch.where((level - level0).abs() < _GRAIN, nearest0, kept)
    low, high = torch.full_like(level, 255 * threat.lower), torch.full_like(level, 255 * threat.upper)
    if threat.p == math.inf and threat.eps < math.inf:
        low, high = torch.maximum(low, level0 - 255 * threat.eps), torch.minimum(high, level0 + 255 * threat.eps)
    kept = torch.maximum(torch.minimum(kept, (high + _GRAIN).floor()), (low - _GRAIN).ceil())
    same = (x == x0) | ((kept == nearest0) & ((level0 - nearest0).abs() < _GRAIN))
    return torch.where(same, x0, kept.to(x.dtype) / 255)
