"""The images that a universal change is made from, seen through nets: its gradient, and how many it fools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.areas import Area, Patch, drawn
from blackbox.change import Universal, paste, window
from blackbox.rng import Stream
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.losses import Answer, Loss
from surrogates.crafting.twins import Twins
from surrogates.nets.predict import predict_together


@dataclass(frozen=True)
class Clipped(Loss):
    """A loss cut off at ``most``, so that no image that is fooled for long outweighs the others (Shafahi et al. 2020,
    arXiv:1811.11304, section 4.1)."""

    of: Loss
    most: float

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        return self.of(answer, goal).clamp_max(self.most)


class Images:
    """Images [N, \\*shape] with their goals [N] and the nets through which they are seen.

    mask: [\\*shape] bool, the entries that may change; None for all. place: of content that is pasted at the same place everywhere;
    None: nothing is pasted, or each image has a place of its own, another one at every step.
    """

    def __init__(
        self, source: Autograd, x: Tensor, aim: Goal, threat: Any, mask: Tensor | None, place: tuple[int, int] | None, seed: int,
        twins: Twins | None,
    ) -> None:  # fmt: skip
        self.source, self.x, self.aim, self.threat, self.twins = source, x, aim, threat, twins
        self.mask, self.place, self.seed = mask, place, seed
        self.ids = np.arange(len(x), dtype=np.uint64)
        self.gradients = 0
        self.pasted = isinstance(threat, Area)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the change: of an image, or of a patch."""
        channels, *sides = self.x.shape[1:]
        return (channels, *self.threat.size) if isinstance(self.threat, Patch) else (channels, *sides)

    def universal(self, change: Tensor, **config: Any) -> Universal:
        """The change [\\*shape] as it is handed over."""
        return Universal(change.detach().cpu(), self.threat, self.mask, self.place, config)

    def gradient(self, change: Tensor, who: Tensor, k: int) -> Tensor:
        """The gradient of the mean loss of images ``who`` [n] with respect to the change [\\*shape], at step ``k``."""
        x, rng = self.x[who], Stream(self.seed, self.ids[who.numpy()], self.source.device)
        x = x.to(self.source.device)
        change = change.to(x)
        places = self._places(rng, k, x)
        if self.pasted:
            given, free = paste(x, change, places), torch.ones_like(x, dtype=torch.bool)
        else:
            moved, low, high = x + change, self.threat.lower, self.threat.upper
            given, free = moved.clamp(low, high), (moved >= low) & (moved <= high)  # clipping passes no gradient
        if self.mask is not None:
            mask = self.mask.to(x.device)
            free, given = free & mask, torch.where(mask, given, x)
        g = self.source(given, self.aim[who].to(x.device), rng, k) * free
        self.gradients += len(x) * self.source.cost
        if self.pasted:
            g = g[window(len(x), x.shape[1], places, (change.shape[1], change.shape[2]))]
        return g.mean(0)

    def _places(self, rng: Stream, k: int, x: Tensor) -> Tensor:
        if self.place is not None or not isinstance(self.threat, Patch):
            return torch.tensor(self.place or (0, 0), device=x.device).expand(len(x), 2)
        return drawn(rng, k, "universal place", self.threat.size, tuple(x.shape[1:]))

    def fooled(self, change: Tensor) -> np.ndarray:
        """Which images reach their goal on the nets (the mean of their logits) with the change, [N] bool."""
        made = self.universal(change).apply(self.x, seed=self.seed, ids=self.ids)
        if self.twins is not None:
            return self.twins.reached(self.source.nets, made)
        same = predict_together(self.source.nets, made) == self.aim.classes.cpu()
        out: np.ndarray = (same if self.aim.targeted else ~same).numpy()
        return out

    def batches(self, epoch: int, size: int) -> list[Tensor]:
        """The images' numbers in the order of an epoch, in batches."""
        order = Stream(self.seed, np.zeros(1, np.uint64)).permutation(epoch, "universal order", len(self.x))[0]
        return list(order.cpu().split(size))

    def project(self, change: Tensor) -> Tensor:
        """The nearest change that the threat allows."""
        if self.pasted:
            return change.clamp(self.threat.lower, self.threat.upper)
        plain = type(self.threat)(self.threat.eps, -2.0, 2.0)
        out: Tensor = plain.project(change[None], torch.zeros_like(change)[None])[0]
        return out if self.mask is None else out * self.mask.to(out)
