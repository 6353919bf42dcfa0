"""Hybrid where the target shows labels alone (this project's own)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.attacks.ripple_labels import MOVES, OUTWARD, WAVES, RippleLabels
from blackbox.candidates import rays
from blackbox.candidates.bank import Bank
from blackbox.candidates.maker import Scene
from blackbox.candidates.moves import ALONE, GUIDED, Move
from blackbox.candidates.start import start
from blackbox.prior import Guided, view
from blackbox.protocol import Ask, Retire, Steps, Task
from blackbox.rowwise import choose

START, STATIC, GUIDED_MOVES = MOVES, MOVES + 1, MOVES + 2  # parts; the moves' are behind them
BEFORE = 4  # waves that are asked for before the prior's example (ours, chosen as the waves are)
LITTLE = (0.3, 6.0)  # what moves that ask the prior are credited with where its start is no nearer than the waves


@dataclass(frozen=True)
class HybridLabels(RippleLabels, Guided):
    """`RippleLabels` with a prior: after the first waves an adversarial example on the prior, and more moves.

    What the prior is worth is learned on the target: where the ray of that example has a nearer boundary than the waves, or
    there are none, all static candidates (`candidates.Bank`) are asked for too, and moves that ask the prior begin with the
    credit of others; elsewhere with little, and with the one candidate. All other draws are those of `RippleLabels`.

    Args:
        prior: `surrogates.prior(nets)`. others: as in `RippleLabels`.
    """

    parts: ClassVar[tuple[str, ...]] = (*RippleLabels.parts[:MOVES], "start", "static", *(m.name for m in (*ALONE, *GUIDED)))

    @property
    def moves(self) -> tuple[Move, ...]:
        return (*ALONE, *GUIDED)

    def init(self, t: Task) -> Steps[Retire]:
        ray = rays.first_ray(t)
        yield from rays.waves_within(t, ray, range(BEFORE), WAVES)
        first = yield from self.started(t, ray)
        yield from rays.waves_within(t, ray, range(BEFORE, len(rays.SIGNS)), WAVES)
        alone = ~rays.waves_at(t)
        ray.sign = choose(alone & ~ray.found, first, ray.sign)
        yield from rays.outward(t, ray, ~ray.found, OUTWARD)
        bank = Bank.open(t, self.known)
        far = torch.full_like(ray.high, min(4 * t.radius, t.threat.upper - t.threat.lower))
        yield from self.candidates(t, ray, bank, far, ~ray.found, once=True)
        yield from rays.corners(t, ray, self.tries, OUTWARD)
        yield from rays.bisected(t, ray, OUTWARD)
        share = yield from self.other_waves(t, ray)
        before = ray.high
        yield from rays.nearer(t, ray, first, share, ~alone, START)
        trusted = alone | (ray.high < before)
        yield from self.candidates(t, ray, bank, share, trusted)
        made = torch.cat([torch.ones_like(alone)[:, None], bank.made], 1)
        any_class = torch.full_like(made[:, : 1 + bank.first], -1, dtype=torch.int64)
        aims = torch.where(made, torch.cat([any_class, bank.aims], 1), -2)
        retire = self.begin(t, ray, share, torch.cat([first[:, None].to(torch.int8), bank.signs(t)], 1), aims)
        guided = ~trusted[:, None] & torch.tensor([m.surrogate for m in self.moves], device=trusted.device)
        s = retire.state
        s.a, s.b = torch.where(guided, LITTLE[0], s.a), torch.where(guided, LITTLE[1], s.b)
        return retire

    def started(self, t: Task, ray: rays.Ray) -> Steps[Tensor]:
        """Ask for the example on the prior. Returns the signs of its change, [n, \\*shape]."""
        x = t.x0.clone()
        if bool((todo := ~ray.found).any()):
            x[todo] = start(t.take(todo.numpy(force=True)), self.known)
        # what does not change at a bound of the box stays there; else it goes up: a sign has to be one of two
        sign = torch.where((x < t.x0) | ((x == t.x0) & (x <= t.threat.lower)), -1.0, 1.0).to(x)
        a = yield Ask(x, mask=todo, part=START)
        ray.sign, ray.found = choose(a.adv, sign, ray.sign), ray.found | a.adv
        ray.rival = rays.named(a, ray.rival)
        return sign

    def candidates(self, t: Task, ray: rays.Ray, bank: Bank, far: Tensor, able: Tensor, once: bool = False) -> Steps[None]:
        """The rays of all static candidates, made where rows are ``able`` [n]: ``once``, at the radius ``far`` [n] until one
        is adversarial; else each at a radius smaller by the share ``far`` [n] than the best so far."""
        blind = torch.full((t.n, self.known.classes), torch.nan, device=t.x0.device)
        scene = Scene(t, view(self.known, few=True), t.x0, t.loss0, blind, 0, bank, torch.arange(t.n, device=t.x0.device))
        for j in range(self.known.members == 1, bank.made.shape[1]):  # the one member is what the start was crafted on
            todo = able & ~(ray.found if once else ray.high <= rays.goal(t))
            if not bool(todo.any()):
                continue
            part, sign = scene.take(todo), ray.sign.clone()
            delta = bank.get(part, torch.full_like(part.at, j)) - part.t.x0
            sign[todo] = torch.where(delta == 0, ray.sign[todo], delta.sign())
            if once:
                yield from ray.asked(t, sign, far, todo, STATIC)
                ray.low = torch.where(todo, 0.0, ray.low)
            else:
                yield from rays.nearer(t, ray, sign, far, todo, STATIC)
