"""Uniform points of a threat's ball, the steepest move inside it, and changes of a given length."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from blackbox.rng import Stream
from blackbox.rowwise import row_norm, row_sum, rows, unit
from blackbox.threat import Threat
from surrogates.crafting.kept import ends_of, share_of, shared


def random_point(threat: Threat, rng: Stream, shape: tuple[int, ...], k: int = 0, tag: str = "start") -> Tensor:
    """Uniform points [n, \\*shape] in the ball of radius eps around 0, one draw a row, for step ``k`` and ``tag``."""
    return shared(threat, _random_point(threat, rng, shape, k, tag))


def _random_point(threat: Threat, rng: Stream, shape: tuple[int, ...], k: int, tag: str) -> Tensor:
    d = math.prod(shape)
    more = {"start": ("radius", "sign")}.get(tag, (f"{tag} radius", f"{tag} sign"))
    if threat.p == math.inf:
        return (2 * rng.uniform(k, tag, shape) - 1) * threat.eps
    if threat.p == 2:
        u = unit(rng.normal(k, tag, shape))
        return u * rows(threat.eps * rng.uniform(k, more[0], 1)[:, 0] ** (1 / d), u)
    # the L1 ball: d of d + 1 exponentials divided by their sum, with random signs
    e = -torch.log1p(-rng.uniform(k, tag, d + 1))
    sizes = e[:, :d] / row_sum(e).clamp_min(1e-12)[:, None] * threat.eps
    return sizes.view(-1, *shape) * rng.signs(k, more[1], shape)


def move(threat: Threat, g: Tensor, x: Tensor, step: float | Tensor) -> Tensor:
    """The steepest step: the change of length ``step`` in the threat's norm that raises a linear loss with gradient ``g`` most.

    Linf: step * sign(g); L2: step * g / |g| (both are clipped to the box afterwards). L1: a step along one entry would
    mostly leave the box, so the entries with the largest gradients are moved to the box's bound one after the other until
    the length is used up: the exact maximum over the L1 ball and the box together. step: one for all rows, or [n].
    """
    if isinstance(step, Tensor):
        step = rows(step, g) if threat.p != 1 else step[:, None]
    if threat.p != 1:
        return step * threat.steepest(g)
    share, (lower, upper) = share_of(threat, x), ends_of(threat, x)
    flat = (g if share is None else g * share).flatten(1)
    wall = (torch.where(g > 0, upper - x, x - lower)).flatten(1) * (flat != 0)
    if share is not None:  # how far the bound is, where a change counts as many times as its share is small
        wall = wall / torch.where(share > 0, share, 1.0).flatten(1)
    order = flat.abs().argsort(dim=1, descending=True, stable=True)
    room = wall.gather(1, order).double()
    used = room.cumsum(1) - room
    amount = torch.minimum(room, (step - used).clamp_min(0)).to(x.dtype)
    made = (torch.zeros_like(flat).scatter(1, order, amount) * flat.sign()).view_as(x)
    return made if share is None else share * made


def stretched(x: Tensor, z: Tensor, want: Tensor, threat: Threat) -> Tensor:
    """Scale ``z`` so that ``x`` + s ``z`` [n, \\*shape], clipped to the box, changes ``x`` by the Euclidean length ``want`` [n].

    s is found for each row by bisection. Where the box has too little room the change is the longest possible; where
    ``z`` is zero the result is ``x``."""

    def left(scale: Tensor) -> Tensor:
        return row_norm(threat.clip(x + rows(scale, z) * z) - x)

    high = want / row_norm(z).clamp_min(1e-12)
    low = torch.zeros_like(high)
    short = left(high) < want * (1 - 1e-6)  # the others were not clipped: they are done
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
