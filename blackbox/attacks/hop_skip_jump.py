"""HopSkipJump (Chen, Jordan & Wainwright 2020, arXiv:1904.02144)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.estimators import boundary
from blackbox.proposals.bases import Basis
from blackbox.proposals.noise import Noise, check_shape, named
from blackbox.protocol import Access, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, row_norm, rows


@dataclass(frozen=True)
class HopSkipJump(Attack):
    """From boundary point to boundary point: normal, jump, way back. Algorithm 2.

    A step estimates the boundary's normal from ``evals * sqrt(k + 1)`` labels, jumps along it by
    ``distance / sqrt(k + 1)``, halved until the jump ends on the adversarial side, and bisects towards the original.

    Departs from the paper: gamma is 10 (chosen on images and a net other than those reported on) and probes never get
    smaller than float32 networks (or 8-bit inputs) can tell; directions are normal in Linf too (the authors' code draws
    them uniform there); a jump that never lands leaves the point where it is; a start may be given.

    Args:
        evals: labels for the first normal: 100 (section 5.1). most_evals: never more than this (authors' code: 10,000).
        gamma: probe radius and precision of the bisection, in multiples of d**-1.5 (L2) or d**-2 (Linf): the paper
            has 1 for CIFAR-10 and the authors of Tangent Attack 1,000 for ImageNet.
        halvings: tries of a jump. tries: noise images for a start, see `blackbox.search.start`.
        noise: ``white``; ``dct`` or ``resize`` for low frequencies; a basis of `blackbox.bases`. share: of each side
            of the image that ``dct`` and ``resize`` keep.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L2", "Linf")
    minimises: ClassVar[bool] = True

    evals: int = 100
    most_evals: int = 10_000
    gamma: float = 10.0
    halvings: int = 20
    tries: int = search.TRIES
    noise: str | Noise | Basis = "white"
    share: float = 0.25

    def __post_init__(self) -> None:
        named(self.noise, self.share)
        if min(self.evals, self.most_evals, self.halvings, self.tries) < 1 or not self.gamma > 0:
            raise ValueError(
                "Expected evals, most_evals, halvings and tries of at least 1 and gamma > 0, but they were "
                f"{self.evals}, {self.most_evals}, {self.halvings}, {self.tries} and {self.gamma}."
            )

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        check_shape(named(self.noise, self.share), shape)

    @dataclass
    class State:
        x: Tensor
        reach: Tensor  # [n] the distance before the last bisection

    def tolerance(self, t: Task) -> float:
        """Precision of a bisection, as a share of the distance."""
        return min(self.gamma * t.d ** (-2.0 if t.threat.norm == "Linf" else -1.5), 0.01)

    def init(self, t: Task) -> Steps[State | Retire]:
        x, found = yield from search.start(t, self.tries)
        reach = t.distance(x)
        x = yield from search.to_boundary(t, x, self.tolerance(t), found)
        return Retire(self.State(x, reach), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        g = yield from self.normal(t, s, k)
        far, held = yield from self.jump(t, s.x, g, k)
        x = yield from search.to_boundary(t, far, self.tolerance(t), held)
        return self.State(x, torch.where(held, t.distance(far), s.reach))

    def normal(self, t: Task, s: State, k: int) -> Steps[Tensor]:
        """The boundary's normal at ``s.x``."""
        width = t.threat.upper - t.threat.lower
        # equation 15 and section 4: sqrt(d) * theta * distance in L2, d * theta * distance in Linf
        h = s.reach * self.gamma / t.d if k else torch.full_like(s.reach, 0.1 * width)
        count = min(int(self.evals * math.sqrt(k + 1)), self.most_evals)
        noise = named(self.noise, self.share)
        return (yield from boundary.normal(t, s.x, k, count, boundary.probe_length(t, h), noise))

    def jump(self, t: Task, x: Tensor, g: Tensor, k: int) -> Steps[tuple[Tensor, Tensor]]:
        """An adversarial point further off along ``g`` [n, \\*shape], and [n] whether there is one."""
        u = g.sign() if t.threat.norm == "Linf" else g

        def path(step: Tensor) -> Tensor:
            return x + rows(step, x) * u

        some = row_norm(g) > 0
        step, held = yield from search.halve(path, t.distance(x) / math.sqrt(k + 1), some, self.halvings)
        return t.clip(choose(held, path(step), x)), held
