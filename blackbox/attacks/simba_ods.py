"""SimBA-ODS (Tashiro, Song & Ermon 2020, arXiv:2003.06878)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.prior import Guided, Prior
from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.rowwise import choose, differs


@dataclass(frozen=True)
class UpOrDown(Guided):
    """What SimBA-ODS and GFCS share: one fixed step along a direction, or else back along it, kept when the loss rises.

    step_size: in L2 a length in units of the image range, 0.2 (SimBA's, which the paper keeps); in Linf a share of eps, 0.5
    (ours).
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("L2", "Linf")

    step_size: float | None = None

    def __post_init__(self) -> None:
        if self.step_size is not None and not self.step_size > 0:
            raise ValueError(f"Expected step_size > 0, but it was {self.step_size}.")

    def either(self, t: Task, x: Tensor, loss: Tensor, u: Tensor) -> Steps[tuple[Tensor, Tensor]]:
        """A step from ``x`` along ``u``, against it where that does not raise the loss: the better points and their
        losses. What would not move at all is not paid for."""
        linf = t.threat.norm == "Linf"
        size = (0.5 if linf else 0.2) if self.step_size is None else self.step_size
        move, todo = (size * t.radius if linf else size) * u, torch.ones(t.n, dtype=torch.bool, device=x.device)
        for way in (move, -move):
            new = t.project(x + way)
            a = yield Ask(new, mask=todo & differs(new, x))
            better = a.loss > loss
            x, loss, todo = choose(better, a.x, x), torch.where(better, a.loss, loss), todo & ~better
        return x, loss


@dataclass(frozen=True)
class SimBAODS(UpOrDown):
    """SimBA along output-diversified directions: the gradient of a random combination of one surrogate's outputs, with
    weights uniform in [-1, 1] and a surrogate drawn afresh each step; up or else down, kept when the loss rises.

    Departs from the paper: points are projected into the threat; Linf is served too (the direction's sign); the
    combination is of the logits, as in the paper's sampling for attacks with scores.

    Args:
        prior: `surrogates.prior(nets)`. step_size: see `UpOrDown`.
    """

    @dataclass
    class State:
        x: Tensor
        loss: Tensor

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        net = torch.from_numpy((t.rng.uniform_array(k, "net", 1)[:, 0] * self.known.members).astype(np.int64))
        u = t.threat.steepest(diversified(t, self.known, s.x, k, net.to(s.x.device)))
        x, loss = yield from self.either(t, s.x, s.loss, u)
        return self.State(x, loss)


def diversified(t: Task, prior: Prior, x: Tensor, k: int, net: Tensor) -> Tensor:
    """[n, \\*shape] gradients of random combinations of the outputs of member ``net`` [n] (equation 3)."""
    weight = 2 * t.rng.uniform(k, "outputs", prior.classes) - 1

    def pull(scores: Tensor, at: Tensor) -> Tensor:
        v = torch.zeros_like(scores)
        v[torch.arange(len(at), device=v.device), net[at]] = weight[at].to(v)
        return v

    return prior.gradient(x, pull)
