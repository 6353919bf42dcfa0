"""Crafting through a prior: a few steps along the members' gradients, back into the threat after each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from blackbox.direction import Direction, chain, identity, mean_abs, momentum
from blackbox.prior import Prior, aim, pair, view
from blackbox.protocol import Task
from blackbox.rowwise import choose, row_sum, rows

STEPS, STEP = 10, 0.3  # steps without momentum, each of 3 eps / 10: as measured in the project's notes


@dataclass(frozen=True)
class CraftGoal:
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
    def of(cls, t: Task, weights: Tensor | None = None, shift: Tensor | None = None, soft: bool = False) -> CraftGoal:
        """The task's own goal."""
        assert t.goal is not None
        return cls(t.goal, t.targeted, weights, shift, soft)

    def of_members(self, which: slice) -> CraftGoal:
        """The same of some members."""
        weights = None if self.weights is None else self.weights[:, which]
        return replace(self, weights=weights, shift=self.shift if self.shift is None or self.shift.shape[1] == 1 else self.shift[:, which])


def fused(scores: Tensor, weights: Tensor | None) -> Tensor:
    """[n, M, C] -> [n, C], member by member: the order of additions is fixed."""
    parts = [
        scores[:, m] * (1 / scores.shape[1] if weights is None else weights[:, m, None]) for m in range(scores.shape[1])
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def slope(prior: Prior, x: Tensor, wish: CraftGoal) -> Tensor:
    """[n, \\*shape]: the gradient of the wish's margin at ``x``."""
    towards = torch.as_tensor(wish.towards, device=x.device).expand(len(x))

    def pull(scores: Tensor, at: Tensor) -> Tensor:
        weights = None if wish.weights is None else wish.weights[at]
        total = fused(scores if wish.shift is None else scores + wish.shift[at], weights)
        v = aim(total, wish.classes[at], towards[at], wish.soft)[:, None]
        share = torch.full_like(scores[:, :, :1], 1 / scores.shape[1]) if weights is None else weights[:, :, None]
        return v * share

    return prior.gradient(x, pull)


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
    wish: CraftGoal,
    steps: int = STEPS,
    step: float = STEP,
    diverse: str = "",
    decay: float = 0.0,
    anneal: bool = False,
    radius: Tensor | None = None,
    mirror: Tensor | None = None,
    shares: int = 1,
) -> Tensor:
    """``steps`` steps of ``step`` * eps from ``x`` [n, \\*shape] along the prior's gradients.

    radius: [n], in the place of eps, where a search is still outside (Linf alone).
    diverse: a tag: each gradient is taken through a view of the image, moved anew (after DI: Xie et al. 2019,
    arXiv:1803.06978, which resizes too); in the rows of ``mirror`` [n] mirrored as well, at random. decay: of the momentum
    (MI: arXiv:1710.06081). anneal: the steps shrink to nothing by a half cosine (Loshchilov & Hutter 2017,
    arXiv:1608.03983). shares: the members are dealt out to so many, which take turns: step i asks every ``shares``-th alone.
    """
    direction: Direction = chain(mean_abs(), momentum(decay)) if decay else identity()
    state, size = direction.init(x), step * (t.radius if radius is None else rows(radius, x))
    deal = [slice(first, None, shares) for first in range(min(shares, prior.members))]
    turns = [(view(prior, range(prior.members)[which]), wish.of_members(which)) for which in deal] if shares > 1 else [(prior, wish)]
    for i in range(steps):
        known, wanted = turns[i % len(turns)]
        viewed = diverse and len(t.shape) == 3
        g = _through(t, known, x, wanted, f"{diverse} {i}", mirror) if viewed else slope(known, x, wanted)
        g, state = direction.update(g, state)
        share = (1 + math.cos(math.pi * i / steps)) / 2 if anneal else 1.0
        x = inside(t, x + share * size * t.threat.steepest(g), radius)
    return x


def start(t: Task, prior: Prior) -> Tensor:
    """[n, \\*shape]: what a search with a prior begins with: a craft through views, annealed, on half the members a step.

    16 steps from 0.35 of eps on, towards a class 60 from 0.2 on: as many gradients as 8 and 30 steps on all members, which
    neither mirror nor have momentum, and fewer candidates fail: at once .84 for .80 of 200 images (a difference of .045, standard
    error .024), towards a class .810 for .781 of the way (.029 (.009)), on images and a target other than those reported on.
    Without ripples `hybrid` then needed as many queries as before, within the noise: those that fail take the most. Momentum
    0.8: with 0 towards a class .796, 0.9 .808.
    """
    steps, step = (60, 0.2) if t.targeted else (16, 0.35)
    wish, mirror = CraftGoal.of(t, soft=True), mirrors(prior, t.x0)
    return craft(t, prior, t.x0, wish, steps, step, "start", decay=0.8, anneal=True, mirror=mirror, shares=2)


def mirrors(prior: Prior, x: Tensor) -> Tensor:
    """[n] bool: the prior (two members of it: `pair`) finds the same class in the image and in its mirror image. Then a
    mirrored view shows what a target may have learned too; digits and letters are something else in the mirror. Images too
    small to be moved are not mirrored either."""
    if x.ndim != 4 or min(x.shape[2:]) < 10:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    few = pair(prior, 0)
    return fused(few.logits(x), None).argmax(1) == fused(few.logits(x.flip(-1)), None).argmax(1)


def _through(t: Task, prior: Prior, x: Tensor, wish: CraftGoal, tag: str, mirror: Tensor | None) -> Tensor:
    """The gradient through a view: each row moved by up to a tenth of its sides, and mirrored where it may be."""
    most = torch.tensor([side // 10 for side in t.shape[1:]], device=x.device)
    draw = t.rng.uniform(0, f"view {tag}", 3)
    by = torch.floor(draw[:, :2] * (2 * most + 1)).long() - most
    if mirror is None:
        return _moved(slope(prior, _moved(x, by), wish), -by)
    turned = mirror & (draw[:, 2] < 0.5)
    g = _moved(slope(prior, _moved(choose(turned, x.flip(3), x), by), wish), -by)
    return choose(turned, g.flip(3), g)


def _moved(x: Tensor, by: Tensor) -> Tensor:
    """[n, channels, height, width] moved by ``by`` [n, 2] pixels, down and to the right; black where nothing came from."""
    for axis in (2, 3):
        side = x.shape[axis]
        source = torch.arange(side, device=x.device) - by[:, axis - 2, None]
        shape = [len(x), 1, -1, 1] if axis == 2 else [len(x), 1, 1, -1]
        on = ((source >= 0) & (source < side)).view(shape)
        x = x.gather(axis, source.clamp(0, side - 1).view(shape).expand_as(x)) * on
    return x


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
