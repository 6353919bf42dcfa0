"""P2FA: the importance of features where features themselves were perturbed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from blackbox.rowwise import row_norm, rows, unit
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.features import Weighed, features, slopes
from surrogates.crafting.parts.losses import own
from surrogates.crafting.parts.surgery import Tap, _each, _Taps
from surrogates.crafting.parts.walk import Walk
from surrogates.crafting.surgery.edits import Edit, GradientEdits, edited, then
from surrogates.crafting.surgery.graph import Trace
from surrogates.crafting.surgery.hooks import layer_of


@dataclass(frozen=True)
class PushTap(Tap):
    """As `Tap`, but the second tensor of a goal's guide, where it has one, is added to the layer's activations (for `P2FA`)."""

    @contextmanager
    def __call__(self, nets: Sequence[nn.Module]) -> Iterator[_Pushed]:
        taps = _Pushed()
        with _each(nets, lambda net: edited(net, _Push(self.layer, net, taps))):
            yield taps


class _Pushed(_Taps):
    def __init__(self) -> None:
        super().__init__()
        self.push: Tensor | None = None

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        self.push = goal.guide[1] if len(goal.guide) > 1 else None


class _Push(Edit):
    """Adds to a layer's output, and shows the sum."""

    def __init__(self, layer: str | float, net: nn.Module, taps: _Pushed) -> None:
        self.layer, self.net, self.taps = layer, net, taps

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        place = trace.layers[layer_of(trace, self.net, self.layer)][0]
        then(edits, place, self._pushed)
        edits.show.setdefault(place, []).append(self.taps.look)

    def _pushed(self, out: Tensor) -> Tensor:
        return out if self.taps.push is None else out + self.taps.push.to(out)


@dataclass(frozen=True)
class P2FA(Weighed):
    """Weights features by the gradient of the class's logit, summed over ``count`` points of a walk in the space of features.

    The walk begins at the features of x0 and leaves the class: each step goes down the class's logit, ``length`` times as long as the
    features of x0.

    Pixel2Feature attack, 2025, "Pixel2Feature attack (P2FA): rethinking the perturbed space to enhance adversarial transferability"
    (ICML): features are perturbed at their own layer, in directions of importance, instead of through the image. *Chosen here*: steps
    of 0.05 of the features' length, 30 of them (as many gradients as FIA and NAA take), once before the attack; then the loss of
    FIA. The paper perturbs again in each of a hundred updates.
    """

    length: float = 0.05

    def weights(self, walk: Walk) -> Tensor:
        goal, start = walk.goal, features(walk, walk.x0)
        size, push, total = self.length * row_norm(start), torch.zeros_like(start), torch.zeros_like(start)
        try:
            for _ in range(self.count):
                walk.goal = replace(goal, guide=(push, push))
                g = slopes(walk, walk.x0, lambda a, aim: own(a.scores, aim))
                total = total + g
                push = push + rows(size, g) * (unit(g) if goal.targeted else -unit(g))
        finally:
            walk.goal = goal
        return total

    def extra(self) -> int:
        return self.count + 1

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        if not any(isinstance(part, PushTap) for part in parts.all("nets")):
            raise ValueError(f"Expected PushTap beside {self}, which moves the features that it taps, but there was another tap.")
