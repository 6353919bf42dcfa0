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
LITTLE = 0.35  # of the margin: where no wave over the whole image takes away as much, searches without windows of waves need fewer queries
ON_LITTLE = (0.1, 20.0)  # successes and failures that makers of ripples are credited with there


class Opened(NamedTuple):
    """Rows of a search that has begun: their best points, the counts of its makers, what share of the margin the waves took
    away at most [n], and [n] the rows that still wait: paid for all they asked, and not adversarial."""

    best: Best
    counts: Counts
    taken: Tensor
    waiting: Tensor


def begin(t: Task, best: Best, makers: Sequence[Maker]) -> Opened:
    """Nothing asked yet."""
    none = torch.zeros_like(t.loss0)
    return Opened(best, Counts.initial(makers, t), none, none == 0)


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


def square_start(t: Task, o: Opened, makers: Sequence[Maker], part: int) -> Steps[tuple[Best, Counts]]:
    """Where waves took away little of the margin, and on drawings, the search goes on as Square: makers of ripples are credited
    with little, and Square's start is asked for. It is taken where nothing so far was better than the clean image, even if it is
    not either: Square's moves begin at the bounds."""
    low = o.waiting & (o.taken < LITTLE)
    ripples = torch.tensor([isinstance(m, Ripples) for m in makers], device=low.device)
    a, b = (torch.where(low[:, None] & ripples, few, had) for few, had in zip(ON_LITTLE, o.counts[:2], strict=True))
    counts = o.counts._replace(a=a, b=b)
    if not bool(low.any()):
        return o.best, counts
    tell = yield Ask(stripes(t), mask=low, part=part)
    nothing = tell.paid & ~(o.best.loss > t.loss0)
    best = Best(o.best.x, torch.where(nothing, -torch.inf, o.best.loss), o.best.shown).updated(tell)[0]
    return best, counts
