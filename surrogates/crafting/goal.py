"""Craft goals: an image's true class, the class to leave or to reach, and what a loss has prepared for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_labels


@dataclass(frozen=True)
class Goal:
    """The goals of n rows; indexed like a tensor.

    Attributes:
        classes: [n] the class to leave, or to reach when ``targeted``.
        labels: [n] the true class.
        guide: tensors [n, ...] that a loss's ``prepare`` returned.
        group: how many consecutive rows of images share a goal; their logits are averaged.
        who: [n] the samples, where the goal is one of `blackbox.goals` and the classes are 0, not reached, and 1, reached (`Twins`).
    """

    classes: Tensor
    labels: Tensor
    targeted: bool = False
    guide: tuple[Tensor, ...] = ()
    group: int = 1
    who: Tensor | None = None

    @classmethod
    def of(cls, classes: Tensor | Goal, targeted: bool = False) -> Goal:
        """Turn classes [n] into a goal; a goal is returned unchanged."""
        return classes if isinstance(classes, Goal) else cls(classes, classes, targeted)

    def __len__(self) -> int:
        return len(self.classes)

    def samples(self) -> np.ndarray:
        """[n * group] the samples of the rows of images."""
        assert self.who is not None
        return np.repeat(self.who.numpy(force=True), self.group)

    def __getitem__(self, index: slice | Tensor) -> Goal:
        return self._map(lambda v: v[index.to(v.device) if isinstance(index, Tensor) else index])

    def to(self, device: torch.device) -> Goal:
        return self._map(lambda v: v.to(device))

    def _map(self, f: Callable[[Tensor], Tensor]) -> Goal:
        who = None if self.who is None else f(self.who)
        return replace(self, classes=f(self.classes), labels=f(self.labels), guide=tuple(map(f, self.guide)), who=who)


def as_target(target: Any, labels: Tensor, classes: int) -> Tensor:
    """Check the classes to reach and return them as [N] int64. Raises: ValueError, not classes, or a true label among them."""
    goal = as_labels(target, len(labels), classes, "target")
    if bool((same := goal == labels).any()):
        i = int(same.nonzero()[0])
        raise ValueError(
            f"Expected a target other than the true label, but for sample {i} both are {int(goal[i])} ({int(same.sum())} such). Leave "
            "them out, keep = y != target, or give each image another class, (y + 1) % classes."
        )
    return goal


@dataclass(frozen=True)
class Pool:
    """Images [N, \\*shape] and labels [N] that views may mix in. The partner of image i is a function of (seed, id of i, the
    pool)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def ordered(cls, images: Tensor, labels: Tensor, ids: np.ndarray) -> Pool:
        """Make the attacked images their own pool, sorted by id, so that the order in which they were given does not matter."""
        order = torch.from_numpy(np.argsort(ids, kind="stable"))
        return cls(images[order.to(images.device)], labels[order.to(labels.device)])

    def to(self, device: torch.device) -> Pool:
        return Pool(self.images.to(device), self.labels.to(device))
