"""Searches that need only "adversarial or not": for a start, by bisection, and by halving a step until it succeeds.

Each is a sub-generator, ``found = yield from bisect(...)``, with a bounded number of queries; it leaves a row unchanged
when nothing was paid for it any more.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose, row_norm, rows

TRIES = 64  # noise images queried before a row is given up; an untargeted one seldom needs more than a few
ROUNDING = 1e-6  # smaller changes of an entry are lost in the rounding of float32 networks

Path = Callable[[Tensor], Tensor]


def start(t: Task, tries: int = TRIES) -> Steps[tuple[Tensor, Tensor]]:
    """Find an adversarial image for each row: [n, \\*shape], and [n] whether there is one; the others hold the original.

    The user's image (``t.start``) is queried first. Without one, or if it is not adversarial, noise is tried, one query an
    image: uniform in the box as in Chen, Jordan & Wainwright 2020, arXiv:1904.02144, then in turn coarse tiles, one colour,
    black or white pixels, and uniform again, since a network gives most images of one kind of noise the same class. A
    target class is seldom found this way: give a start.
    """
    x, todo = t.x0, torch.ones(t.n, dtype=torch.bool, device=t.x0.device)
    given = [] if t.start is None else [t.start]
    for i in range(tries + len(given)):
        if not bool(todo.any()):
            break
        a = yield Ask(given[i] if i < len(given) else noise(t, i - len(given)), mask=todo)
        assert a.x is not None
        x, todo = choose(a.adv, a.x, x), todo & ~a.adv
    return x, ~todo


def noise(t: Task, i: int) -> Tensor:
    """The i-th noise image for each row, [n, \\*shape]."""
    low, width = t.threat.lower, t.threat.upper - t.threat.lower
    kind = ("uniform", "tiles", "colour", "black or white")[i % 4]
    tag = f"start {i}"
    if kind == "uniform" or (len(t.shape) != 3 and kind != "black or white"):
        return low + width * t.rng.uniform(0, tag, t.shape)
    if kind == "black or white":
        return low + width * (t.rng.signs(0, tag, t.shape) + 1) / 2
    c, h, w = t.shape
    cells = 1 if kind == "colour" else 4
    grid = t.rng.uniform(0, tag, (c, cells, cells))
    down = torch.arange(h, device=t.x0.device) * cells // h
    across = torch.arange(w, device=t.x0.device) * cells // w
    return low + width * grid[:, :, down][:, :, :, across]


def inward(t: Task, x: Tensor) -> Path:
    """The path from ``x`` (share 1) to the original (share 0) on which the distance shrinks with the share.

    L2 and L1: the segment. Linf: ``x`` clipped to smaller and smaller cubes. Chen, Jordan & Wainwright 2020, section 4.
    """
    delta = x - t.x0
    if t.threat.norm != "Linf":
        return lambda share: x - rows(1 - share, x) * delta  # exactly x at share 1
    reach = row_norm(delta, torch.inf)

    def clipped(share: Tensor) -> Tensor:
        bound = rows(share * reach, x)
        return choose(share < 1, t.x0 + torch.clamp(delta, -bound, bound), x)

    return clipped


def bisect(
    path: Path, low: Tensor, high: Tensor, tolerance: float | Tensor, todo: Tensor, most: int = 40
) -> Steps[Tensor]:
    """Find where ``path`` crosses the boundary: the adversarial end [n], within ``tolerance`` of an end that is not.

    Args:
        path: maps one number a row to points [n, \\*shape].
        low: [n], assumed not to be adversarial.
        high: [n], adversarial.
        todo: [n] rows to search; the others keep ``high``.
        most: queries a row.
    """
    for _ in range(most):
        todo = todo & ((high - low).abs() > tolerance)
        if not bool(todo.any()):
            break
        middle = (low + high) / 2
        a = yield Ask(path(middle), mask=todo)
        high, low = torch.where(a.adv, middle, high), torch.where(a.paid & ~a.adv, middle, low)
        todo = todo & a.paid
    return high


def to_boundary(t: Task, x: Tensor, tolerance: float, todo: Tensor) -> Steps[Tensor]:
    """Move adversarial ``x`` `inward` to the boundary, up to a share ``tolerance`` of its distance."""
    path, one = inward(t, x), torch.ones(t.n, device=x.device)
    share = yield from bisect(path, torch.zeros_like(one), one, fine(t, x, tolerance), todo)
    return t.clip(path(share))


def boundary_start(t: Task, tries: int = TRIES, tolerance: float = 2.0**-10) -> Steps[tuple[Tensor, Tensor]]:
    """Find a `start` and move it `to_boundary`: [n, \\*shape], and [n] whether there is one."""
    x, found = yield from start(t, tries)
    x = yield from to_boundary(t, x, tolerance, found)
    return x, found


def fine(t: Task, x: Tensor, tolerance: float) -> Tensor:
    """The useful resolution [n] of a bisection between the original and ``x``, as a share of the path.

    ``tolerance``, or more: smaller shares change no entry by half a level of the target's input, or by float32 rounding."""
    visible = max(t.probe / 2, ROUNDING)
    return (visible / row_norm(x - t.x0, torch.inf).clamp_min(visible)).clamp_min(tolerance)


def halve(path: Path, step: Tensor, todo: Tensor, most: int) -> Steps[tuple[Tensor, Tensor]]:
    """Find the first of ``step``, ``step / 2``, ... at which ``path`` is adversarial: [n], and [n] whether one of ``most`` is."""
    held = torch.zeros_like(todo)
    for _ in range(most):
        if not bool(todo.any()):
            break
        a = yield Ask(path(step), mask=todo)
        held, todo = held | a.adv, todo & a.paid & ~a.adv
        step = torch.where(todo, step / 2, step)
    return step, held
