"""Hybrid where the target shows labels alone (this project's own)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.candidates.aimed import aimed
from blackbox.candidates.bandit import thompson
from blackbox.candidates.opening import opening
from blackbox.candidates.rays import RAYS, bisected, first_ray, inside, named, nearer_candidates, other_rays
from blackbox.prior import Guided
from blackbox.proposals.signs import candidate, colour, flips, replaced, shrinking_windows
from blackbox.protocol import Access, Ask, Retire, Steps, Task
from blackbox.rowwise import choose, differs, rows


class Move(IntEnum):
    """What a step may do to the best signs; the first three act in a window."""

    COLOUR = 0  # it takes one sign a channel
    CANDIDATE = 1  # it takes the signs of a candidate
    RIVAL = 2  # it takes those of a candidate for the rival, the class that the target names at the best point
    FLIPS = 3  # single entries turn
    AIMED = 4  # the prior leads on from the best point, between the two classes


MOVES = ("window, colour", "window, candidate", "window, rival", "flips", "aimed")
FIRST_MOVE = RAYS + 1  # of the parts


@dataclass(frozen=True)
class HybridLabels(Guided):
    """All static candidates first; then a search over sign vectors for the ray with the nearest boundary, as RayS
    (arXiv:2006.12792) does: from the first candidate's signs, or another candidate's whose boundary is nearer.

    Thompson sampling, as in `Hybrid`, draws one `Move` a query. A new vector has to hold at a radius smaller by a share,
    which grows where that succeeds and falls where not (the success rule of evolution strategies, Rechenberg 1973): after
    the start no query goes into a bisection, and none inside eps.

    Args:
        prior: `surrogates.prior(nets)`. share: of the radius, that the first moves have to save: 0.05; grow, fall: what it
            is multiplied by, in balance where 15 % of the moves hold (all ours). tries: random corners of the box for a
            start, where no candidate's ray has one.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    minimises: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("start", "static", "outward", "rays", *MOVES)

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
        signs: Tensor  # [n, slots, *shape] int8 of the candidates; 0: none, or no change there
        aims: Tensor  # [n, slots] int64 the classes that these shall become, -1 for any
        drawn: Tensor  # [n] int64 moves so far

    def init(self, t: Task) -> Steps[Retire]:
        first = yield from opening(t, self.known, everything=True)
        bank = first.bank
        assert bank is not None
        signs = bank.signs(t)
        ray = yield from first_ray(t, first.x - t.x0, first.adv, bank.aims[:, 0])
        yield from other_rays(t, ray, signs, bank.made, self.tries)
        yield from bisected(t, ray)
        share = torch.full_like(ray.high, self.share)
        yield from nearer_candidates(t, ray, signs, bank.made, share)
        none = torch.full_like(bank.asked[:, : bank.first], -1, dtype=torch.int64)
        ones = torch.ones(t.n, len(MOVES), device=signs.device, dtype=torch.float64)
        state = self.State(
            ray.sign, ray.high, share, ray.rival,
            a=ones, b=2 * ones, same=ones < 0, signs=signs, aims=torch.cat([none, bank.aims], 1),
            drawn=torch.zeros_like(ray.rival),
        )  # fmt: skip
        return Retire(state, ~ray.found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        move = torch.where(s.same, -1.0, thompson(t, k, s.a, s.b)).argmax(1)
        radius = inside(t, s.high, s.share)
        trial = self.propose(t, s, k, move, radius)
        same = ~differs(trial, s.sign)
        a = yield Ask(t.x0 + rows(radius, s.sign) * trial, mask=~same & (radius > 0), part=FIRST_MOVE + move)
        this, held = torch.nn.functional.one_hot(move, len(MOVES)).bool(), a.adv[:, None]
        return self.State(
            sign=choose(a.adv, trial, s.sign),
            high=torch.where(a.adv, radius, s.high),
            share=torch.where(a.adv, self.grow * s.share, self.fall * s.share).clamp(0.005, 0.2),
            rival=named(a, s.rival),
            a=s.a + (this & held),
            b=s.b + (this & ~held),
            same=(s.same | (this & same[:, None])) & ~held,
            signs=s.signs,
            aims=s.aims,
            drawn=s.drawn + 1,
        )

    def propose(self, t: Task, s: State, k: int, move: Tensor, radius: Tensor) -> Tensor:
        """The signs [n, \\*shape] that each row's move makes of its best."""
        borrowed = candidate(t, k, s.signs, (s.aims == s.rival[:, None]) & (move == Move.RIVAL)[:, None])
        new = choose(move == Move.COLOUR, colour(t, k), borrowed.to(s.sign))
        window = shrinking_windows(t, k, s.drawn)
        trial = choose(move == Move.FLIPS, flips(t, k, s.sign), replaced(t, s.sign, window, new))
        if bool((on := move == Move.AIMED).any()):
            trial[on] = aimed(t.take(on.numpy(force=True)), self.known, k, s.sign[on], radius[on], s.rival[on])
        return trial
