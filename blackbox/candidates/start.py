"""Start: the first point of a search with a prior."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox.candidates.craft import CraftGoal, craft, fused
from blackbox.prior import Prior, pair
from blackbox.protocol import Task


def start(t: Task, prior: Prior) -> Tensor:
    """[n, \\*shape]: an adversarial example on the prior, through views, with momentum and annealed steps, on half of the
    members at a time.

    16 steps from 0.35 eps on; towards a class 60 from 0.2 eps on. Momentum 0.8. (Ours, chosen on images and
    a target other than those reported on.)
    """
    steps, step = (60, 0.2) if t.targeted else (16, 0.35)
    goal, mirror = CraftGoal.of(t, soft=True), mirrors(prior, t.x0)
    return craft(t, prior, t.x0, goal, steps, step, "start", decay=0.8, anneal=True, mirror=mirror, shares=2)


def mirrors(prior: Prior, x: Tensor) -> Tensor:
    """[n] bool: the prior (two of its members, `pair`) finds the same class in the image and in its mirror image.

    There a mirrored view shows what a target may have learned too; digits and letters are something else in the mirror.
    Images too small to be moved are not mirrored either.
    """
    if x.ndim != 4 or min(x.shape[2:]) < 10:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    few = pair(prior, 0)
    return fused(few.logits(x), None).argmax(1) == fused(few.logits(x.flip(-1)), None).argmax(1)
