"""ARS-OPT (Xu, Cheng, Xu, Xuan & Ma 2026, arXiv:2512.21241), after the paper's description as we know it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.estimators import ray
from blackbox.proposals.bases import Basis
from blackbox.proposals.noise import Noise, check_shape, named
from blackbox.protocol import Access, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, row_norm, rows


@dataclass(frozen=True)
class ARSOPT(Attack):
    """Accelerated random search for the direction with the nearest boundary: the estimate is made where momentum leads.

    Two directions are kept: the best one u, and m, to which the steps have added up. A step measures the boundary's distance at
    ``u + look * (m - u)``, estimates there where it gets shorter (`estimators.ray`), takes the first length of that step at
    which it does, and adds as much to m, times ``gain``. Where no length helps m is put back to u.

    Departs from the paper: look and gain are constants, while the paper's two sequences follow from a bound on the curvature,
    which nobody knows here; the length of a step is that which is best for a flat boundary, or a third of it, and a third of that;
    each step has sqrt(k + 1) times as many probes as the first, as HopSkipJump's; Linf moves by signs, clipped to the cube; u is
    what the box leaves of a direction.

    Args:
        probes: of the first step. most_probes: never more than this. size: of a probe. far, coarse: of the differences that tell
            the length of a step (`estimators.ray.Estimate`). look, gain: of the momentum. (All tried by hand on images and nets
            other than those reported on.)
        tolerance: share of the distance to which it is bisected: 1e-3. lengths: tried in a step. tries: noise images for a start.
        noise, share: of the probes, see `HopSkipJump`.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L2", "Linf")
    minimises: ClassVar[bool] = True

    probes: int = 100
    most_probes: int = 2000
    size: float = 0.05
    far: float = 0.2
    coarse: float = 0.01
    look: float = 0.3
    gain: float = 1.0
    tolerance: float = 1e-3
    lengths: int = 3
    tries: int = search.TRIES
    noise: str | Noise | Basis = "white"
    share: float = 0.25

    def __post_init__(self) -> None:
        named(self.noise, self.share)
        if min(self.probes, self.most_probes, self.lengths, self.tries) < 1:
            raise ValueError("Expected probes, most_probes, lengths and tries of at least 1.")
        if not (min(self.size, self.far, self.coarse, self.tolerance) > 0 and self.gain >= 0 and 0 <= self.look < 1):
            raise ValueError("Expected size, far, coarse and tolerance > 0, gain of at least 0 and look in [0, 1).")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        check_shape(named(self.noise, self.share), shape)

    @dataclass
    class State:
        u: Tensor  # [n, *shape] direction of the best ray
        reach: Tensor  # [n] distance of the boundary along it
        m: Tensor  # [n, *shape] where momentum leads

    def init(self, t: Task) -> Steps[Retire]:
        x, found = yield from self.begin(t)
        u, reach = yield from ray.first(t, x, found, self.tolerance)
        return Retire(self.State(u, reach, u), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        y, reach = s.u, s.reach
        ahead = ray.sphere(t, s.u + self.look * (s.m - s.u))
        moved = row_norm(ahead - s.u) > 1e-6
        if self.look and bool(moved.any()):
            far, found = yield from ray.distance(t, ahead, reach, self.tolerance, moved)
            y, reach = choose(found, ahead, y), torch.where(found, far, reach)
        v = yield from self.estimate(k).of(t, y, reach, k, self.priors(t, ray.point(t, y, reach)))
        if t.threat.norm == "Linf":
            v = v.sign()
        best = choose(reach < s.reach, y, s.u), torch.minimum(reach, s.reach)
        u, reach, taken = yield from ray.descend(t, best, y, v, self.lengths, self.tolerance)
        m = ray.sphere(t, s.m + rows(self.gain * taken, v) * v)
        return self.State(u, reach, choose(taken > 0, m, u))

    def estimate(self, k: int) -> ray.Estimate:
        """How step ``k`` estimates."""
        count = min(int(self.probes * math.sqrt(k + 1)), self.most_probes)
        return ray.Estimate(count, self.size, self.far, self.coarse, named(self.noise, self.share))

    def begin(self, t: Task) -> Steps[tuple[Tensor, Tensor]]:
        """Adversarial images, and [n] where there is one."""
        return (yield from search.start(t, self.tries))

    def priors(self, t: Task, x: Tensor) -> Sequence[Tensor]:
        """Guesses of the boundary's normal at ``x``."""
        return ()
