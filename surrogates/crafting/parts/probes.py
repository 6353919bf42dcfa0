"""Probes: the points near x at which gradients are taken, and how these gradients are combined.

``Ahead`` moves the point; ``Probe`` uses several points around it; ``Aggregate`` combines the gradient at the point with
the probe's gradient.
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
from surrogates.crafting.kept import around
from surrogates.crafting.parts.base import Part, Parts

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Ahead(Part):
    """Base class: ``__call__(walk) -> point`` [n, \\*shape], where the gradient is taken instead of at ``walk.x``."""

    slot: ClassVar[str] = "ahead"


@dataclass(frozen=True)
class LookAhead(Ahead):
    """The point the momentum alone would lead to, x + alpha * mu * m (NI; Lin et al. 2020, arXiv:1908.06281, eq. 6)."""

    def __call__(self, walk: Walk) -> Tensor:
        momentum = walk.parts.one("momentum")
        return walk.x + walk.step * momentum.decay * momentum.unit(walk) * walk.m

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        momentum = parts.one("momentum")
        if momentum is None or momentum.norm == "none":
            raise ValueError(
                "Expected a Momentum of normalised gradients beside LookAhead, which steps along it, but there was "
                f"{momentum or 'none'}. Add Momentum(), or take PreGradient()."
            )


@dataclass(frozen=True)
class PreGradient(Ahead):
    """The point one step along the previous gradient g, x + factor * alpha * hat(g) (PI; Wang et al. 2021,
    arXiv:2103.10609)."""

    factor: float = 1.0

    def __call__(self, walk: Walk) -> Tensor:
        return walk.x + self.factor * walk.step * walk.last


@dataclass(frozen=True)
class Probe(Part):
    """Base class: ``__call__(walk, at) -> gradient`` [n, \\*shape], combined from `calls` gradients around the points ``at``
    (taken with `Walk.gradient`, `Walk.gradients` or `Walk.mean`)."""

    slot: ClassVar[str] = "probe"


@dataclass(frozen=True)
class Neighbourhood(Probe):
    """The mean gradient over ``count`` uniform points in a ball around ``at``, ``beta`` times as large as the threat's."""

    count: int = 20
    beta: float = 1.5

    def calls(self, k: int, steps: int) -> int:
        return self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        return walk.mean((at + walk.ball(f"neighbour {j}", self.beta) for j in range(self.count)), "neighbour")


@dataclass(frozen=True)
class Line(Probe):
    """The mean gradient along the previous gradient g, at x + c * alpha * hat(g), with ``count`` values of c spread evenly
    from -reach to reach (EMI; Wang et al. 2021, arXiv:2103.10609: 11 and 7)."""

    count: int = 11
    reach: float = 7.0

    def calls(self, k: int, steps: int) -> int:
        return self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        along = walk.step * walk.last
        return walk.mean((at + c * along for c in torch.linspace(-self.reach, self.reach, self.count).tolist()), "line")


@dataclass(frozen=True)
class Pair(Probe):
    """Penalises the gradient's norm: averages the gradient at neighbours x' and one step below them.

    (1 - gamma) * g(x') + gamma * g(x' - alpha * hat(g(x'))) (PGN; Ge et al. 2023, arXiv:2306.05225, algorithm 1: 20
    neighbours, radius 3 eps, gamma = 0.5)."""

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
    """The gradient at the neighbour with the smallest loss, found by ``inner`` descent steps of ``step`` * eps.

    The descent starts from a random point of a ball ``reach`` times the threat's (RAP; Qin et al. 2022, arXiv:2210.05968:
    8 steps of 2/255 for 16/255). It is used only after a share ``late`` of the steps (RAP-LS: 100 of 400)."""

    inner: int = 8
    reach: float = 1.0
    step: float = 1 / 8
    late: float = 0.25

    def calls(self, k: int, steps: int) -> int:
        return self.inner + 1 if k >= self.late * steps else 1

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        if walk.k < self.late * walk.steps:
            return walk.gradient(at)
        ball = around(walk.threat, self.reach * walk.threat.eps, at)
        n = ball.project(at + walk.ball("worst", self.reach), at)
        for j in range(self.inner):
            down = -walk.gradient(n, f"worst {j}")
            n = ball.project(n + move(ball, down, n, self.step * walk.threat.eps), at)
        return walk.gradient(n)


@dataclass(frozen=True)
class Conditional(Probe):
    """The mean gradient over neighbours that are each shifted along a direction of their own.

    Neighbour j is x + U(+-gamma eps) + xi * eps * p_j, and p_j <- hat(g_j) - decay * p_j (MEF; Qiu et al. 2024,
    arXiv:2405.16181: 20, 2, 0.15, 0.9). The directions are kept between steps, so memory grows with ``count``.
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
    """Base class: ``__call__(walk, at, probe) -> gradient``, which combines the gradient at ``at`` with the probe's."""

    slot: ClassVar[str] = "aggregate"

    def total(self, points: int, k: int, steps: int) -> int:
        """The number of gradients an image at step ``k``, of which the probe takes ``points``."""
        return points + 1


@dataclass(frozen=True)
class Variance(Aggregate):
    """Variance tuning: g + v, with v the neighbours' mean gradient minus the point's at the previous step (VMI; Wang & He
    2021, arXiv:2103.15571, eq. 6-7). The neighbours lie around x itself, even if g is taken at a look-ahead point."""

    def total(self, points: int, k: int, steps: int) -> int:
        return points + 1 if k < steps - 1 else 1  # the last step's variance would not be used

    def __call__(self, walk: Walk, at: Tensor, probe: Probe) -> Tensor:
        g = walk.gradient(at)
        before = walk.kept.get("aggregate", torch.zeros_like(g))
        walk.kept["aggregate"] = probe(walk, walk.x) - g if walk.k < walk.steps - 1 else before
        return g + before


@dataclass(frozen=True)
class Cosine(Aggregate):
    """Weighs the gradient g and the neighbours' mean by their cosine s: s * g + (1 - s) * mean (GRA; Zhu et al. 2023)."""

    def __call__(self, walk: Walk, at: Tensor, probe: Probe) -> Tensor:
        g = walk.gradient(at)
        near = probe(walk, at)
        s = row_dot(g, near) / (row_norm(g) * row_norm(near)).clamp_min(1e-30)
        return rows(s, g) * g + rows(1 - s, g) * near
