"""Hybrid where the target shows labels alone (this project's own)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.attacks.stripes import grid
from blackbox.candidates.opening import opening
from blackbox.prior import Guided
from blackbox.protocol import Access, Ask, Retire, Steps, Task
from blackbox.rowwise import choose, differs, row_norm, rows


@dataclass(frozen=True)
class HybridLabels(Guided):
    """All full-ball candidates first; then a search over sign vectors for the ray with the nearest boundary, as RayS
    (arXiv:2006.12792) does, from the first candidate's signs: a move replaces a window of them by one colour, or by the
    signs of a class's candidate. A new vector is tried at ``inside`` times the best radius; one that holds is tried at
    eps, then bisected. One query a step.

    Args:
        prior: `surrogates.prior(nets)`. inside: 0.98. tolerance: of the bisection, as a share of the radius: 0.05 (both of
            the project's measurements). borrow: share of the windows that take a candidate's signs; tries: random corners
            of the box for a start, where no candidate's ray has one (both ours).
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    minimises: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("start", "static", "outward", "window, colour", "window, candidate")

    inside: float = 0.98
    tolerance: float = 0.05
    borrow: float = 0.5
    tries: int = 16

    @dataclass
    class State:
        sign: Tensor  # [n, *shape] of the best ray
        low: Tensor  # [n] not adversarial on that ray
        high: Tensor  # [n] adversarial on that ray: the best radius so far
        fresh: Tensor  # [n] bool: just found, to be tried at eps
        part: Tensor  # [n] int64 who found it
        signs: Tensor  # [n, slots, *shape] int8 of the candidates
        drawn: Tensor  # [n] int64 moves so far

    def init(self, t: Task) -> Steps[Retire]:
        first = yield from opening(t, self.known, everything=True)
        assert first.bank is not None
        delta = first.x - t.x0
        # beside what did not change, the ray goes up: a sign has to be one of two
        sign = torch.where(delta < 0, -1.0, 1.0)
        width, part = t.threat.upper - t.threat.lower, torch.full((t.n,), 2, device=sign.device)
        reach, found = row_norm(delta, torch.inf), torch.zeros_like(first.adv)
        low = torch.where(first.adv, 0.0, reach)
        high = torch.where(first.adv, reach, (2 * reach).clamp(1e-3, width))
        while bool((todo := ~found & (low < width)).any()):
            a = yield Ask(t.x0 + rows(high, sign) * sign, mask=todo, part=part)
            found, missed = found | a.adv, todo & ~a.adv
            low, high = torch.where(missed, high, low), torch.where(missed, (2 * high).clamp_max(width), high)
        made = first.bank.made.view(*first.bank.made.shape, *[1] * len(t.shape))
        signs = torch.where(made, (first.bank.images - t.x0[:, None]).sign(), 0.0).to(torch.int8)
        others = signs.shape[1]
        for i in range(others + self.tries if bool((~found).any()) else 0):
            # the ray leads nowhere: those of the other candidates, then corners of the box
            if i < others:
                trial, far, able = torch.where(signs[:, i] < 0, -1.0, 1.0), min(4 * t.eps, width), first.bank.made[:, i]
            else:
                trial, far, able = t.rng.signs(i - others, "corner", t.shape), width, ~found
            a = yield Ask(t.x0 + far * trial, mask=~found & able, part=part)
            sign, low, high = choose(a.adv, trial, sign), torch.where(a.adv, 0.0, low), torch.where(a.adv, far, high)
            found = found | a.adv
        return Retire(self.State(sign, low, high, torch.zeros_like(found), part, signs, torch.zeros_like(part)), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        bisecting = ~s.fresh & (s.high - s.low > self.tolerance * s.high)
        moving = ~s.fresh & ~bisecting
        trial, part = self.move(t, s, k)
        sign = choose(moving, trial, s.sign)
        radius = torch.where(
            moving, self.inside * s.high, torch.where(s.fresh, torch.full_like(s.high, t.eps), (s.low + s.high) / 2)
        )
        part = torch.where(moving, part, s.part)
        a = yield Ask(t.x0 + rows(radius, sign) * sign, mask=radius > 0, part=part)
        missed = a.paid & ~a.adv
        return self.State(
            sign=choose(a.adv, sign, s.sign),
            low=torch.where(moving, torch.where(a.adv, 0.0, s.low), torch.where(missed, radius, s.low)),
            high=torch.where(a.adv, radius, s.high),
            fresh=moving & a.adv & (self.inside * s.high > t.eps),
            part=torch.where(a.adv, part, s.part),
            signs=s.signs,
            drawn=s.drawn + moving,
        )

    def move(self, t: Task, s: State, k: int) -> tuple[Tensor, Tensor]:
        """The best signs with a window replaced, and which part proposed it."""
        c, h, w = grid(t)
        draw = t.rng.uniform_array(k, "window", 5 + c)
        levels = max(1, int(np.log2(max(h, w))))
        # half the image at first, finer the more moves a row has made, with a scatter of one level
        level = np.minimum(s.drawn.numpy(force=True) / 40 + 2 * draw[:, 2], levels).astype(np.int64)
        on = np.ones((t.n, 1), bool)
        for length, at in ((h, draw[:, 0]), (w, draw[:, 1])):
            side = np.maximum(length >> (1 + level), 1)
            first = (at * (length - side + 1)).astype(np.int64)
            place = np.arange(length) - first[:, None]
            axis = (place >= 0) & (place < side[:, None])
            on = (on[:, :, None] & axis[:, None]).reshape(t.n, -1)
        inside = torch.from_numpy(on.reshape(t.n, 1, h, w)).to(t.x0.device)
        slot = torch.from_numpy((draw[:, 3] * s.signs.shape[1]).astype(np.int64)).to(t.x0.device)
        borrowed = s.signs[torch.arange(t.n, device=slot.device), slot].view(t.n, c, h, w).to(s.sign)
        now = s.sign.view(t.n, c, h, w)
        colour = torch.from_numpy(np.where(draw[:, 5:] < 0.5, np.float32(1), np.float32(-1))).to(t.x0.device)[
            :, :, None, None
        ]
        borrows = torch.from_numpy(draw[:, 4] < self.borrow).to(t.x0.device)
        new = choose(borrows, torch.where(borrowed == 0, now, borrowed), colour.expand_as(now))
        moved = torch.where(inside, new, now)
        moved = torch.where(
            rows(~differs(moved, now), now) & inside, -now, moved
        )  # a move has to change something
        return moved.view_as(s.sign), 3 + borrows.long()
