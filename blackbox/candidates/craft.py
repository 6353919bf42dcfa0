"""Crafting through a prior: a few steps along its members' gradients, back into the threat after each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from blackbox.ascent import Ascent, without_queries
from blackbox.candidates.views import through_view
from blackbox.direction import chain, identity, mean_abs, momentum
from blackbox.prior import Prior, aim, view
from blackbox.protocol import Task
from blackbox.rowwise import row_sum, rows

STEPS, STEP = 10, 0.3  # how many, and how long as a share of eps (ours)


@dataclass(frozen=True)
class CraftGoal:
    """What crafted rows are to become. All tensors lead with the rows; None stands for the plain choice.

    Attributes:
        classes: [n] to leave, or to reach where ``towards`` [n] (or for all).
        weights: [n, M] of the members; even by default.
        shift: [n, M, C] (or [n, 1, C], for all members) added to their logits.
        soft: the other classes by their softmax, not the best alone (`prior.aim`).
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
        """The same goal for some of the members."""
        weights, shift = self.weights, self.shift
        if weights is not None:
            weights = weights[:, which]
        if shift is not None and shift.shape[1] > 1:
            shift = shift[:, which]
        return replace(self, weights=weights, shift=shift)


def fused(scores: Tensor, weights: Tensor | None) -> Tensor:
    """The members' logits averaged by ``weights`` [n, M]: [n, M, C] -> [n, C], in a fixed order of additions."""
    parts = [
        scores[:, m] * (1 / scores.shape[1] if weights is None else weights[:, m, None]) for m in range(scores.shape[1])
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def slope(prior: Prior, x: Tensor, goal: CraftGoal) -> Tensor:
    """[n, \\*shape]: the gradient of the goal's margin at ``x``."""
    towards = torch.as_tensor(goal.towards, device=x.device).expand(len(x))

    def pull(scores: Tensor, at: Tensor) -> Tensor:
        weights = None if goal.weights is None else goal.weights[at]
        total = fused(scores if goal.shift is None else scores + goal.shift[at], weights)
        v = aim(total, goal.classes[at], towards[at], goal.soft)[:, None]
        share = torch.full_like(scores[:, :, :1], 1 / scores.shape[1]) if weights is None else weights[:, :, None]
        return v * share

    return prior.gradient(x, pull)


def inside(t: Task, x: Tensor, radius: Tensor | None = None) -> Tensor:
    """``x`` projected into the threat, for attacks that minimise too; or, with ``radius`` [n], into the Linf ball of that
    radius and the box."""
    if radius is None:
        return t.threat.project(x, t.x0)
    bound = rows(radius, x)
    return t.threat.clip(torch.clamp(x, t.x0 - bound, t.x0 + bound))


def craft(
    t: Task,
    prior: Prior,
    x: Tensor,
    goal: CraftGoal,
    steps: int = STEPS,
    step: float = STEP,
    diverse: str = "",
    decay: float = 0.0,
    anneal: bool = False,
    radius: Tensor | None = None,
    mirror: Tensor | None = None,
    shares: int = 1,
) -> Tensor:
    """Adversarial examples on the prior: ``steps`` steps of ``step`` * eps from ``x`` [n, \\*shape] along its gradients.

    Args:
        diverse: a tag; each gradient is then taken through a view of its own (`views.through_view`), in the rows of
            ``mirror`` [n] mirrored at random.
        decay: of the momentum (MI; Dong et al. 2018, arXiv:1710.06081); 0 for none.
        anneal: the steps shrink to nothing by a half cosine (Loshchilov & Hutter 2017, arXiv:1608.03983).
        radius: [n] in the place of eps, where a search is still outside (Linf alone).
        shares: the members are dealt out to so many groups, which take turns: step i asks one group alone.
    """
    groups = _dealt(prior, goal, shares) if shares > 1 else [(prior, goal)]
    size = step * (t.radius if radius is None else rows(radius, x))
    viewed = bool(diverse) and len(t.shape) == 3

    def gradient(x: Tensor, k: int) -> Tensor:
        members, wanted = groups[k % len(groups)]
        if not viewed:
            return slope(members, x, wanted)
        return through_view(t, lambda v: slope(members, v, wanted), x, f"{diverse} {k}", mirror)

    def change(u: Tensor, x: Tensor, k: int) -> Tensor:
        share = (1 + math.cos(math.pi * k / steps)) / 2 if anneal else 1.0
        return share * size * t.threat.steepest(u)

    loop = Ascent(gradient, chain(mean_abs(), momentum(decay)) if decay else identity(), change)
    return without_queries(loop.run(x, steps, lambda v: inside(t, v, radius)))


def _dealt(prior: Prior, goal: CraftGoal, shares: int) -> list[tuple[Prior, CraftGoal]]:
    """The members dealt out to ``shares`` groups (no more than there are members), each with its part of the goal."""
    which = [slice(first, None, shares) for first in range(min(shares, prior.members))]
    return [(view(prior, range(prior.members)[group]), goal.of_members(group)) for group in which]


def calibrated(prior: Prior, x: Tensor, shown: Tensor) -> Tensor:
    """[n, M, C] constants that, added to the members' logits, make them agree at ``x`` with the target's [n, C] there.

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
