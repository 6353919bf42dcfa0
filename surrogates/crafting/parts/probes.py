"""Probes: at which points near the walk's place the gradient is taken. Ahead: one point, moved. Probe: several points.

``alpha`` is the step size, ``m`` the momentum, ``hat(g)`` = g / mean|g| (see `Walk.hat` for norms other than Linf).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from surrogates.crafting.parts.base import Part, Parts

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Ahead(Part):
    """Base class: ``__call__(walk) -> point`` [n, \\*shape] at which the gradient is wanted instead of ``walk.x``."""

    slot: ClassVar[str] = "ahead"

    def __call__(self, walk: Walk) -> Tensor:
        raise NotImplementedError


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

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Neighbourhood(Probe):
    """The mean over ``count`` points uniform in a ball ``beta`` times the threat's around ``at``."""

    count: int = 20
    beta: float = 1.5

    def calls(self, k: int, steps: int) -> int:
        return self.count

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        return walk.mean((at + walk.ball(f"neighbour {j}", self.beta) for j in range(self.count)), "neighbour")
