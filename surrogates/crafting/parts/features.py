"""Losses of a net's intermediate features: ILA, FIA, NAA, BFA and self-universality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rowwise import row_dot, row_norm, unit
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.losses import Answer, CrossEntropy, Loss, own
from surrogates.crafting.parts.views import Draw, View

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


_PLAIN = Parts()  # I-FGSM


@dataclass(frozen=True)
class FeatureLoss(Loss):
    """Base class of losses on one net's tapped features; ``prepare`` computes the weights of the features."""

    needs_tap = True

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        if nets > 1:
            raise ValueError(
                f"Expected one net for {self}, which reads one of its layers, but there were {nets}. Craft on each alone."
            )


def slopes(walk: Walk, x: Tensor, value: Callable[[Answer, Goal], Tensor]) -> Tensor:
    """The gradient [n, ...] of each image's ``value`` [m] with respect to the tapped features, for ``x`` [n, \\*shape]."""
    return walk.answers(x, lambda a, goal: torch.autograd.grad(value(a[0], goal).sum(), _feature(a[0]))[0], grad=True)


def features(walk: Walk, x: Tensor) -> Tensor:
    """The tapped features [n, ...] of ``x`` [n, \\*shape]."""
    return walk.answers(x, lambda a, goal: _feature(a[0]).detach(), grad=True)


def _feature(answer: Answer) -> Tensor:
    assert answer.feature is not None, "the loss's check has seen to a tap"
    return answer.feature


@dataclass(frozen=True)
class ILA(FeatureLoss):
    """Pushes the features further in the direction in which another attack moved them: <F(x) - F(x0), d> / |d|.

    Huang et al. 2019, arXiv:1907.10823, "Enhancing adversarial example transferability with an intermediate level attack"
    (ICCV), the projection loss (ILAP). d = F(x*) - F(x0), where x* is the result of ``base`` from x0 in ``steps`` steps
    with cross-entropy (the paper: I-FGSM, 10); the walk itself starts again from x0. Departs from other toolkits: each image
    has its own projection.
    """

    base: Parts = _PLAIN
    steps: int = 10

    def extra(self) -> int:
        return self.base.cost(self.steps)

    def prepare(self, walk: Walk) -> tuple[Tensor, ...]:
        from surrogates.crafting.ascent import ascend

        source = walk.source.with_loss(CrossEntropy())  # type: ignore[attr-defined]
        length = walk.step * walk.steps / self.steps
        made = ascend(source, walk.x0, walk.goal, walk.threat, self.base, self.steps, length, walk.rng, rows=walk.rows)
        start = features(walk, walk.x0)
        return start, unit(features(walk, made) - start)

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        start, way = goal.guide
        return row_dot(_feature(answer) - start, way)


@dataclass(frozen=True)
class Weighed(FeatureLoss):
    """Base class: the sum of features weighted by their importance for the goal's class, ``weights(walk)`` [n, ...].

    It is minimised when the class is to be left, and maximised when it is the target. count: how many gradients the
    weights average; 30 in all three papers."""

    count: int = 30

    def extra(self) -> int:
        return self.count

    def weights(self, walk: Walk) -> Tensor:
        raise NotImplementedError

    def prepare(self, walk: Walk) -> tuple[Tensor, ...]:
        return (unit(self.weights(walk)),)

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        value = row_dot(_feature(answer), goal.guide[0])
        return value if goal.targeted else -value


@dataclass(frozen=True)
class FIA(Weighed):
    """Weights features by the gradient of the class's logit, summed over ``count`` randomly masked images.

    Each entry is kept with probability ``keep``, else set to black. Wang et al. 2021, arXiv:2107.14185, "Feature
    importance-aware transferable adversarial attacks" (ICCV), eq. 4 and 5: 30 images, drop probability 0.3.
    """

    keep: float = 0.7

    def weights(self, walk: Walk) -> Tensor:
        total, shape = torch.zeros(()).to(walk.x0), tuple(walk.x0.shape[1:])
        for j in range(self.count):
            mask = walk.rng.uniform(0, f"fia {j}", shape) < self.keep
            total = total + slopes(walk, walk.x0 * mask, lambda a, goal: own(a.scores, goal))
        return total


@dataclass(frozen=True)
class NAA(Weighed):
    """Weights features by the gradient of the class's probability, averaged along the line from a black image to x0.

    Zhang et al. 2022, arXiv:2204.00008, "Improving adversarial transferability via neuron attribution-based attacks"
    (CVPR), eq. 7, with its plain weighing of positive and negative attributions: 30 points.
    """

    def weights(self, walk: Walk) -> Tensor:
        total = torch.zeros(()).to(walk.x0)
        for j in range(1, self.count + 1):
            point = walk.x0 * (j / self.count)
            total = total + slopes(walk, point, lambda a, goal: sure(a.scores, goal))
        return total


def sure(scores: Tensor, goal: Goal) -> Tensor:
    """The probability of the goal's class minus 1, [m, C] -> [m], with a usable gradient even where it rounds to 0."""
    log = scores.double().log_softmax(1)
    return -log.scatter(1, goal.classes[:, None], -torch.inf).logsumexp(1).exp()


@dataclass(frozen=True)
class BFA(Weighed):
    """Weights features by the gradient of the class's logit, summed over ``count`` moved copies of x0.

    Each copy is x0 moved by ``rms`` away from the class, along the gradient at the copy before.
    Wang et al. 2024, "Improving the transferability of adversarial examples through black-box feature attacks",
    Neurocomputing: 30 images, moves of Euclidean length 28 at 224 pixels a side. Departs from the paper: the length is
    given as an RMS (28 / sqrt(3 * 224 * 224) = 0.072), so that it suits smaller images.
    """

    rms: float = 0.072

    def extra(self) -> int:
        return 2 * self.count

    def weights(self, walk: Walk) -> Tensor:
        source = walk.source.with_loss(CrossEntropy())  # type: ignore[attr-defined]
        away = replace(walk.goal, targeted=False)
        point, total = walk.x0, torch.zeros(()).to(walk.x0)
        length = self.rms * walk.x0[0].numel() ** 0.5
        for _ in range(self.count):
            point = walk.x0 + length * unit(source(point, away, walk.rng, walk.k))
            total = total + slopes(walk, point, lambda a, goal: own(a.scores, goal))
        return total


@dataclass(frozen=True)
class Local(View):
    """Two copies: the image itself, and its perturbation added to an enlarged crop of the clean image.

    Wei et al. 2023, arXiv:2209.03716 (CVPR): crops of a tenth of the area, sides in a ratio between 3:4 and 4:3. For the
    loss `SelfUniversality`, which knows the clean image.
    """

    area: float = 0.1
    copies = 2
    fuse = "logits"

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        clean, u = draw.goal.guide[0], draw.uniform("local", 3).to(x)
        ratio = torch.exp((2 * u[:, 0] - 1) * torch.log(torch.tensor(4 / 3)).to(x)).sqrt()
        height, width = (self.area**0.5 * ratio).clamp_max(1), (self.area**0.5 / ratio).clamp_max(1)
        theta = torch.zeros(len(x), 2, 3).to(x)
        theta[:, 0, 0], theta[:, 1, 1] = width, height
        theta[:, 0, 2], theta[:, 1, 2] = (2 * u[:, 1] - 1) * (1 - width), (2 * u[:, 2] - 1) * (1 - height)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        piece = F.grid_sample(clean, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return torch.where(draw.copy.to(x.device).view(-1, 1, 1, 1) == 1, x - clean + piece, x)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        if not isinstance(parts.one("loss"), SelfUniversality):
            raise ValueError(
                f"Expected the loss SelfUniversality beside {self}, but there was {parts.one('loss') or 'none'}. Join both."
            )


@dataclass(frozen=True)
class SelfUniversality(FeatureLoss):
    """The target's logit for the image plus that for its crop, plus ``weight`` times the cosine of their features.

    Wei et al. 2023, arXiv:2209.03716, "Enhancing the self-universality for transferable targeted attacks" (CVPR): 1e-3.
    """

    weight: float = 1e-3
    targeted_only = True

    def prepare(self, walk: Walk) -> tuple[Tensor, ...]:
        return (walk.x0,)

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        assert answer.feature is not None
        whole, piece = answer.feature[::2].flatten(1), answer.feature[1::2].flatten(1)
        cosine = row_dot(whole, piece) / (row_norm(whole) * row_norm(piece)).clamp_min(1e-12)
        return 2 * own(answer.scores, goal) + self.weight * cosine  # the scores are means over the image and its crop

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        views = [view for view in parts.all("view") if view.copies > 1]
        if len(views) != 1 or not isinstance(views[0], Local):
            raise ValueError(
                f"Expected {self} beside Local, and beside no other view with several copies, but there were "
                f"{', '.join(map(str, views)) or 'none'}. Join SelfUniversality() | Local() | Tap()."
            )
        super().check(parts.without("view"), shape, nets)
