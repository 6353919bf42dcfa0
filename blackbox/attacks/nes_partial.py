"""NES with partial information or labels only (Ilyas et al. 2018, arXiv:1804.08598)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.estimators import Gaussian
from blackbox.estimators.boundary import BLOCK
from blackbox.estimators.probes import blocks, differences, probe_size
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, rows, weighted_sum


@dataclass(frozen=True)
class PartialNES(Attack):
    """From an image of the class to reach back to the original: the partial-information attack.

    The ball around the original in which the point has to lie shrinks from step to step, and the point climbs on a NES
    gradient of the loss so that the target goes on naming the class. A step tries a smaller ball and the longest move
    along the gradient; the move is halved until the class holds. Where no length holds, the ball keeps its size and the
    next decay is half of this one. Give a start for a targeted attack: ``start=blackbox.start_images(...)``.

    Each step costs ``samples`` queries for the gradient, and one for each try.

    Departs from the paper: the class has to come first, not only among the k listed (the paper's experiments have k = 1,
    where the two are the same); the start is clipped by bisection into the smallest ball in which it holds; a decay that
    held is doubled for the next step; where none holds, the point may still move inside the old ball; untargeted attacks
    are served too, from noise.

    Args:
        sigma: standard deviation of a pixel in a probe: 0.01 (ours; the authors' scripts have 0.00001 and 0.001, but at the
            boundary the score jumps, and a wider probe looks past the jump). samples: probes a step: 50 (the authors' code).
        step_size: the longest move of a pixel, in units of the image range; smallest: the shortest that is tried.
            momentum: of the gradients. These three are 0.01, 5e-5 and 0.9 in the authors' code.
        decay: of the first smaller ball, as a share of the radius: 1/2 (the authors' code: 0.5 of a radius of 1).
        own: a row's own directions. tries: noise images for a start.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    minimises: ClassVar[bool] = True

    sigma: float = 0.01
    samples: int = 50
    step_size: float = 0.01
    smallest: float = 5e-5
    momentum: float = 0.9
    decay: float = 0.5
    own: bool = False
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= self.step_size or not 0 < self.decay < 1 or not 0 <= self.momentum < 1:
            raise ValueError(
                "Expected 0 < smallest <= step_size, decay in (0, 1) and momentum in [0, 1), but they were "
                f"{self.smallest}, {self.step_size}, {self.decay} and {self.momentum}."
            )
        if not self.sigma > 0 or self.samples < 2 or self.samples % 2 or self.tries < 1:
            raise ValueError(
                "Expected sigma > 0, samples to be an even number and tries of at least 1, but they were "
                f"{self.sigma}, {self.samples} and {self.tries}."
            )

    @dataclass
    class State:
        x: Tensor  # adversarial
        average: Tensor  # of the gradients
        reach: Tensor  # [n] radius of the ball that x lies in
        decay: Tensor  # [n] by how much the next one shall be smaller

    def init(self, t: Task) -> Steps[Retire]:
        x, found = yield from search.boundary_start(t, self.tries)
        reach = t.distance(x)
        return Retire(self.State(x, torch.zeros_like(x), reach, self.decay * reach), ~found)

    def gradient(self, t: Task, x: Tensor, k: int) -> Steps[Tensor]:
        """Of what says how firmly the target names the class at ``x``."""
        return (yield from Gaussian(self.sigma, self.samples, own=self.own).estimate(t, x, k))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        g = yield from self.gradient(t, s.x, k)
        average = self.momentum * s.average + (1 - self.momentum) * g
        smaller = torch.maximum(s.reach - s.decay, s.reach.clamp_max(t.eps if t.eps < math.inf else 0.0))
        longest = torch.full_like(s.reach, self.step_size)

        def inside(bound: Tensor, rate: Tensor) -> Tensor:
            ball = rows(bound, s.x)
            return t.clip(torch.clamp(s.x + rows(rate, s.x) * average.sign(), t.x0 - ball, t.x0 + ball))

        halvings = 1 + round(math.log2(self.step_size / self.smallest))
        rate, held = yield from search.halve(lambda rate: inside(smaller, rate), longest, longest > 0, halvings)
        a = yield Ask(inside(s.reach, longest), mask=~held)
        x = choose(held, inside(smaller, rate), choose(a.adv, a.x, s.x))
        reach = torch.where(held, smaller, s.reach)
        decay = torch.where(held, 2 * s.decay, s.decay / 2)
        return self.State(x, average, reach, torch.minimum(decay, self.decay * reach))


@dataclass(frozen=True)
class LabelNES(PartialNES):
    """The same with labels only: the score is the share of a small ball of noise in which the target names the class.

    Each probe of the gradient is looked at in ``points`` random points of a cube around it, so a gradient costs
    ``samples * points`` queries.

    Departs from the paper as `PartialNES` does; the score of a point is 1 or 0, the paper's for k = 1: an oracle shows one
    label and not the k best in order.

    Args:
        points: of noise for each score: 1 (the authors' script: 50, for a budget of a million; with a smaller one more
            directions tell more than more points).
            ball: half the side of the cube: 0.002 (there). samples: 100 (there).
        others: as in `PartialNES`; directions are shared by the rows.
    """

    access: ClassVar[Access] = Access.LABELS

    samples: int = 100
    points: int = 1
    ball: float = 0.002

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points < 1 or not self.ball > 0 or self.own:
            raise ValueError(
                f"Expected points of at least 1, ball > 0 and own=False, but they were {self.points}, {self.ball} and {self.own}."
            )

    def gradient(self, t: Task, x: Tensor, k: int) -> Steps[Tensor]:
        h, ball = probe_size(t, self.sigma, t.d**0.5), max(self.ball, t.probe)
        g = torch.zeros_like(x)
        for start, stop in blocks(self.samples // 2, max(1, BLOCK // (2 * self.points))):
            u = t.rng.shared_normal(k, f"directions {start}", (stop - start, *t.shape))
            cube = t.rng.shared_normal(k, f"ball {start}", (stop - start, 2, self.points, *t.shape))
            cube = ball * (2 * torch.special.ndtr(cube) - 1)  # uniform
            probes = torch.stack([cube[:, 0] + h * u[:, None], cube[:, 1] - h * u[:, None]], 1)
            a = yield Ask(x, u=probes.flatten(0, 2))
            named = torch.where(a.paid, a.adv * 1.0, torch.nan).view(t.n, stop - start, 2, self.points)
            share = named.sum(3) / self.points  # whole numbers: exact in any order
            g += weighted_sum(differences(share.flatten(1), None), u)
        return g / (self.samples * h)
