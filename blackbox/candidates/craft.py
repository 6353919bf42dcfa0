"""Crafting through a prior: a few steps along the members' gradients, back into the threat after each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.direction import Direction, chain, identity, mean_abs, momentum
from blackbox.prior import Prior, aim
from blackbox.protocol import Task
from blackbox.rowwise import row_sum, rows

STEPS, STEP = 10, 0.3  # steps without momentum, each of 3 eps / 10: as measured in the project's notes


@dataclass(frozen=True)
class Wish:
    """What crafted rows are to become. All tensors lead with the rows; None stands for the plain choice.

    classes: [n] to leave, or to reach where ``towards`` [n] (or for all). weights: [n, M] of the members; even by default.
    shift: [n, M, C] (or [n, 1, C], for all members) added to their logits. soft: as in `prior.aim`.
    """

    classes: Tensor
    towards: Tensor | bool
    weights: Tensor | None = None
    shift: Tensor | None = None
    soft: bool = False

    @classmethod
    def of(cls, t: Task, weights: Tensor | None = None, shift: Tensor | None = None, soft: bool = False) -> Wish:
        """The task's own goal."""
        assert t.goal is not None
        return cls(t.goal, t.targeted, weights, shift, soft)


def fused(scores: Tensor, weights: Tensor | None) -> Tensor:
    """[n, M, C] -> [n, C], member by member: the order of additions is fixed."""
    parts = [
        scores[:, m] * (1 / scores.shape[1] if weights is None else weights[:, m, None]) for m in range(scores.shape[1])
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def slope(prior: Prior, x: Tensor, wish: Wish) -> Tensor:
    """[n, \\*shape]: the gradient of the wish's margin at ``x``."""
    towards = torch.as_tensor(wish.towards, device=x.device).expand(len(x))

    def pull(scores: Tensor, at: Tensor) -> Tensor:
        weights = None if wish.weights is None else wish.weights[at]
        total = fused(scores if wish.shift is None else scores + wish.shift[at], weights)
        v = aim(total, wish.classes[at], towards[at], wish.soft)[:, None]
        share = torch.full_like(scores[:, :, :1], 1 / scores.shape[1]) if weights is None else weights[:, :, None]
        return v * share

    return prior.gradient(x, pull)


def reach(t: Task) -> float:
    """What steps are a share of: eps, or the box where there is no limit."""
    return t.eps if t.eps < torch.inf else t.threat.upper - t.threat.lower


def inside(t: Task, x: Tensor, radius: Tensor | None = None) -> Tensor:
    """``x`` in the threat set, for attacks that minimise too; or within ``radius`` [n], in Linf, and the box."""
    if radius is None:
        return t.threat.project(x, t.x0)
    bound = rows(radius, x)
    return t.threat.clip(torch.clamp(x, t.x0 - bound, t.x0 + bound))


def craft(
    t: Task,
    prior: Prior,
    x: Tensor,
    wish: Wish,
    steps: int = STEPS,
    step: float = STEP,
    diverse: str = "",
    decay: float = 0.0,
    radius: Tensor | None = None,
) -> Tensor:
    """``steps`` steps of ``step`` * eps from ``x`` [n, \\*shape] along the prior's gradients.

    radius: [n], in the place of eps, where a search is still outside (Linf alone).
    diverse: a tag: each gradient is taken through a fresh random resize and shift of the image (after DI: Xie et al. 2019,
    arXiv:1803.06978; ours resizes by nearest neighbours, per row). decay: of the momentum (MI: arXiv:1710.06081).
    """
    direction: Direction = chain(mean_abs(), momentum(decay)) if decay else identity()
    state, size = direction.init(x), step * (reach(t) if radius is None else rows(radius, x))
    for i in range(steps):
        g = _through(t, prior, x, wish, f"{diverse} {i}") if diverse and len(t.shape) == 3 else slope(prior, x, wish)
        g, state = direction.update(g, state)
        x = inside(t, x + size * t.threat.steepest(g), radius)
    return x


def _through(t: Task, prior: Prior, x: Tensor, wish: Wish, tag: str) -> Tensor:
    """The gradient through a view: each row scaled to 0.8 to 1 of its sides and put somewhere on a black image."""
    draw = t.rng.uniform(0, f"view {tag}", 3)
    index, seen = [], []
    for side, at in ((t.shape[1], draw[:, 1]), (t.shape[2], draw[:, 2])):
        length = (0.8 + 0.2 * draw[:, 0]) * side
        first = at * (side - length)
        where = torch.floor(
            (torch.arange(side, device=x.device) - rows(first, draw).expand(-1, side)) * (side / rows(length, draw))
        )
        seen.append((where >= 0) & (where < side))
        index.append(where.long().clamp(0, side - 1))
    on = (seen[0][:, None, :, None] & seen[1][:, None, None, :]).to(x.dtype)
    down = index[0][:, None, :, None].expand(-1, t.shape[0], -1, t.shape[2])
    across = index[1][:, None, None, :].expand(-1, t.shape[0], t.shape[1], -1)
    g = slope(prior, x.gather(2, down).gather(3, across) * on, wish) * on
    return torch.zeros_like(x).scatter_add(2, down, torch.zeros_like(x).scatter_add(3, across, g))


def calibrated(prior: Prior, x: Tensor, shown: Tensor) -> Tensor:
    """[n, M, C] constants that make each member agree at ``x`` with what the target showed there, [n, C].

    Classes that the target did not show get the mean of the others' constants, but no more than puts them at the
    least class shown; a row of which nothing was shown gets zeros.
    """
    own = prior.logits(x)
    told = shown[:, None].expand_as(own)
    known = ~told.isnan()
    gap = torch.where(known, told - own, torch.zeros_like(own))
    count = known.sum(2, keepdim=True)
    mean = (row_sum(gap.flatten(0, 1)).view(count.shape) / count.clamp_min(1)).expand_as(own)
    least = torch.where(known, told, torch.inf).amin(2, keepdim=True)
    hidden = torch.where(count > 0, torch.minimum(mean, least - own), torch.zeros_like(own))
    return torch.where(known, gap, hidden)
