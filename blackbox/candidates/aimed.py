"""Aimed: the signs to which a prior leads from a point on the boundary, for a search that hears labels alone."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox.candidates.craft import CraftGoal, craft
from blackbox.prior import Prior, view
from blackbox.protocol import Task
from blackbox.rowwise import rows


def aimed(t: Task, prior: Prior, k: int, sign: Tensor, radius: Tensor, rival: Tensor) -> Tensor:
    """[n, \\*shape]: where the prior leads from the point on the ray at ``radius`` [n].

    There the target is about to change between the class to leave and its ``rival`` [n], so these two alone count
    (towards a class: that class against all others). Five steps through diverse views from a small random start, so that no
    two proposals from one point are alike; each along one member, in turn: as cheap with many members as with one.
    """
    assert t.goal is not None
    shift = None
    if not t.targeted:
        pair = torch.nn.functional.one_hot(torch.stack([t.goal, rival], 1), prior.classes).any(1)
        shift = torch.where(pair, 0.0, -1e4)[:, None]
    noise = t.rng.signs(k, "aimed start", t.shape)
    x = t.threat.clip(t.x0 + rows(radius, sign) * (sign + 0.2 * noise))
    for i in range(5):
        # by the step, not by the row: a prior computes a member for all rows or for none
        one = view(prior, [(k + i) % prior.members], few=True)
        x = craft(t, one, x, CraftGoal.of(t, shift=shift), steps=1, diverse=f"aimed {k} {i}", radius=radius)
    delta = x - t.x0
    return torch.where(delta == 0, sign, delta.sign())
