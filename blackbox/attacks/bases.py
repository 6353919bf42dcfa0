"""BASES (Cai, Song, Krishnamurthy, Roy-Chowdhury & Asif 2022, arXiv:2208.03610)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.candidates.craft import CraftGoal, craft
from blackbox.prior import Guided
from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.rowwise import choose, row_sum


@dataclass(frozen=True)
class BASES(Guided):
    """A search over the weights of an ensemble: an adversarial example a query, on weights moved one at a time.

    The first query is for even weights. Then a step takes the next member in turn, moves its weight up and down by
    ``rate``, and keeps what the target likes best of the two examples made with these weights and the best so far.

    Departs from the paper: the members' logits are weighted, not their losses; examples are made from the best point (the
    paper's warm start) by ten plain steps of 3 eps / 10. One member has nothing to weigh: then it ends after the start.

    Args:
        prior: `surrogates.prior(nets)`, of several nets. rate: 0.005 in the paper for 10 to 20 members; 0.1 here for a few
            (ours). steps, step_size: of an example; the latter a share of eps (ours).
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    rate: float = 0.1
    steps: int = 10
    step_size: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1 or self.steps < 1 or not self.step_size > 0:
            raise ValueError(
                "Expected rate in (0, 1), steps of at least 1 and step_size > 0, but they were "
                f"{self.rate}, {self.steps} and {self.step_size}."
            )

    @dataclass
    class State:
        x: Tensor
        loss: Tensor
        weights: Tensor  # [n, M]

    def init(self, t: Task) -> Steps[State]:
        weights = torch.full((t.n, self.known.members), 1 / self.known.members, device=t.x0.device)
        a = yield Ask(craft(t, self.known, t.x0, CraftGoal.of(t, weights), self.steps, self.step_size))
        return self.State(a.x, a.loss, weights)

    def step(self, t: Task, s: State, k: int) -> Steps[State | None]:
        m = self.known.members
        if m == 1:
            return None
        best, loss, weights = s.x, s.loss, s.weights
        for way in (self.rate, -self.rate):
            tried = s.weights.clone()
            tried[:, k % m] = (tried[:, k % m] + way).clamp_min(0)
            tried = tried / row_sum(tried)[:, None].clamp_min(1e-12)
            new = craft(t, self.known, s.x, CraftGoal.of(t, tried), self.steps, self.step_size)
            a = yield Ask(new)
            better = a.loss > loss
            best, loss = choose(better, a.x, best), torch.where(better, a.loss, loss)
            weights = torch.where(better[:, None], tried, weights)
        return self.State(best, loss, weights)
