"""Ripples where the target shows labels alone (this project's own)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.candidates import rays
from blackbox.candidates.bandit import thompson
from blackbox.candidates.moves import ALONE, Move, Signs, Wave
from blackbox.candidates.whole import ON_LITTLE
from blackbox.proposals.ripples import drawings
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, differs, rows

WAVES, OUTWARD, RAYS, MOVES = range(4)  # parts; the moves' are the last and those behind it


@dataclass(frozen=True)
class RippleLabels(Attack):
    """Waves over the whole image first; then a search over sign vectors for the ray with the nearest boundary, as RayS
    (arXiv:2006.12792) does, from the signs of the wave whose boundary is nearest.

    Thompson sampling, as in `Ripples`, draws one of the `candidates.moves` a query. A new vector has to hold at a radius
    smaller by a share, which grows where that succeeds and falls where not (the success rule of evolution strategies,
    Rechenberg 1973): after the start no query goes into a bisection, and none inside eps. Towards a class and on drawings
    (`proposals.ripples.drawings`) it begins at the user's image or a random corner of the box.

    Args:
        share: of the radius, that the first moves have to save: 0.05; grow, fall: what it is multiplied by, in balance where
            one move in seven holds (all ours). tries: random corners of the box for a start, where no wave's ray has one.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    minimises: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("waves", "outward", "rays", *(m.name for m in ALONE))

    share: float = 0.05
    grow: float = 1.5
    fall: float = 0.93
    tries: int = 16

    @dataclass
    class State:
        sign: Tensor  # [n, *shape] of the best ray
        high: Tensor  # [n] adversarial on that ray: the best radius so far
        share: Tensor  # [n]
        rival: Tensor  # [n] int64 the class that the target named there
        a: Tensor  # [n, moves] successes, the initial ones included
        b: Tensor  # [n, moves] failures
        same: Tensor  # [n, moves] would change nothing at this point
        signs: Tensor  # [n, slots, *shape] int8 of candidates on a prior; 0: none, or no change there
        aims: Tensor  # [n, slots] int64 the classes that these shall become, -1 for any, -2: none
        drawn: Tensor  # [n] int64 moves so far

    @property
    def moves(self) -> tuple[Move, ...]:
        return ALONE

    def init(self, t: Task) -> Steps[Retire]:
        ray = rays.first_ray(t)
        yield from rays.waves_within(t, ray, range(len(rays.SIGNS)), WAVES)
        yield from rays.outward(t, ray, rays.waves_at(t), OUTWARD)
        yield from rays.corners(t, ray, self.tries, OUTWARD)
        yield from rays.bisected(t, ray, OUTWARD)
        share = yield from self.other_waves(t, ray)
        none = torch.zeros(t.n, 0, device=t.x0.device, dtype=torch.int64)
        return self.begin(t, ray, share, t.x0.new_zeros(t.n, 0, *t.shape, dtype=torch.int8), none)

    def other_waves(self, t: Task, ray: rays.Ray) -> Steps[Tensor]:
        """The rays of all waves, for the nearest boundary. Returns the share of the radius that a move has to save, [n]."""
        share, able = torch.full_like(ray.high, self.share), rays.waves_at(t)
        for i in range(1, len(rays.SIGNS)):
            if bool((able & (ray.high > rays.goal(t))).any()):
                yield from rays.nearer(t, ray, rays.wave(t, i), share, able, RAYS)
        return share

    def begin(self, t: Task, ray: rays.Ray, share: Tensor, signs: Tensor, aims: Tensor) -> Retire:
        """The State at the ray; rows that have none are given up."""
        worth = torch.tensor([m.worth for m in self.moves], device=signs.device, dtype=torch.float64)
        little = torch.tensor(ON_LITTLE, device=signs.device, dtype=torch.float64)
        flat = drawings(t)[:, None] & torch.tensor([isinstance(m, Wave) for m in self.moves], device=signs.device)
        a, b = torch.where(flat[..., None], little, worth).unbind(2)
        none = torch.zeros_like(ray.rival)
        return Retire(self.State(ray.sign, ray.high, share, ray.rival, a, b, a < 0, signs, aims, none), ~ray.found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        move = torch.where(s.same, -1.0, thompson(t, k, s.a, s.b)).argmax(1)
        radius = rays.inside(t, s.high, s.share)
        scene, trial = Signs(t, self.prior, k, s.sign, radius, s.rival, s.drawn, s.signs, s.aims), s.sign.clone()
        for i, one in enumerate(self.moves):
            if bool((on := move == i).any()):
                trial[on] = one.make(scene.take(on))
        same = ~differs(trial, s.sign)
        a = yield Ask(t.x0 + rows(radius, s.sign) * trial, mask=~same & (radius > 0), part=len(self.parts) - len(self.moves) + move)
        this, held = torch.nn.functional.one_hot(move, len(self.moves)).bool(), a.adv[:, None]
        return self.State(
            sign=choose(a.adv, trial, s.sign),
            high=torch.where(a.adv, radius, s.high),
            share=torch.where(a.adv, self.grow * s.share, self.fall * s.share).clamp(0.005, 0.2),
            rival=rays.named(a, s.rival),
            a=s.a + (this & held),
            b=s.b + (this & ~held),
            same=(s.same | (this & same[:, None])) & ~held,
            signs=s.signs,
            aims=s.aims,
            drawn=s.drawn + 1,
        )
