"""What a row is to become: its true class, the class to leave or to reach, and whatever a loss has prepared for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Goal:
    """The goals of n rows; indexed like a tensor.

    Attributes:
        classes: [n] the class to leave, or to reach when ``targeted``. labels: [n] the true class.
        guide: tensors that lead with the rows, made by a loss's ``prepare``.
        group: so many rows of images (one behind the other) share a goal, and their logits are averaged.
    """

    classes: Tensor
    labels: Tensor
    targeted: bool = False
    guide: tuple[Tensor, ...] = ()
    group: int = 1

    @classmethod
    def of(cls, classes: Tensor | Goal, targeted: bool = False) -> Goal:
        """Classes [n] alone as a goal; a goal as it is."""
        return classes if isinstance(classes, Goal) else cls(classes, classes, targeted)

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: slice | Tensor) -> Goal:
        def pick(v: Tensor) -> Tensor:
            return v[index.to(v.device) if isinstance(index, Tensor) else index]

        return replace(
            self, classes=pick(self.classes), labels=pick(self.labels), guide=tuple(pick(g) for g in self.guide)
        )

    def to(self, device: torch.device) -> Goal:
        return replace(
            self,
            classes=self.classes.to(device),
            labels=self.labels.to(device),
            guide=tuple(g.to(device) for g in self.guide),
        )


@dataclass(frozen=True)
class Pool:
    """Images [N, \\*shape] and labels [N] from which views that mix images take partners; a fixed order, hence a fixed
    choice: the partner of image i is a function of (seed, id of i, the pool)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def ordered(cls, images: Tensor, labels: Tensor, ids: np.ndarray) -> Pool:
        """The images of a craft as their own pool, by id: the order in which they were given does not matter."""
        order = torch.from_numpy(np.argsort(ids, kind="stable"))
        return cls(images[order.to(images.device)], labels[order.to(labels.device)])

    def to(self, device: torch.device) -> Pool:
        return Pool(self.images.to(device), self.labels.to(device))
