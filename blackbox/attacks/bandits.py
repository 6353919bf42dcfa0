"""Bandits-TD (Ilyas, Engstrom & Madry 2019, arXiv:1807.07978)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.estimators.probes import Own, probe_size
from blackbox.proposals.tiles import widen
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose, rows, tanh, unit

_MOST = 7.0  # tanh(7) = 1 - 2e-6


@dataclass(frozen=True)
class Bandits(Attack):
    """A guess of the gradient that two queries a step correct, kept over time and by tile.

    The guess is explored in two opposite directions; the difference of the losses moves it, by exponentiated gradients
    in Linf and by plain steps in L2. Then the point moves along it. Where a probe turns out adversarial, its projection
    into the threat is proposed for a third query; no other step pays for a success check.

    Args:
        tiles: tiles a side: 50 from 128 pixels on (the authors' configuration, ImageNet); below, 20 in colour and 8 in
            grey (ours, chosen on images other than those reported on).
        probe: Euclidean length of a probe in units of the image range: 0.1 in Linf, 0.01 in L2 (there).
        exploration: how far the two guesses lie from the one in between: 1 in Linf, 0.01 in L2 (there).
        prior_rate: step of the guess: 100 in Linf, 0.1 in L2 (there).
        rate: step of the point as a share of eps: 0.2 in Linf, 0.1 in L2 (there: 0.01 at 0.05, and 0.5 at 5).

    Departs from the paper: the authors look at the point after each step without charge; here a success shows at a
    probe, and only then is a point inside the threat paid for. Steps are shares of eps. On a target that sees 8 bits
    the probe is enlarged until it is seen.

    Needs: scores, or at least the top k. State: x [n, \\*shape], prior [n, channels, tiles down, tiles across].
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    tiles: int | None = None
    probe: float | None = None
    exploration: float | None = None
    prior_rate: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        given = (self.tiles, self.probe, self.exploration, self.prior_rate, self.rate)
        if not all(v is None or v > 0 for v in given):
            raise ValueError(f"Expected tiles, probe, exploration, prior_rate and rate above 0, but they were {given}.")

    @dataclass
    class State:
        x: Tensor
        guess: Tensor

    def init(self, t: Task) -> State:
        c, h, w = t.grid
        side = self.tiles or (50 if min(h, w) >= 128 else 20 if c > 1 else 8)
        return self.State(t.x0, t.x0.new_zeros(t.n, c, min(side, h), min(side, w)))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        linf = t.threat.norm == "Linf"
        exploration = self.exploration or (1.0 if linf else 0.01)
        root = t.d**0.5
        length = probe_size(t, (self.probe or (0.1 if linf else 0.01)) / root, root) * root
        prior = tanh(s.guess) if linf else s.guess
        u = t.rng.normal(k, "exploration", tuple(prior.shape[1:])) * (exploration / prior[0].numel() ** 0.5)
        ends = (unit(widen(torch.cat([prior + u, prior - u]), t)) * length).view(2, t.n, *t.shape)
        a = yield Ask(s.x, u=Own(2, lambda row, index: ends[index, row]))
        slope = (a.loss[:, 0] - a.loss[:, 1]) / (length * exploration)
        g = rows(torch.where(a.paid.all(1), slope, torch.zeros_like(slope)), u) * u
        hit = a.adv.any(1)
        if bool(hit.any()):
            yield Ask(s.x + choose(a.adv[:, 0], ends[0], ends[1]), mask=hit)
        rate = (self.rate or (0.2 if linf else 0.1)) * t.radius
        guess = s.guess + (self.prior_rate or (100.0 if linf else 0.1)) * g
        if linf:
            guess = guess.clamp(-_MOST, _MOST)  # else tanh is flat and the guess can never be corrected
        move = t.threat.steepest(widen(guess, t))  # the sign of the guess is that of the prior
        return self.State(t.project(s.x + rate * move), guess)
