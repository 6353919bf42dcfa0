"""Fusions combine the outputs of several nets; losses turn them into one value an image. Larger is closer to success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.base import Part, Parts

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


class Answer(NamedTuple):
    """One net's output for m images: logits [m, C], and the tapped features [m, ...], if there is a tap."""

    scores: Tensor
    feature: Tensor | None = None


@dataclass(frozen=True)
class Fusion(Part):
    """Base class of fusions: ``__call__(answers, goal, loss) -> [m]``. weights: one a net, divided by their sum."""

    slot: ClassVar[str] = "fusion"
    weights: tuple[float, ...] | None = None

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
    """The loss of the mean probabilities, their logarithms used as logits (Liu et al. 2017, arXiv:1611.02770)."""

    def __call__(self, answers: Sequence[Answer], goal: Goal, loss: Loss) -> Tensor:
        return loss(Answer(self.mean([a.scores.softmax(1) for a in answers]).clamp_min(1e-30).log()), goal)


@dataclass(frozen=True)
class LossFusion(Fusion):
    """The mean of the nets' losses, which averages their gradients."""

    def __call__(self, answers: Sequence[Answer], goal: Goal, loss: Loss) -> Tensor:
        return self.mean([loss(a, goal) for a in answers])


@dataclass(frozen=True)
class Loss(Part):
    """Base class of losses: ``__call__(answer, goal) -> [m]``.

    needs_tap: the loss reads ``answer.feature``. targeted_only: it makes no sense without a target class.
    ``prepare(walk)`` is called once before the first step and returns tensors of shape [n, ...]; they are passed back,
    sliced to the rows, as ``goal.guide``.
    """

    slot: ClassVar[str] = "loss"
    needs_tap: ClassVar[bool] = False
    targeted_only: ClassVar[bool] = False

    def prepare(self, walk: Walk) -> tuple[Tensor, ...]:
        return ()

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        taps = [str(part) for part in parts.all("nets") if part.tap]
        if self.needs_tap and len(taps) != 1:
            raise ValueError(
                f"Expected one feature tap for {self}, which reads a layer inside the net, but there were "
                f"{', '.join(taps) or 'none'}. Join one: {self}() | Tap('layer')."
            )
        grouped = [str(view) for view in parts.all("view") if view.fuse == "logits"]
        if self.needs_tap and grouped:
            raise ValueError(f"Expected no view that averages logits beside {self}, but there was {grouped[0]}.")


def own(scores: Tensor, goal: Goal) -> Tensor:
    """The logit of the goal's class: [m, C] -> [m]."""
    return scores.gather(1, goal.classes[:, None])[:, 0]


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy: -log p of the true class (Goodfellow et al. 2015, arXiv:1412.6572), or log p of the target.

    Computed as log(1 + e^(log sum of the others - own)), which is equal but stays exact where the net is confident: there
    the gradient of the usual form is float32 rounding noise.
    """

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        others = answer.scores.scatter(1, goal.classes[:, None], -torch.inf).logsumexp(1)
        loss = F.softplus(others - own(answer.scores, goal))
        return -loss if goal.targeted else loss


@dataclass(frozen=True)
class Margin(Loss):
    """The largest other logit minus the true one, or the target's minus the largest other (Carlini & Wagner 2017,
    arXiv:1608.04644, f6 without the clamp at zero)."""

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        margin = answer.scores.scatter(1, goal.classes[:, None], -torch.inf).amax(1) - own(answer.scores, goal)
        return -margin if goal.targeted else margin


@dataclass(frozen=True)
class DLR(Loss):
    """The difference-of-logits ratio: the margin, divided by the gap between the largest and the third largest logit, so that its
    gradient has the same direction and size however the logits are scaled (Croce & Hein 2020, arXiv:2003.01690, eq. 6).

    Targeted: z_t - z_y over the gap to the mean of the third and the fourth (eq. 7). With fewer than three classes (four
    when targeted) there is nothing to divide by: the margin itself, or z_t - z_y (ours).
    """

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        z = answer.scores
        if goal.targeted:
            margin = own(z, goal) - z.gather(1, goal.labels[:, None])[:, 0]
        else:
            margin = Margin()(answer, goal)
        needed = 4 if goal.targeted else 3
        if z.shape[1] < needed:
            return margin
        top = z.topk(needed, dim=1).values
        low = (top[:, 2] + top[:, 3]) / 2 if goal.targeted else top[:, 2]
        return margin / (top[:, 0] - low).clamp_min(1e-12)


@dataclass(frozen=True)
class Logit(Loss):
    """The target's logit alone (Zhao et al. 2021, arXiv:2012.11207), or minus the true one's."""

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        value = own(answer.scores, goal)
        return value if goal.targeted else -value


@dataclass(frozen=True)
class LogitMargin(Loss):
    """Cross-entropy of the logits divided by the gap between the two largest (Weng et al. 2023, arXiv:2303.03680).

    The gap counts as a constant, so that the gradient does not vanish near the target (margin-based calibration)."""

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        best = answer.scores.detach().topk(2, dim=1).values
        gap = (best[:, :1] - best[:, 1:]).clamp_min(1e-6)  # equal logits: ours, the paper divides by zero
        return CrossEntropy()(Answer(answer.scores / gap), goal)


@dataclass(frozen=True)
class PoTrip(Loss):
    """Po+Trip loss: the negative Poincare distance to the target minus a triplet term.

    Li et al. 2020, "Towards transferable targeted attack", CVPR: the distance of z / |z|_1 to the target's one-hot vector
    less 1e-5, plus ``weight`` times max(0, D(z, target) - D(z, truth) + margin) with D = 1 - |cosine|. Departs from the
    authors' code, whose D lacks the ``1 -``, so that its triplet term leads away from the target.
    """

    weight: float = 0.01
    margin: float = 0.007
    targeted_only = True

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        z = answer.scores
        a = z / z.abs().sum(1, keepdim=True).clamp_min(1e-12)
        b = (F.one_hot(goal.classes, z.shape[1]).to(z) - 1e-5).clamp_min(0)
        room = ((1 - (a * a).sum(1)) * (1 - (b * b).sum(1))).clamp_min(1e-12)
        far = torch.acosh(1 + (2 * ((a - b) ** 2).sum(1) / room).clamp_min(1e-12))
        size = (z * z).sum(1).clamp_min(1e-24).sqrt()
        truth = z.gather(1, goal.labels[:, None])[:, 0]
        triplet = (truth.abs() - own(z, goal).abs()) / size + self.margin
        return -(far + self.weight * triplet.clamp_min(0))


BY_NAME: dict[str, Loss] = {
    "cross-entropy": CrossEntropy(),
    "margin": Margin(),
    "dlr": DLR(),
    "logit": Logit(),
    "logit-margin": LogitMargin(),
    "po-trip": PoTrip(),
}


def get(loss: str | Loss) -> Loss:
    """A loss by name.

    Raises:
        ValueError: no such loss.
    """
    if isinstance(loss, Loss):
        return loss
    if loss not in BY_NAME:
        raise ValueError(f"Expected loss to be one of {', '.join(BY_NAME)}, but it was {loss!r}.")
    return BY_NAME[loss]
