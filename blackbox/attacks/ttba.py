"""TtBA, Two-third Bridge Attack (Wang, Zuo, Huang & Chen 2025, ICML)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox import search
from blackbox.attacks.hop_skip_jump import HopSkipJump
from blackbox.estimators.ray import point
from blackbox.proposals.bases import Basis
from blackbox.proposals.noise import Noise
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose, row_dot, row_norm, rows, unit


@dataclass(frozen=True)
class TtBA(HopSkipJump):
    """Turn the direction towards the boundary's normal by two thirds of the weight at which nothing is gained any more.

    Between the current direction u and the estimated normal g lie the directions (1 - k) u + k g. For small weights k the
    boundary is nearer than along u; the *bridge* is the weight at which it is as far again. Whether a weight is below the
    bridge costs one query, at the current distance. Two thirds of the bridge are near the best weight, and what is left is
    to bisect the distance along that one direction.

    Departs from the paper, of which the abstract alone was at hand: weights are the shares of a mixture, so that the bridge
    is at most 1, where the normal itself is adversarial; it is halved from 1, then bisected to 1/8 of itself; the distance
    is bisected from where a flat boundary could not be nearer. The start, the schedule of labels, the length of probes and
    the precision are `HopSkipJump`'s, as in `CGBA` the first number of labels and the noise. The paper's way out of
    local optima is not here: a step that gains nothing leaves the point where it is, and the next one has more labels.

    Args:
        part: of the bridge that is taken: 2/3.
        evals, noise, share: as in `blackbox.attacks.CGBA`. others: as in `HopSkipJump`.
    """

    norms = ("L2",)

    evals: int = 30
    noise: str | Noise | Basis = "dct"
    share: float = 0.5
    part: float = 2 / 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.part < 1:
            raise ValueError(f"Expected part, of the bridge, in (0, 1), but it was {self.part}. The paper has 2/3.")

    def step(self, t: Task, s: HopSkipJump.State, k: int) -> Steps[HopSkipJump.State]:
        g = yield from self.normal(t, s, k)
        u, reach = unit(s.x - t.x0), t.distance(s.x)

        def mixed(weight: Tensor) -> Tensor:
            return unit(rows(1 - weight, u) * u + rows(weight, g) * g)

        bridge, held = yield from self.bridge(
            lambda weight: point(t, mixed(weight), reach), torch.ones_like(reach), row_norm(g) > 0
        )
        v = mixed(self.part * bridge)

        tolerance = search.fine(t, s.x, self.tolerance(t)) * reach
        high = reach - tolerance
        a = yield Ask(point(t, v, high), mask=held)
        # a flat boundary through s.x is nowhere nearer than reach * cos of the angle from u to its normal, at most twice v's
        low = (reach * (1 - 4 * (1 - row_dot(u, v))).clamp_min(0)).minimum(high)
        end = yield from search.bisect(lambda r: point(t, v, r), low, high, tolerance, a.adv)
        return self.State(choose(a.adv, point(t, v, end), s.x), reach)

    def bridge(self, level: search.Path, most: Tensor, todo: Tensor) -> Steps[tuple[Tensor, Tensor]]:
        """The largest weight [n] found at which ``level`` is adversarial, and [n] whether there is one."""
        weight, held = yield from search.halve(level, most, todo, self.halvings)
        inside = held & (weight < most)
        return (yield from search.bisect(level, 2 * weight, weight, weight / 8, inside)), held
