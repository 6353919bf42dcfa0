"""Where Square starts (Andriushchenko, Croce, Flammarion & Hein 2020, arXiv:1912.00049, sections 3.3 and 3.4)."""

from __future__ import annotations

from torch import Tensor

from blackbox.proposals.squares import bump
from blackbox.protocol import Task
from blackbox.rowwise import row_norm, rows


def stripes(t: Task) -> Tensor:
    """[n, \\*shape] where the search starts: vertical stripes of +-eps, or for Lp a tiling with bumps."""
    if t.threat.norm == "Linf":
        start = t.x0.view(-1, *t.grid) + t.eps * column_signs(t)
    else:
        delta = tiling(t)
        start = t.x0.view(-1, *t.grid) + t.eps * delta / rows(row_norm(delta, t.threat.p).clamp_min(1e-12), delta)
    return start.view_as(t.x0)


def column_signs(t: Task) -> Tensor:
    """[n, channels, 1, width]: a random sign for each channel and column."""
    c, _, w = t.grid
    return t.rng.signs(0, "stripes", (c, 1, w))


def tiling(t: Task) -> Tensor:
    """Where the Lp versions start (section 3.4): five tiles a side, in each a bump with a random sign a channel."""
    c, h, w = t.grid
    a, b = max(h // 5, 1), max(w // 5, 1)
    down, across = -(-h // a), -(-w // b)
    signs = t.rng.signs(0, "tiles", (c, down, across)).repeat_interleave(a, 2).repeat_interleave(b, 3)
    return (signs * bump(a, b).to(t.x0).repeat(down, across))[:, :, :h, :w]
