"""Auto-PGD as parts: a probe that notes the loss, a step that halves itself by it, and a projection that keeps the best point.

Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
arXiv:2003.01690, section 3.1 and algorithm 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from blackbox.rowwise import rows
from blackbox.threat import eight_bit
from surrogates.crafting.ball import move
from surrogates.crafting.parts.base import Part, Parts
from surrogates.crafting.parts.finish import Projection, Step
from surrogates.crafting.parts.probes import Probe

if TYPE_CHECKING:
    from surrogates.crafting.parts.losses import Answer
    from surrogates.crafting.parts.walk import Walk


@dataclass
class Track:
    """The loss at the current point [n], and the best point so far: [n] fooled, [n] loss, and x [n, \\*shape].

    A point that the nets get wrong is better than one that they get right; else the one with the larger loss is."""

    loss: Tensor
    fooled: Tensor
    top: Tensor
    x: Tensor

    def meet(self, x: Tensor, loss: Tensor, fooled: Tensor) -> None:
        """Note the current point, and keep it where it is the best."""
        better = (fooled & ~self.fooled) | ((fooled == self.fooled) & (loss > self.top))
        self.loss, self.fooled = loss, self.fooled | fooled
        self.top = torch.where(better, loss, self.top)
        self.x = torch.where(rows(better, x), x, self.x)


@dataclass(frozen=True)
class Value(Probe):
    """The gradient at the point itself, and with it the loss there, which `APGD` and `Best` go by. It costs no further pass."""

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        if not hasattr(walk.source, "seen"):
            raise ValueError(
                f"Expected gradients through nets for {self}, which notes their loss, but the source was a "
                f"{type(walk.source).__name__}. Take i-fgsm or pgd."
            )
        seen = walk.source.seen(at, walk.goal, walk.rng, walk.k)
        fooled = seen.scores.argmax(1) != walk.goal.labels
        if (track := walk.kept.get("probe")) is None:
            walk.kept["probe"] = Track(seen.loss, fooled, seen.loss, at)
        else:
            track.meet(at, seen.loss, fooled)
        return seen.gradient  # type: ignore[no-any-return]

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if bad := [str(part) for slot in ("ahead", "aggregate", "schedule", "view") for part in parts.all(slot)]:
            raise ValueError(f"Expected no {bad[0]} beside {self}, which notes the loss of the image itself. Leave one out.")


def _needs_value(part: Part, parts: Parts) -> None:
    if not isinstance(parts.one("probe"), Value):
        raise ValueError(f"Expected Value() beside {part}, which goes by the loss, but there was {parts.one('probe') or 'no probe'}.")


@dataclass
class _State:
    """What `APGD` remembers, one entry a row: step sizes, the previous point and its loss, the best point with its gradient and
    loss, how often the loss rose since the last checkpoint, the best loss there, and whether the step was halved there."""

    size: Tensor
    before: Tensor
    loss: Tensor
    x: Tensor
    g: Tensor
    top: Tensor
    rises: Tensor
    last_top: Tensor
    halved: Tensor


@dataclass(frozen=True)
class APGD(Step):
    """Auto-PGD's step: z = P(x + size * steepest), then P(x + alpha * (z - x) + (1 - alpha) * (x - previous x)).

    The size begins at the walk's (2 eps in the paper). At the checkpoints, 22 % of the steps and then ever closer, it is halved for a
    row, which goes on from its best point, if the loss rose in less than a share ``rho`` of the steps since the last
    checkpoint, or if the best loss is what it was there and the size was not halved there.

    Departs from the paper: a checkpoint is looked at before its step, not after it, so that the step is taken from the best
    point with the gradient kept there, and no pass is lost. L1 is ours: the same with `ball.move`, the steepest step within
    the box (the authors' version for L1, arXiv:2103.01208, is another attack).
    """

    alpha: float = 0.75
    rho: float = 0.75

    def __call__(self, g: Tensor, walk: Walk) -> Tensor:
        x, loss = walk.x, walk.kept["probe"].loss
        state: _State | None = walk.kept.get("step")
        if state is None:
            never, zero = torch.zeros_like(loss, dtype=torch.bool), torch.zeros_like(loss)
            state = _State(torch.full_like(loss, walk.step), x, loss, x, g, loss, zero, loss, never)
            walk.kept["step"] = state
            return move(walk.threat, g, x, state.size)
        state.rises = state.rises + (loss > state.loss)
        better = loss > state.top
        state.top = torch.where(better, loss, state.top)
        state.x, state.g = (torch.where(rows(better, new), new, old) for new, old in ((x, state.x), (g, state.g)))
        base, loss, g = self._checked(state, walk, x, loss, g)
        z = walk.threat.project(base + move(walk.threat, g, base, state.size), walk.x0)
        new = base + self.alpha * (z - base) + (1 - self.alpha) * (base - state.before)
        state.before, state.loss = base, loss
        return walk.threat.project(new, walk.x0) - x

    def _checked(self, state: _State, walk: Walk, x: Tensor, loss: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """At a checkpoint: halve the size of some rows. Return where all go on from, with the losses and gradients there."""
        marks = checkpoints(walk.steps)
        if walk.k not in marks:
            return x, loss, g
        steps = walk.k - max(mark for mark in (0, *marks) if mark < walk.k)
        halve = (state.rises < self.rho * steps) | (~state.halved & (state.top == state.last_top))
        state.size = torch.where(halve, state.size / 2, state.size)
        state.rises, state.last_top, state.halved = torch.zeros_like(state.rises), state.top, halve
        wide = rows(halve, x)
        return torch.where(wide, state.x, x), torch.where(halve, state.top, loss), torch.where(wide, state.g, g)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        _needs_value(self, parts)


def checkpoints(steps: int) -> list[int]:
    """The steps at which `APGD` looks back: ceil(p_j * steps) with p_1 = 0.22 and gaps 0.03 shorter each, at least 0.06."""
    found, p, gap = [], 0.22, 0.22
    while p <= 1:
        found.append(math.ceil(round(p * steps, 9)))
        gap = max(gap - 0.03, 0.06)
        p += gap
    return found


@dataclass(frozen=True)
class Best(Projection):
    """Returns the best point of the walk instead of the last: one that the nets get wrong, else the one with the largest loss.

    The last point's loss costs a forward pass. rounded: as `EightBit`, once the best is chosen.
    """

    rounded: bool = False

    def last(self, x: Tensor, walk: Walk) -> Tensor:
        track: Track = walk.kept["probe"]
        source: Any = walk.source

        def loss_and_label(answers: list[Answer], goal: Any) -> Tensor:
            label = source.mean(answers).argmax(1)
            return torch.stack([source.fusion(answers, goal, source.loss), (label != goal.labels).float()], 1)

        loss, fooled = walk.answers(x, loss_and_label).unbind(1)
        track.meet(x, loss, fooled > 0)
        return eight_bit(track.x, walk.x0) if self.rounded else track.x

    def in_eight_bit(self) -> Projection:
        return replace(self, rounded=True)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        _needs_value(self, parts)


