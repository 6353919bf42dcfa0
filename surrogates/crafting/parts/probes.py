"""Probes: at which points near x the gradient is taken, and how the gradients there are combined.

``Ahead``: one point, moved. ``Probe``: several points. ``Aggregate``: the gradient at the point and that of the probe as one.
``alpha`` is the step size, ``m`` the momentum, ``hat(g)`` = g / mean|g| (see `Walk.hat` for norms other than Linf).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from blackbox.rowwise import row_dot, row_norm, rows
from surrogates.crafting.ball import move
from surrogates.crafting.parts.base import Part, Parts

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Ahead(Part):
    """Base class: ``__call__(walk) -> point`` [n, \\*shape] at which the gradient is wanted instead of ``walk.x``."""

    slot: ClassVar[str] = "ahead"


@dataclass(frozen=True)
class LookAhead(Ahead):
    """x + alpha * mu * m, where the momentum alone would lead (NI; Lin et al. 2020, arXiv:1908.06281, eq. 6)."""

    def __call__(self, walk: Walk) -> Tensor:
        momentum = walk.parts.one("momentum")
        return walk.x + walk.step * momentum.decay * momentum.unit(walk) * walk.m

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        momentum = parts.one("momentum")
        if momentum is None or momentum.norm == "none":
            raise ValueError(
                "Expected a Momentum of normalised gradients beside LookAhead, which looks along it, but there was "
                f"{momentum or 'none'}. Add Momentum(), or take PreGradient()."
            )


@dataclass(frozen=True)
class PreGradient(Ahead):
    """x + factor * alpha * hat(g), g the gradient of the step before (PI; Wang et al. 2021, arXiv:2103.10609)."""

    factor: float = 1.0

    def __call__(self, walk: Walk) -> Tensor:
        return walk.x + self.factor * walk.step * walk.last


@dataclass(frozen=True)
class Probe(Part):
    """Base class: ``__call__(walk, at) -> gradient`` [n, \\*shape] around the points ``at``, from as many gradients of
    ``walk.field`` as `calls` says (`Walk.gradient`, `Walk.gradients`, `Walk.mean`)."""

    slot: ClassVar[str] = "probe"


@dataclass(frozen=True)
class Neighbourhood(Probe):
    """The mean over ``count`` points uniform in a ball ``beta`` times the threat's around ``at``."""

    count: int = 20
    beta: float = 1.5

    def calls(self, k: int, steps: int) -> int:
        return self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        return walk.mean((at + walk.ball(f"neighbour {j}", self.beta) for j in range(self.count)), "neighbour")


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


@dataclass(frozen=True)
class Aggregate(Part):
    """Base class: ``__call__(walk, at, probe) -> gradient``; takes one gradient at ``at`` beside the probe's."""

    slot: ClassVar[str] = "aggregate"

    def total(self, points: int, k: int, steps: int) -> int:
        """Gradients a row at step ``k``, ``points`` of them the probe's."""
        return points + 1


@dataclass(frozen=True)
class Variance(Aggregate):
    """g + v, v the difference between neighbours' mean and point at the step before (VMI; Wang & He 2021,
    arXiv:2103.15571, eq. 6-7). The neighbours lie around x itself, whatever looks ahead for g."""

    def total(self, points: int, k: int, steps: int) -> int:
        return points + 1 if k < steps - 1 else 1  # nobody would see the last step's variance

    def __call__(self, walk: Walk, at: Tensor, probe: Probe) -> Tensor:
        g = walk.gradient(at)
        before = walk.kept.get("aggregate", torch.zeros_like(g))
        walk.kept["aggregate"] = probe(walk, walk.x) - g if walk.k < walk.steps - 1 else before
        return g + before


@dataclass(frozen=True)
class Cosine(Aggregate):
    """s * g + (1 - s) * mean of the neighbours, s the cosine between the two (GRA; Zhu et al. 2023)."""

    def __call__(self, walk: Walk, at: Tensor, probe: Probe) -> Tensor:
        g = walk.gradient(at)
        near = probe(walk, at)
        s = row_dot(g, near) / (row_norm(g) * row_norm(near)).clamp_min(1e-30)
        return rows(s, g) * g + rows(1 - s, g) * near
