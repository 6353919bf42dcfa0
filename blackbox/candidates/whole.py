"""Whole: the first queries of a search with ripples, waves over the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from blackbox.candidates.bandit import Counts
from blackbox.candidates.maker import Best, Maker
from blackbox.candidates.ripples import Ripples
from blackbox.candidates.trust import taken
from blackbox.proposals.ripples import drawings, whole
from blackbox.proposals.stripes import stripes
from blackbox.protocol import Ask, Steps, Task

WAVES = (("both", 1), ("columns", 1), ("diagonal", 2), ("columns", 2), ("antidiagonal", 2), ("both", 2))
FIRST, OTHERS = WAVES[:1], WAVES[1:]
LITTLE = 0.2  # of the margin; where no wave takes away as much, Square's start is tried too
ON_DRAWINGS = (0.1, 20.0)  # what makers of ripples are credited with there


class Opened(NamedTuple):
    """Rows of a search that has begun: their best points, the counts of its makers, what share of the margin the waves took
    away at most [n], and [n] the rows that still wait: paid for all they asked, and not adversarial."""

    best: Best
    counts: Counts
    taken: Tensor
    waiting: Tensor


def begin(t: Task, best: Best, makers: Sequence[Maker]) -> Opened:
    """Nothing asked yet. Makers of ripples are credited with little on drawings (`proposals.ripples.drawings`)."""
    counts, flat = Counts.initial(makers, t), drawings(t)
    ripples = torch.tensor([isinstance(m, Ripples) for m in makers], device=t.x0.device)
    a, b = (torch.where(flat[:, None] & ripples, few, had) for few, had in zip(ON_DRAWINGS, (counts.a, counts.b), strict=True))
    return Opened(best, counts._replace(a=a, b=b), torch.zeros_like(t.loss0), ~torch.zeros_like(flat))


def waves(t: Task, o: Opened, makers: Sequence[Maker], part: int, some: Sequence[tuple[str, int]] = WAVES) -> Steps[Opened]:
    """Ask for ``some`` waves, one after the other, until one is adversarial; none on drawings.

    A maker of ripples of that length is credited with the share of the margin that each took away, and charged half of what it
    left (which waves, how many and how much is credited: ours, chosen on images and nets other than those reported on).
    """
    best, counts, most, waiting = o
    asked = waiting & ~drawings(t)
    for direction, half in some:
        if not bool(asked.any()):
            break
        wave = whole(t, direction, half).expand(t.n, *t.grid).reshape(t.x0.shape)
        tell = yield Ask(t.x0 + t.radius * t.threat.steepest(wave), mask=asked, part=part)
        best, _ = best.updated(tell)
        share = taken(t, tell)
        alike = torch.tensor([isinstance(m, Ripples) and half in m.halves for m in makers], device=share.device)
        left = torch.where(tell.paid, (1 - share) / 2, 0.0)
        counts = counts._replace(a=counts.a + alike * share.double()[:, None], b=counts.b + alike * left.double()[:, None])
        most = torch.maximum(most, share)
        waiting = waiting & (~asked | (tell.paid & ~tell.adv))
        asked = asked & waiting
    return Opened(best, counts, most, waiting)


def square_start(t: Task, o: Opened, part: int) -> Steps[Best]:
    """Ask for Square's start where waves took away little of the margin. It is taken where nothing so far was better than the
    clean image, even if it is not either: Square's moves begin at the bounds."""
    low = o.waiting & (o.taken < LITTLE)
    if not bool(low.any()):
        return o.best
    tell = yield Ask(stripes(t), mask=low, part=part)
    nothing = tell.paid & ~(o.best.loss > t.loss0)
    return Best(o.best.x, torch.where(nothing, -torch.inf, o.best.loss), o.best.shown).updated(tell)[0]
