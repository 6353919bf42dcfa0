"""`Twins`: goals seen through nets you own, as two classes, so that all that crafts on classes crafts for goals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checks import as_images
from blackbox.goals import Goal
from blackbox.goals.base import Setting, as_goal
from blackbox.protocol import Access
from blackbox.targets.outputs import scores_of
from surrogates.crafting.goal import Goal as CraftGoal
from surrogates.crafting.parts import losses
from surrogates.crafting.parts.base import Parts
from surrogates.nets.predict import chunk_rows, first_output, frozen, no_gradient, piecewise, place

BESIDE = " (where an image is its own reference, take pgd, which starts beside it)"


class Twins:
    """A goal for samples, seen through nets: each net's output as logits of two classes, 0, not reached, and 1, reached.

    The logits differ by the goal's loss on that net, `Goal.twin`. So the margin between the two is the loss, the mean over nets of the
    logits that of the losses, and the class predicted says whether the goal is reached.

    Args:
        goals: one for all nets, or one for each.
        nets: what is attacked; they return what the target returns, logits for goals of classes.
        setting: what the goals are told of the run.
        shape: of an image.
        name: of a net in errors, with the place of its number.

    Raises:
        ValueError: a goal has no twin, or does not fit the samples or the net; the message says which.
    """

    def __init__(
        self, goals: Goal | Sequence[Goal], nets: Sequence[nn.Module], setting: Setting, shape: tuple[int, ...], name: str = "the net"
    ) -> None:
        made = goals_of(goals, len(nets))
        self.goals = [_seen(goal, net, setting, shape, name.format(i)) for i, (goal, net) in enumerate(zip(made, nets, strict=True))]
        groups = np.stack([goal.alike(setting.samples) for goal in self.goals], 1)
        first: dict[bytes, int] = {}
        self.alike = np.array([first.setdefault(row.tobytes(), i) for i, row in enumerate(groups)], np.int64)

    def scores(self, net: int, out: Any, who: np.ndarray) -> Tensor:
        """The two logits [m, 2] of what a net returns for inputs of the samples ``who`` [m]."""
        half = _loss(self.goals[net], out, who) / 2
        return torch.stack([-half, half], 1)

    def reached(self, nets: Sequence[nn.Module], x: Tensor) -> np.ndarray:
        """Whether each image [N, \\*shape] reaches the goal on the nets, by the mean of their losses, [N] bool."""
        total = torch.zeros(len(x))
        for i, net in enumerate(nets):
            total += self._halves(i, net, x)
        found: np.ndarray = (total > 0).numpy()
        return found

    def _halves(self, i: int, net: nn.Module, x: Tensor) -> Tensor:
        """Half the loss on a net, the logit of "reached", for images [N, \\*shape]: [N] float32 on the CPU."""
        device, dtype = place(net)

        def half(part: Tensor, who: Tensor) -> Tensor:
            return self.scores(i, net(part.to(device, dtype)), who.numpy())[:, 1].float().cpu()

        with frozen([net]), torch.no_grad():
            return piecewise(half, chunk_rows(tuple(x.shape[1:]), device), x, torch.arange(len(x)))

    def goal(self, samples: int) -> CraftGoal:
        """The class to leave, for all samples: 0, not reached."""
        zeros = torch.zeros(samples, dtype=torch.int64)
        return CraftGoal(zeros, zeros, who=torch.arange(samples))

    def loss(self, name: str, parts: Parts, given: Any) -> losses.Loss:
        """The loss of the two classes that is the goal's. Raises: ValueError, the preset has a loss of its own, or one was given."""
        own = parts.one("loss") if given is None else given
        if own is not None:
            raise ValueError(
                f"Expected a preset without a loss of its own for the goal ({self.goals[0]}), but that of {name} is {own}. Take mi-fgsm, "
                "pgd or apgd, say, and leave loss= out."
            )
        return losses.Margin()


def twins_of(goals: Goal | Sequence[Goal], target: Any, nets: Sequence[nn.Module], x: Tensor) -> Twins:
    """The goals of images ``x`` [N, \\*shape] without an oracle. Raises: ValueError, there is a target class beside them, or as `Twins`."""
    for goal in goals_of(goals, len(nets)):
        as_goal(goal, target)
    name = "net {} of the ensemble" if len(nets) > 1 else "the net"
    return Twins(goals, nets, Setting(len(x), Access.LOGITS, 0), tuple(x.shape[1:]), name)


def goals_of(goals: Any, nets: int) -> list[Goal]:
    """One goal for each net. Raises: ValueError, there are fewer or more, or something else."""
    found = [goals] * nets if isinstance(goals, Goal) or not isinstance(goals, Sequence) else list(goals)
    if len(found) != nets:
        raise ValueError(f"Expected one goal for all {nets} nets or one for each, but there were {len(found)}.")
    return [as_goal(goal) for goal in found]


def _seen(goal: Goal, net: nn.Module, setting: Setting, shape: tuple[int, ...], name: str) -> Goal:
    """The goal as it is on this net, bound to the samples and tried on a grey image."""
    if not goal.differentiable:
        raise ValueError(
            f"Expected a goal with a twin, a loss that gradients pass through, but ({goal}) has none. Give it one, bb.goal(loss, "
            "twin=...) or Goal.twin, or take an attack without surrogates, such as square, ripples or hop-skip-jump."
        )
    out = first_output(net, torch.full((1, *shape), 0.5), name, gradients=True)
    try:
        if goal.needs is Access.ANSWERS:
            setting = setting._replace(access=Access.ANSWERS)
        else:
            count = out.shape[1] if isinstance(out := scores_of(out), Tensor) and out.ndim == 2 else 0
            setting = setting._replace(access=Access.LOGITS, classes=count, resolution=0.0, listed=count)
        with torch.enable_grad():
            found = goal.seen_by(_Embedding(net, shape, name)).bound(setting)
            loss = _loss(found, out, np.zeros(1, np.int64))
    except ValueError as error:
        raise ValueError(f"{error} So it was with {name}.") from error
    if not loss.requires_grad:
        raise no_gradient(net)
    if not bool(loss.isfinite().all()):
        raise ValueError(f"Expected a finite loss of the goal ({goal}), but on {name} it was {loss.item():g}. Was the net trained?")
    return found


def _loss(goal: Goal, out: Any, who: np.ndarray) -> Tensor:
    loss = goal.twin(out, who)
    if not isinstance(loss, Tensor) or loss.shape != (len(who),):
        came = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(f"Expected from the twin of the goal ({goal}) a loss for each of {len(who)} rows, but it was {came}.")
    return loss


class _Embedding:
    """What a net returns for reference images, for `Goal.seen_by`."""

    def __init__(self, net: nn.Module, shape: tuple[int, ...], name: str) -> None:
        self.net, self.shape, self.name = net, shape, name

    def __call__(self, images: Any) -> np.ndarray:
        given = images if isinstance(images, Tensor) else torch.as_tensor(np.asarray(images))
        alone = tuple(given.shape) == self.shape
        x = as_images(given[None] if alone else given, "the reference images")
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"Expected reference images of shape {self.shape}, but theirs was {tuple(x.shape[1:])}.")
        device, dtype = place(self.net)

        def embedded(part: Tensor) -> Tensor:
            out = self.net(part.to(device, dtype))
            found = out if isinstance(out, Tensor) else scores_of(out)
            if not isinstance(found, Tensor):
                raise ValueError(f"Expected an embedding from {self.name}, but it returned {type(out).__name__}.")
            return found.double().cpu()

        with frozen([self.net]), torch.no_grad():
            found = piecewise(embedded, chunk_rows(self.shape, device), x).numpy()
        return found[0] if alone else found
