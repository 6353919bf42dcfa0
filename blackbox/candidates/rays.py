"""Rays: how a search over sign vectors with labels alone begins, at the ray whose boundary is nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blackbox import search
from blackbox.candidates.opening import AFTER
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose, row_norm, rows

OUTWARD, RAYS = AFTER, AFTER + 1  # parts: along the first ray, and what else leads to the boundary; other candidates' rays


@dataclass
class Ray:
    """The best ray of each row, x0 + radius * sign.

    sign: [n, \\*shape]. low, high: [n] radii, not adversarial and adversarial (where ``found`` [n]). rival: [n] int64 the
    class that the target named at ``high``.
    """

    sign: Tensor
    low: Tensor
    high: Tensor
    found: Tensor
    rival: Tensor

    def at(self, t: Task, radius: Tensor) -> Tensor:
        return t.x0 + rows(radius, self.sign) * self.sign


def first_ray(t: Task, delta: Tensor, adv: Tensor, rival: Tensor) -> Steps[Ray]:
    """The ray of a change ``delta`` [n, \\*shape], adversarial or not [n], followed outwards until it is or the box ends."""
    # an entry that did not change goes up: a sign has to be one of two
    sign, reach, width = torch.where(delta < 0, -1.0, 1.0), row_norm(delta, torch.inf), t.threat.upper - t.threat.lower
    factor = 1.3
    low, high = torch.where(adv, 0.0, reach), torch.where(adv, reach, (factor * reach).clamp(1e-3, width))
    ray = Ray(sign, low, high, adv, rival)
    while bool((todo := ~ray.found & (ray.low < width)).any()):
        a = yield Ask(ray.at(t, ray.high), mask=todo, part=OUTWARD)
        ray.found, ray.rival = ray.found | a.adv, named(a, ray.rival)
        missed, factor = todo & ~a.adv, 1.3 * factor
        ray.low, ray.high = (
            torch.where(missed, ray.high, ray.low),
            torch.where(missed, (factor * ray.high).clamp_max(width), ray.high),
        )
    return ray


def other_rays(t: Task, ray: Ray, signs: Tensor, made: Tensor, tries: int) -> Steps[None]:
    """Where the first ray leads nowhere: those of the candidates' ``signs`` [n, slots, \\*shape] that are ``made``
    [n, slots], then ``tries`` random corners of the box, until one is adversarial."""
    if not bool((~ray.found).any()):
        return
    width, slots = t.threat.upper - t.threat.lower, signs.shape[1]
    for i in range(slots + tries):
        if i < slots:
            trial, far, able = torch.where(signs[:, i] < 0, -1.0, 1.0), min(4 * t.eps, width), made[:, i]
        else:
            trial, far, able = t.rng.signs(i - slots, "corner", t.shape), width, ~ray.found
        a = yield Ask(t.x0 + far * trial, mask=~ray.found & able, part=OUTWARD)
        ray.sign = choose(a.adv, trial, ray.sign)
        ray.low, ray.high = torch.where(a.adv, 0.0, ray.low), torch.where(a.adv, far, ray.high)
        ray.found, ray.rival = ray.found | a.adv, named(a, ray.rival)


def bisected(t: Task, ray: Ray, share: float = 0.2) -> Steps[None]:
    """The radius bisected to a ``share`` of itself, but not inside eps."""
    while bool((todo := ray.found & (ray.high > t.eps) & (ray.high - ray.low > share * ray.high)).any()):
        middle = torch.where(todo, (ray.low + ray.high) / 2, ray.high)
        a = yield Ask(ray.at(t, middle), mask=todo, part=OUTWARD)
        ray.low, ray.high = torch.where(todo & ~a.adv, middle, ray.low), torch.where(a.adv, middle, ray.high)
        ray.rival = named(a, ray.rival)


def nearer_candidates(t: Task, ray: Ray, signs: Tensor, made: Tensor, share: Tensor) -> Steps[None]:
    """The candidates' rays, each looked at from a radius smaller by a ``share`` [n] than the best so far."""
    for i in range(signs.shape[1]):
        trial = torch.where(signs[:, i] == 0, ray.sign, signs[:, i].to(ray.sign))
        radius = inside(t, ray.high, share)
        todo = ray.found & made[:, i] & (ray.high > t.eps)
        a = yield Ask(t.x0 + rows(radius, trial) * trial, mask=todo, part=RAYS)
        ray.sign, ray.high = choose(a.adv, trial, ray.sign), torch.where(a.adv, radius, ray.high)
        ray.rival = named(a, ray.rival)


def inside(t: Task, high: Tensor, share: Tensor) -> Tensor:
    """[n] the radius at which a new ray has to be adversarial: smaller by a share, and by what the target can see, but not
    within eps."""
    least = max(t.probe, search.ROUNDING)
    return torch.maximum(high - (share * high).clamp_min(least), torch.where(high > t.eps, t.eps, 0.0))


def named(a: Any, rival: Tensor) -> Tensor:
    """[n] the class that the target named where a point was adversarial, ``rival`` [n] elsewhere."""
    return torch.where(a.adv, a.shown.nan_to_num(nan=-torch.inf).argmax(1), rival)
