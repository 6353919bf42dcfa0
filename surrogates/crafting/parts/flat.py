"""Probes that look for a flat place: along a line (EMI), in pairs (PGN), at the worst neighbour (RAP), where the last
gradients said it would be worst (MEF)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from surrogates.crafting.ball import move
from surrogates.crafting.parts.probes import Probe

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Line(Probe):
    """The mean over x + c * alpha * hat(g), g the gradient of the step before and c = ``count`` numbers evenly from -reach
    to reach (EMI; Wang et al. 2021, arXiv:2103.10609: 11 and 7)."""

    count: int = 11
    reach: float = 7.0

    def calls(self, k: int, steps: int) -> int:
        return self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        along = walk.step * walk.last
        return walk.mean((at + c * along for c in torch.linspace(-self.reach, self.reach, self.count).tolist()), "line")


@dataclass(frozen=True)
class Pair(Probe):
    """The mean over neighbours x' of (1 - gamma) * g(x') + gamma * g(x' - alpha * hat(g(x'))), which takes the gradient's own
    growth away (PGN; Ge et al. 2023, arXiv:2306.05225, algorithm 1: 20 neighbours, radius 3 eps, gamma = 0.5)."""

    count: int = 20
    beta: float = 3.0
    gamma: float = 0.5

    def calls(self, k: int, steps: int) -> int:
        return self.count * (2 if self.gamma else 1)

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        first, second, near = torch.zeros_like(at), torch.zeros_like(at), deque[Tensor]()

        def neighbours() -> Iterator[Tensor]:
            for j in range(self.count):
                near.append(at + walk.ball(f"neighbour {j}", self.beta))
                yield near[-1]

        def lower() -> Iterator[Tensor]:
            for g in walk.gradients(neighbours(), "first"):
                first.add_(g)
                yield near.popleft() - walk.step * walk.hat(g)

        if not self.gamma:
            return walk.mean(neighbours(), "first")
        for g in walk.gradients(lower(), "second"):
            second.add_(g)
        return ((1 - self.gamma) * first + self.gamma * second) / self.count


@dataclass(frozen=True)
class Worst(Probe):
    """The gradient at x + n, n the neighbour at which the loss is smallest: ``inner`` steps of ``step`` * eps down from a random
    point of a ball ``reach`` times the threat's (RAP; Qin et al. 2022, arXiv:2210.05968: 8 steps of 2/255 for 16/255).
    It begins after a share ``late`` of the steps (RAP-LS: 100 of 400)."""

    inner: int = 8
    reach: float = 1.0
    step: float = 1 / 8
    late: float = 0.25

    def calls(self, k: int, steps: int) -> int:
        return self.inner + 1 if k >= self.late * steps else 1

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        if walk.k < self.late * walk.steps:
            return walk.gradient(at)
        ball = type(walk.threat)(self.reach * walk.threat.eps, walk.threat.lower, walk.threat.upper)
        n = ball.project(at + walk.ball("worst", self.reach), at)
        for j in range(self.inner):
            down = -walk.gradient(n, f"worst {j}")
            n = ball.project(n + move(ball, down, n, self.step * walk.threat.eps), at)
        return walk.gradient(n)


@dataclass(frozen=True)
class Conditional(Probe):
    """The mean over x + U(+-gamma eps) + xi * eps * p_j, where each neighbour j has a direction of its own that follows its
    gradients: p_j <- hat(g_j) - decay * p_j (MEF; Qiu et al. 2024, arXiv:2405.16181: 20, 2, 0.15, 0.9).

    The only probe whose memory grows with ``count``: the directions are kept from step to step.
    """

    count: int = 20
    gamma: float = 2.0
    xi: float = 0.15
    decay: float = 0.9

    def calls(self, k: int, steps: int) -> int:
        return self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        total = torch.zeros_like(at)
        kept = walk.kept.setdefault("probe", [torch.zeros_like(at) for _ in range(self.count)])
        points = (
            at + walk.ball(f"neighbour {j}", self.gamma) + self.xi * walk.threat.eps * kept[j]
            for j in range(self.count)
        )
        for j, g in enumerate(walk.gradients(points, "conditional")):
            kept[j] = walk.hat(g) - self.decay * kept[j]
            total += g
        return total / self.count
