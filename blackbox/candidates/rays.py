"""Rays: how a search over sign vectors with labels alone begins, at the ray whose boundary is nearest.

Waves over the whole image come first (`proposals.ripples`), then random corners of the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blackbox import search
from blackbox.candidates.whole import WAVES
from blackbox.proposals.ripples import drawings, whole
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose, rows

LONG = (("both", 3), ("columns", 3), ("diagonal", 3), ("antidiagonal", 3), ("rows", 3))
SIGNS = tuple((*wave, turn) for turn in (1.0, -1.0) for wave in (*WAVES, *LONG))
"""Waves that are asked for, in this order, each and then its contrary (ours, chosen by what they fool, on images and nets other
than those reported on)."""


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

    def asked(self, t: Task, sign: Tensor, radius: Tensor | float, mask: Tensor, part: int) -> Steps[None]:
        """Ask for the point at ``radius`` [n] along ``sign`` [n, \\*shape]; where it is adversarial, this is the best ray."""
        far = torch.as_tensor(radius, device=self.high.device).expand_as(self.high)
        a = yield Ask(t.x0 + rows(far, sign) * sign, mask=mask, part=part)
        self.sign, self.found = choose(a.adv, sign, self.sign), self.found | a.adv
        self.high = torch.where(a.adv, far, self.high)
        self.rival = named(a, self.rival)


def goal(t: Task) -> Any:
    """How near a boundary has to be: eps, or 0 without a limit; a tensor without axes."""
    return torch.tensor(t.eps if t.eps < torch.inf else 0.0, device=t.x0.device, dtype=t.x0.dtype)


def waves_at(t: Task) -> Tensor:
    """[n] the rows that waves are asked for: none towards a class, and none on drawings."""
    return ~drawings(t) & (not t.targeted)


def wave(t: Task, i: int) -> Tensor:
    """[n, \\*shape]: the i-th of the `SIGNS`."""
    direction, half, turn = SIGNS[i]
    return turn * whole(t, direction, half).expand(t.n, *t.grid).reshape(t.x0.shape)


def first_ray(t: Task) -> Ray:
    """Nothing asked yet: the first wave's ray."""
    none = torch.zeros(t.n, device=t.x0.device, dtype=t.x0.dtype)
    return Ray(wave(t, 0).clone(), none, none + t.radius, none > 0, torch.zeros_like(none, dtype=torch.int64))


def waves_within(t: Task, ray: Ray, some: range, part: int) -> Steps[None]:
    """``some`` of the `SIGNS` at eps, one after the other, until one is adversarial."""
    able = waves_at(t)
    for i in some:
        if bool((todo := able & ~ray.found).any()):
            yield from ray.asked(t, wave(t, i), t.radius, todo, part)


def outward(t: Task, ray: Ray, able: Tensor, part: int) -> Steps[None]:
    """Along the ray of rows that are ``able`` [n], from eps outwards, with growing steps, until it is adversarial or the box ends."""
    width, factor, todo = t.threat.upper - t.threat.lower, 1.3, able & ~ray.found
    ray.low = torch.where(todo, t.radius, ray.low)
    while bool((todo := todo & ~ray.found & (ray.low < width)).any()):
        far = (factor * ray.low).clamp_max(width)
        yield from ray.asked(t, ray.sign, far, todo, part)
        ray.low, factor = torch.where(todo & ~ray.found, far, ray.low), 1.3 * factor


def corners(t: Task, ray: Ray, tries: int, part: int) -> Steps[None]:
    """Where there is no ray yet: the signs of the user's image, then to random corners of the box, until one is adversarial."""
    width = t.threat.upper - t.threat.lower
    given = [] if t.start is None else [torch.where(t.start >= t.x0, 1.0, -1.0)]
    for i in range(len(given) + tries):
        if bool((todo := ~ray.found).any()):
            trial = given[i] if i < len(given) else t.rng.signs(i - len(given), "corner", t.shape)
            yield from ray.asked(t, trial, width, todo, part)
            ray.low = torch.where(todo, 0.0, ray.low)


def bisected(t: Task, ray: Ray, part: int, share: float = 0.2) -> Steps[None]:
    """The radius bisected to a ``share`` of itself, but not inside eps."""
    while bool((todo := ray.found & (ray.high > goal(t)) & (ray.high - ray.low > share * ray.high)).any()):
        middle = (ray.low + ray.high) / 2
        middle = torch.where((ray.low < goal(t)) & (middle < 1.5 * goal(t)), goal(t), middle)  # that it may be all that is wanted
        middle = torch.where(todo, middle, ray.high)
        a = yield Ask(t.x0 + rows(middle, ray.sign) * ray.sign, mask=todo, part=part)
        ray.low, ray.high = torch.where(todo & ~a.adv, middle, ray.low), torch.where(a.adv, middle, ray.high)
        ray.rival = named(a, ray.rival)


def nearer(t: Task, ray: Ray, sign: Tensor, share: Tensor, able: Tensor, part: int) -> Steps[None]:
    """Another ray, looked at where rows are ``able`` [n] from a radius smaller by a ``share`` [n] than the best so far."""
    yield from ray.asked(t, sign, inside(t, ray.high, share), able & ray.found & (ray.high > goal(t)), part)


def inside(t: Task, high: Tensor, share: Tensor) -> Tensor:
    """[n] the radius at which a new ray has to be adversarial: smaller by a share, and by what the target can see, but not
    within eps."""
    least = max(t.probe, search.ROUNDING)
    return torch.maximum(high - (share * high).clamp_min(least), torch.where(high > goal(t), goal(t), 0.0))


def named(a: Any, rival: Tensor) -> Tensor:
    """[n] the class that the target named where a point was adversarial, ``rival`` [n] elsewhere, or in a search that is not told."""
    return rival if a.shown is None else torch.where(a.adv, a.shown.nan_to_num(nan=-torch.inf).argmax(1), rival)
