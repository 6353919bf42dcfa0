"""Schedules: which nets of an ensemble take part at a step, and inner loops over them (SVRE, AdaEA, CWA).

Each image is treated independently: no sum runs over the batch.
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
    """Base class: chooses the nets of a step, or computes its gradient in an inner loop over the nets.

    Either ``pick`` chooses the nets; or ``inner`` is True, and ``__call__(walk, at)`` computes the gradient from
    ``walk.members`` (a gradient source for each net, seen through the views) and ``walk.field`` (all nets together). An
    inner loop cannot be combined with a probe or an aggregate."""

    slot: ClassVar[str] = "schedule"
    inner: ClassVar[bool] = False

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        """The numbers of the nets that take part at step ``k``: the same for all rows."""
        return tuple(range(nets))

    def members(self, k: int, nets: int) -> int:
        """How many forward-and-backward passes, over all nets, a gradient costs at step ``k``."""
        return len(self.pick(k, Stream(0, np.zeros(1, np.uint64)), nets))

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if self.inner:
            for slot in ("probe", "aggregate"):
                if part := parts.one(slot):
                    raise ValueError(
                        f"Expected no {slot} beside {self}, whose inner loop chooses the points itself, but there was "
                        f"{part}. Leave one of them out."
                    )
        if nets < 2:
            raise ValueError(
                f"Expected an ensemble of nets for {self}, but there was one net. Give several: [net_a, net_b], or the list "
                "that refine.lgv(net, data) or refine.swag(net, data) returns."
            )


@dataclass(frozen=True)
class Cycle(Schedule):
    """Uses one net a step, in turn (LGV; Gubri et al. 2022, arXiv:2207.13129). shuffled: a new random order for each round,
    so that a run of few steps is not confined to the first nets."""

    shuffled: bool = False

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        if self.shuffled:
            return (int(rng.shared_permutation(k // nets, "members", nets)[k % nets]),)
        return (k % nets,)


@dataclass(frozen=True)
class Random(Schedule):
    """Uses ``count`` random nets a step, drawn by (seed, step): the same for all images."""

    count: int = 1

    def pick(self, k: int, rng: Stream, nets: int) -> tuple[int, ...]:
        return tuple(sorted(rng.shared_permutation(k, "members", nets)[: self.count].tolist()))


@dataclass(frozen=True)
class SVRE(Schedule):
    """Visits the nets in random order in an inner loop, and reduces each gradient's variance as SVRG does.

    Xiong et al. 2022, arXiv:2111.10752, "Stochastic variance reduced ensemble adversarial attack for boosting the
    adversarial transferability" (CVPR), algorithm 1: g = grad_i(x~) - (grad_i(x) - grad_all(x)), m <- decay m + hat(g),
    x~ <- project(x~ + step m); the last m is the step's gradient. inner: number of inner steps; by default four a net, as
    in the authors' code. Departs from it: the nets drawn at a step are the same for all images, and grad_i(x) is computed
    once for each net.
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
    """The loss of a weighted mean of logits, with weights [m, nets] of each image's own (`AdaEA` computes them)."""

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
    """Gives more weight to nets whose steps transfer to the others, and leaves alone pixels where the nets disagree.

    Chen et al. 2023, arXiv:2308.02897, "An adaptive model ensemble adversarial attack for boosting adversarial
    transferability" (ICCV). AGM: with x_i one step along net i's gradient, weight_i = softmax over i of beta * the sum over
    j != i of J_j(x_i) / J_j(x_j). DRF: the gradient is set to zero at pixels where the mean cosine over the pairs of nets
    (gradients as vectors over the channels) is below ``threshold``. Joined with `RowWeights`, which applies the weights.

    Departs from the authors' code: weights are computed for each image, not for the batch; the mean cosine is over all
    pairs of nets; no noise at the start. Towards a target the ratios are inverted.
    """

    beta: float = 10.0
    threshold: float = -0.3
    inner = True

    def members(self, k: int, nets: int) -> int:
        return 2 * nets + math.ceil(nets * nets / 3)  # a forward pass alone costs about a third of a forward and backward one

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
                f"Expected the fusion RowWeights beside {self}, which computes a weight for each net and image, but there was "
                f"{parts.one('fusion') or 'none'}. Join it: AdaEA() | RowWeights()."
            )


_TINY, _MOST = 1e-6, 1e4  # a confident net has a loss near 0; ours


def agreement(g: Sequence[Tensor]) -> Tensor:
    """The mean cosine over the pairs of nets [n, 1, \\*pixels], from each net's gradients [n, channels, \\*pixels]."""
    lengths = [v.square().sum(1, keepdim=True).sqrt() for v in g]
    total, pairs = torch.zeros_like(lengths[0]), 0
    for i in range(len(g)):
        for j in range(i):
            total = total + (g[i] * g[j]).sum(1, keepdim=True) / (lengths[i] * lengths[j]).clamp_min(1e-30)
            pairs += 1
    return total / pairs


@dataclass(frozen=True)
class CWA(Schedule):
    """Common weakness attack: steps back, then takes a long step along each net in turn; the displacement is the gradient.

    Chen et al. 2024, arXiv:2303.09105, "Rethinking model ensemble in transfer-based adversarial attacks" (ICLR),
    algorithm 1 (MI-CWA): x~ = x - (eps / 15) sign(grad_all), then for each net m <- decay m + g / |g|_2 and x~ <- project(x~ +
    long m); x~ - x is the step's gradient. m is kept from step to step. ``long`` is an RMS in units of eps, so that it
    suits images of any size; 7.7 is the authors' 250 at 299 pixels and eps = 16/255. Departs from the authors' code:
    gradients are normalised for each image, not for the batch.
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
