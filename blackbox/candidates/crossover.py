"""Crossover: a window of another candidate, put into the best point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.candidates.maker import Maker, Scene
from blackbox.proposals.squares import side_at
from blackbox.proposals.windows import windows


@dataclass(frozen=True)
class Crossover(Maker):
    """A square of ``scale`` times Square's side, copied from the static candidate (`Bank`) of a random class; with
    ``runner_up`` from that of the class which the target finds second best at the best point, but for a share ``stray`` of
    the tries."""

    name: str = "crossover"
    worth: tuple[float, float] = (1.5, 4.0)
    towards: tuple[float, float] | None = None
    runner_up: bool = False
    stray: float = 0.3
    scale: int = 2
    p_init: float = 0.1
    surrogate: ClassVar[bool] = True

    def make(self, scene: Scene) -> Tensor:
        t, k = scene.t, scene.k
        draw = t.rng.uniform_array(k, self.name, 4)
        aims = scene.bank.aims[scene.at]
        slot = torch.from_numpy((draw[:, 2] * aims.shape[1]).astype("int64")).to(aims.device)
        if self.runner_up and not t.targeted:
            rivals = scene.rivals()
            best, second = rivals.max(1)
            match = aims == second[:, None]
            use = match.any(1) & (best > -torch.inf) & torch.from_numpy(draw[:, 3] >= self.stray).to(aims.device)
            slot = torch.where(use, match.int().argmax(1), slot)
        other = scene.bank.get(scene, slot + scene.bank.first)
        return window(scene, draw[:, :2], self.scale * side_at(t, k, self.p_init), other)


def window(scene: Scene, draw: np.ndarray, side: int, other: Tensor) -> Tensor:
    """The best points with a square of ``other`` in them, at the place that ``draw`` [n, 2] gives."""
    c, h, w = scene.t.grid
    down, across, _ = windows(scene.t, draw, min(side, h, w))
    on = torch.from_numpy(down[:, None, :, None] * across[:, None, None] > 0).to(other.device)
    v = (len(other), c, h, w)
    return torch.where(on, other.view(v), scene.x.view(v)).view_as(other)
