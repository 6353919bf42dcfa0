"""SimBA-ODS (Tashiro, Song & Ermon 2020, arXiv:2003.06878)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.candidates.craft import reach
from blackbox.prior import Prior
from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.rowwise import rows


@dataclass(frozen=True)
class SimBAODS:
    """SimBA along output-diversified directions: the gradient of a random combination of one surrogate's outputs, with
    weights uniform in [-1, 1] and a surrogate drawn afresh each step; up or else down, kept when the loss rises.

    Departs from the paper: points are projected into the threat; Linf is served too (the direction's sign); the
    combination is of the logits, as in the paper's sampling for attacks with scores.

    Args:
        prior: `surrogates.prior(nets)`. step_size: in L2 a length in units of the image range, 0.2 (SimBA's, which the
            paper keeps); in Linf a share of eps, 0.5 (4/255 at 8/255: the project's measurements).
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("L2", "Linf")
    informed: ClassVar[bool] = True
    needs_prior: ClassVar[bool] = True

    prior: Prior | None = None
    step_size: float | None = None

    def __post_init__(self) -> None:
        if self.step_size is not None and not self.step_size > 0:
            raise ValueError(f"Expected step_size > 0, but it was {self.step_size}.")

    @dataclass
    class State:
        x: Tensor
        loss: Tensor

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        assert self.prior is not None
        net = torch.from_numpy((t.rng.uniform_array(k, "net", 1)[:, 0] * self.prior.members).astype(np.int64))
        u = t.threat.steepest(diversified(t, self.prior, s.x, k, net.to(s.x.device)))
        x, loss = yield from up_or_down(t, s.x, s.loss, length(t, self.step_size) * u)
        return self.State(x, loss)


def length(t: Task, step_size: float | None) -> float:
    """Of a step, in the threat's norm."""
    if t.threat.norm == "Linf":
        return (0.5 if step_size is None else step_size) * reach(t)
    return 0.2 if step_size is None else step_size


def diversified(t: Task, prior: Prior, x: Tensor, k: int, net: Tensor) -> Tensor:
    """[n, \\*shape] gradients of random combinations of the outputs of member ``net`` [n] (equation 3)."""
    weight = 2 * t.rng.uniform(k, "outputs", prior.classes) - 1

    def pull(scores: Tensor, at: Tensor) -> Tensor:
        v = torch.zeros_like(scores)
        v[torch.arange(len(at), device=v.device), net[at]] = weight[at].to(v)
        return v

    return prior.gradient(x, pull)


def up_or_down(t: Task, x: Tensor, loss: Tensor, move: Tensor) -> Steps[tuple[Tensor, Tensor]]:
    """``x + move``, or ``x - move`` where that does not raise the loss: the better points and their losses. What would not
    move at all is not paid for."""
    todo = torch.ones(t.n, dtype=torch.bool, device=x.device)
    for way in (move, -move):
        new = t.project(x + way)
        a = yield Ask(new, mask=todo & (new != x).flatten(1).any(1))
        better = a.loss > loss
        x, loss, todo = torch.where(rows(better, x), a.x, x), torch.where(better, a.loss, loss), todo & ~better
    return x, loss
