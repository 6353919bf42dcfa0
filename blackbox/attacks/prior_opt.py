"""Prior-OPT and Prior-Sign-OPT (Ma, Xu, Cheng & Xuan 2025, arXiv:2507.17577), after the paper's description as we know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from blackbox import search
from blackbox.candidates.told import members_slopes, told_start
from blackbox.estimators import ray
from blackbox.prior import Guided
from blackbox.proposals.bases import Basis
from blackbox.proposals.noise import Noise, check_shape, named
from blackbox.protocol import Access, Retire, Steps, Task


@dataclass(frozen=True)
class PriorOPT(Guided):
    """Sign-OPT with surrogates: the estimate is the projection of the slope onto their gradients and one direction beside them.

    The members' gradients at the boundary point are made orthonormal; the signs of random probes at right angles to them give one
    more direction; the slope along each of these is a difference of two distances of the boundary, and the sum of the
    directions with these weights is the best direction in their span. With ``differences`` False it is Prior-Sign-OPT: each
    gradient costs one query, and counts as much as a random probe.

    Departs from the paper: the length of a step is that which is best for a flat boundary, or a third of it, and a third of that
    (a step of 1 after signs alone); the search starts from an example on the prior (`candidates.told`); Linf moves by signs,
    clipped to the cube; directions are orthonormal in blocks.

    Args:
        prior: `surrogates.prior(nets)`. probes: random ones a step. differences: see above. size, far, coarse: as in `ARSOPT`.
            (Ours, tried by hand on images and nets other than those reported on; the paper has 200 probes.)
        tolerance: share of the distance to which it is bisected: 1e-3. lengths: tried in a step. tries: noise images for a start.
        noise, share: of the probes, see `HopSkipJump`.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L2", "Linf")
    minimises: ClassVar[bool] = True

    probes: int = 80
    differences: bool = True
    size: float = 0.05
    far: float = 0.2
    coarse: float = 0.01
    tolerance: float = 1e-3
    lengths: int = 3
    tries: int = search.TRIES
    noise: str | Noise | Basis = "white"
    share: float = 0.25

    def __post_init__(self) -> None:
        named(self.noise, self.share)
        if min(self.probes, self.lengths, self.tries) < 1 or not min(self.size, self.far, self.coarse, self.tolerance) > 0:
            raise ValueError("Expected probes, lengths and tries of at least 1 and size, far, coarse and tolerance > 0.")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        check_shape(named(self.noise, self.share), shape)

    @dataclass
    class State:
        u: Tensor  # [n, *shape] direction of the best ray
        reach: Tensor  # [n] distance of the boundary along it

    def init(self, t: Task) -> Steps[Retire]:
        x, found = yield from told_start(t, self.known, self.tries)
        u, reach = yield from ray.first(t, x, found, self.tolerance)
        return Retire(self.State(u, reach), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        estimate = ray.Estimate(self.probes, self.size, self.far, self.coarse, named(self.noise, self.share))
        priors = members_slopes(t, self.known, ray.point(t, s.u, s.reach))
        ask = estimate.of if self.differences else estimate.signs
        v = yield from ask(t, s.u, s.reach, k, priors)
        if t.threat.norm == "Linf":
            v = v.sign()
        u, reach, _ = yield from ray.descend(t, (s.u, s.reach), s.u, v, self.lengths, self.tolerance)
        return self.State(u, reach)
