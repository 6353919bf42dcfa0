"""GFCS (Lord, Mueller & Bertinetto 2022, arXiv:2110.01268)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.attacks.simba_ods import UpOrDown, diversified
from blackbox.candidates.craft import CraftGoal, slope
from blackbox.protocol import Steps, Task


@dataclass(frozen=True)
class GFCS(UpOrDown):
    """Gradient first, coimage second: the margin gradient of a surrogate not tried at this point yet, up or else down;
    when all of them have failed, output-diversified directions (SimBA-ODS), until one raises the loss and the
    surrogates' gradients are worth a try again.

    Departs from the paper: the rival class of the margin is the surrogate's own, not the target's; Linf is served too
    (the direction's sign); points are projected into the threat.

    Args:
        prior: `surrogates.prior(nets)`. step_size: see `UpOrDown`.
    """

    @dataclass
    class State:
        x: Tensor
        loss: Tensor
        left: Tensor  # [n, M] members whose gradient was not tried at this point

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0, torch.ones(t.n, self.known.members, dtype=torch.bool, device=t.x0.device))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        m = self.known.members
        draw = t.rng.uniform(k, "net", m)
        first = s.left.any(1)
        net = torch.where(s.left | ~first[:, None], draw, -1.0).argmax(1)
        alone = torch.nn.functional.one_hot(net, m).to(s.x)
        g = self.gradients(t, s, k, net, alone, first)
        x, loss = yield from self.either(t, s.x, s.loss, t.threat.steepest(g))
        left = s.left & ~(first[:, None] & alone.bool())
        return self.State(x, loss, left | (loss > s.loss)[:, None])

    def gradients(self, t: Task, s: State, k: int, net: Tensor, alone: Tensor, first: Tensor) -> Tensor:
        """The margin's where ``first`` [n], else the diversified direction, each row's through its own member."""
        assert t.goal is not None
        g = torch.zeros_like(s.x)
        for kind in (first, ~first):
            if bool(kind.any()):
                part = t.take(kind.numpy(force=True))
                x = s.x[kind]
                made = (
                    slope(self.known, x, CraftGoal.of(part, alone[kind]))
                    if kind is first
                    else diversified(part, self.known, x, k, net[kind])
                )
                g[kind] = made
        return g
