"""Schedules: which nets of an ensemble take part at a step, and inner loops over them (SVRE, AdaEA, CWA).

Every row by itself: no sum runs over the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rng import Stream
from blackbox.rowwise import unit
from surrogates.crafting.ball import move
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.base import Part, Parts
from surrogates.crafting.parts.losses import Answer, LogitFusion, Loss

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Schedule(Part):
    """Base class. Either ``pick`` says which nets take part at a step; or ``inner`` is True and ``__call__(walk, at)``
    makes the step's gradient itself from ``walk.members`` (one gradient source a net, views and all) and ``walk.field``
    (all nets together). An inner loop leaves no room for a probe or an aggregate."""

    slot: ClassVar[str] = "schedule"
    inner: ClassVar[bool] = False

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        """The numbers of the nets that take part at step ``k``: the same for all rows."""
        return tuple(range(nets))

    def members(self, k: int, nets: int) -> int:
        """How many forward-and-backward passes a gradient costs at step ``k``, over all nets."""
        return len(self.pick(k, Stream(0, np.zeros(1, np.uint64)), nets))

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if self.inner:
            for slot in ("probe", "aggregate"):
                if part := parts.one(slot):
                    raise ValueError(
                        f"Expected no {slot} beside {self}, whose inner loop says where gradients are taken, but there was "
                        f"{part}. Leave one of them out."
                    )
        if nets < 2:
            raise ValueError(
                f"Expected an ensemble of nets for {self}, but there was one net. Give several: [net_a, net_b], or what "
                "refine.lgv(net, data) or refine.swag(net, data) makes of one."
            )


@dataclass(frozen=True)
class Cycle(Schedule):
    """One net a step, in turn (LGV; Gubri et al. 2022, arXiv:2207.13129). shuffled: each round through the nets in an order
    of its own, drawn by the seed, so that few steps do not see the first nets only."""

    shuffled: bool = False

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        if self.shuffled:
            return (int(rng.shared_permutation(k // nets, "members", nets)[k % nets]),)
        return (k % nets,)


@dataclass(frozen=True)
class Random(Schedule):
    """``count`` nets a step, drawn by (seed, step): the same for all images."""

    count: int = 1

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        return tuple(sorted(rng.shared_permutation(k, "members", nets)[: self.count].tolist()))


@dataclass(frozen=True)
class SVRE(Schedule):
    """An inner walk through the nets in random order, each gradient corrected by what its net said at the outer point.

    Xiong et al. 2022, arXiv:2111.10752, "Stochastic variance reduced ensemble adversarial attack for boosting the
    adversarial transferability" (CVPR), algorithm 1: g = grad_i(x~) - (grad_i(x) - grad_all(x)), m <- decay m + hat(g),
    x~ <- project(x~ + step m); the last m is the step's gradient. inner: how many inner steps; four a net by default,
    as in the authors' code. Departs from it: nets are drawn for the step, the same for all images, and grad_i(x) is
    computed once for each net.
    """

    inner_steps: int | None = None
    decay: float = 1.0
    inner = True

    def members(self, k: int, nets: int) -> int:
        return 2 * nets + self._count(nets)

    def _count(self, nets: int) -> int:
        return 4 * nets if self.inner_steps is None else self.inner_steps

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        together = walk.gradient(at)
        alone = [walk.gradient(at, source=member) for member in walk.members]
        x, m = at, torch.zeros_like(at)
        for j in range(self._count(len(alone))):
            i = int(walk.rng.shared_permutation(walk.k, f"svre {j}", len(alone))[0])
            g = walk.gradient(x, source=walk.members[i]) - (alone[i] - together)
            m = self.decay * m + walk.hat(g)
            x = walk.threat.project(x + move(walk.threat, m, x, walk.step), walk.x0)
        return m


@dataclass(frozen=True)
class RowWeights(LogitFusion):
    """The loss of a mean of logits whose weights [m, nets] each row brings along (`AdaEA` finds them)."""

    def __call__(self, answers: Sequence[Answer], goal: Goal, loss: Loss) -> Tensor:
        if not goal.guide or len(answers) == 1:
            return super().__call__(answers, goal, loss)
        scores = torch.stack([a.scores for a in answers], 1)
        return loss(Answer((scores * goal.guide[0][:, :, None]).sum(1)), goal)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        loss = parts.one("loss")
        if loss is not None and loss.needs_tap:
            raise ValueError(f"Expected a loss of the scores beside {self}, but there was {loss}. Leave one out.")


@dataclass(frozen=True)
class AdaEA(Schedule):
    """Nets whose steps help against the others weigh more; pixels at which the nets disagree are left alone.

    Chen et al. 2023, arXiv:2308.02897, "An adaptive model ensemble adversarial attack for boosting adversarial
    transferability" (ICCV). AGM: with x_i one step along net i's gradient, weight_i = softmax over i of beta * the sum over
    j != i of J_j(x_i) / J_j(x_j). DRF: a pixel whose gradients (as vectors over the channels) have a mean cosine below
    ``threshold`` over the pairs of nets gets none. beta 10, threshold -0.3. Joined with `RowWeights`, which fuses the
    logits by the weights.

    Departs from the authors' code: weights are those of an image, not of the batch; the mean cosine is over all pairs of nets;
    no noise at the start. Towards a target the ratios are inverted.
    """

    beta: float = 10.0
    threshold: float = -0.3
    inner = True

    def members(self, k: int, nets: int) -> int:
        return 2 * nets + math.ceil(nets * nets / 3)  # a pass forwards alone is about a third of one there and back

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        alone = [walk.gradient(at, source=member) for member in walk.members]
        tried = [walk.threat.project(at + move(walk.threat, g, at, walk.step), walk.x0) for g in alone]
        cost = torch.stack([self._losses(walk, x) for x in tried], 1)  # [n, tried on, seen by]
        same = cost.diagonal(dim1=1, dim2=2)[:, None, :]
        ratio = same / cost.clamp_min(_TINY) if walk.goal.targeted else cost / same.clamp_min(_TINY)
        off = 1 - torch.eye(len(alone)).to(ratio)
        weights = (self.beta * (ratio.clamp_max(_MOST) * off).sum(2)).softmax(1)
        g = walk.field(at, replace(walk.goal, guide=(weights,)), walk.rng, walk.k)
        return g * (agreement(alone) >= self.threshold)

    @staticmethod
    def _losses(walk: Walk, x: Tensor) -> Tensor:
        """[n, \\*shape] -> [n, nets]: each net's cross-entropy."""
        return walk.answers(
            x, lambda a, goal: torch.stack([F.cross_entropy(v.scores, goal.classes, reduction="none") for v in a], 1)
        )

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        if not isinstance(parts.one("fusion"), RowWeights):
            raise ValueError(
                f"Expected the fusion RowWeights beside {self}, which finds a weight for each net and image, but there was "
                f"{parts.one('fusion') or 'none'}. Join it: AdaEA() | RowWeights()."
            )


_TINY, _MOST = 1e-6, 1e4  # a confident net has a loss near 0; ours


def agreement(g: Sequence[Tensor]) -> Tensor:
    """Gradients [n, channels, \\*pixels] of several nets -> [n, 1, \\*pixels], the mean cosine over the pairs of nets."""
    lengths = [v.square().sum(1, keepdim=True).sqrt() for v in g]
    total, pairs = torch.zeros_like(lengths[0]), 0
    for i in range(len(g)):
        for j in range(i):
            total = total + (g[i] * g[j]).sum(1, keepdim=True) / (lengths[i] * lengths[j]).clamp_min(1e-30)
            pairs += 1
    return total / pairs


@dataclass(frozen=True)
class CWA(Schedule):
    """Common weakness attack: a step back, then a long step along each net in turn; the way gone is the gradient.

    Chen et al. 2024, arXiv:2303.09105, "Rethinking model ensemble in transfer-based adversarial attacks" (ICLR),
    algorithm 1 (MI-CWA): x~ = x - (eps / 15) sign(grad_all), then for each net m <- decay m + g / |g|_2 and x~ <- project(x~ +
    long m); x~ - x is the step's gradient. m is kept from step to step. The authors' long is 250, at 299 pixels and eps =
    16/255 an RMS of 7.7 eps: here ``long`` is that RMS in units of eps, for images of any size. Departs from the authors'
    code: lengths are those of an image, not of the batch.
    """

    back: float = 1 / 15
    long: float = 7.7
    decay: float = 1.0
    inner = True

    def members(self, k: int, nets: int) -> int:
        return 2 * nets

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        eps = walk.threat.eps
        length = self.long * eps * walk.scale * at[0].numel() ** 0.5
        x = walk.threat.project(at + move(walk.threat, -walk.gradient(at), at, self.back * eps), walk.x0)
        m = walk.kept.get("cwa", torch.zeros_like(at))
        for member in walk.members:
            m = self.decay * m + unit(walk.gradient(x, source=member))
            x = walk.threat.project(x + length * m, walk.x0)
        walk.kept["cwa"] = m
        return x - at
