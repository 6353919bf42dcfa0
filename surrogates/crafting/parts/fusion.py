"""Fusion: how the answers of several nets to the same rows become one loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.base import Part, Parts

if TYPE_CHECKING:
    from surrogates.crafting.parts.losses import Loss


class Answer(NamedTuple):
    """What one net says of m rows: logits [m, C], and the feature of the tap [m, ...], if there is one."""

    scores: Tensor
    feature: Tensor | None = None


@dataclass(frozen=True)
class Fusion(Part):
    """Base class: ``__call__(answers, goal, loss) -> [m]``. weights: one a net, they are divided by their sum."""

    slot: ClassVar[str] = "fusion"
    weights: tuple[float, ...] | None = None

    def __call__(self, answers: Sequence[Answer], goal: Goal, loss: Loss) -> Tensor:
        raise NotImplementedError

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if self.weights is not None and (len(self.weights) != nets or min(self.weights) < 0 or not sum(self.weights)):
            raise ValueError(f"Expected {nets} weights of at least 0, one a net, but they were {self.weights}.")

    def mean(self, values: Sequence[Tensor]) -> Tensor:
        """The weighted mean over nets."""
        if len(values) == 1:
            return values[0]
        if self.weights is None:
            return torch.stack(list(values)).mean(0)
        total = sum(self.weights)
        return torch.stack([v * (w / total) for v, w in zip(values, self.weights, strict=True)]).sum(0)


@dataclass(frozen=True)
class LogitFusion(Fusion):
    """The loss of the mean logits (Dong et al. 2018, arXiv:1710.06081, section 3.3)."""

    def __call__(self, answers: Sequence[Answer], goal: Goal, loss: Loss) -> Tensor:
        return loss(Answer(self.mean([a.scores for a in answers])), goal)


@dataclass(frozen=True)
class ProbabilityFusion(Fusion):
    """The loss of the mean probabilities, whose logarithms stand in for logits (Liu et al. 2017, arXiv:1611.02770)."""

    def __call__(self, answers: Sequence[Answer], goal: Goal, loss: Loss) -> Tensor:
        return loss(Answer(self.mean([a.scores.softmax(1) for a in answers]).clamp_min(1e-30).log()), goal)


@dataclass(frozen=True)
class LossFusion(Fusion):
    """The mean of the nets' losses: the mean of their gradients."""

    def __call__(self, answers: Sequence[Answer], goal: Goal, loss: Loss) -> Tensor:
        return self.mean([loss(a, goal) for a in answers])
