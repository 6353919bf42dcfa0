"""Re-craft: a few steps from the best point, on surrogates that agree with the target there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.candidates.bank import dirichlet
from blackbox.candidates.craft import CraftGoal, calibrated, craft, inside
from blackbox.candidates.maker import Maker, Scene
from blackbox.prior import pair


@dataclass(frozen=True)
class Recraft(Maker):
    """The members' logits are shifted by the constants that make them equal to the target's at the best point, so that
    they aim at the class which the *target* finds closest.

    random: on two members (`pair`) with random weights (Dirichlet), through diverse views and from a small random start.
    steps, step: how many and how long, as a share of eps. patience: the steps of the search in which it takes part; where
    it has not led out by then, squares do sooner. (All ours, chosen on images and a target other than those reported on.)
    """

    name: str = "recraft"
    worth: tuple[float, float] = (3.0, 3.0)
    towards: tuple[float, float] | None = (3.0, 3.0)
    random: bool = False
    steps: int = 3
    step: float = 0.5
    patience: int = 64
    surrogate: ClassVar[bool] = True

    @property
    def once(self) -> bool:  # type: ignore[override]
        return not self.random

    def ready(self, scene: Scene) -> Tensor:
        return torch.full((scene.t.n,), scene.k < self.patience, device=scene.x.device)

    def make(self, scene: Scene) -> Tensor:
        t, k, x = scene.t, scene.k, scene.x
        prior = pair(scene.prior, k) if self.random else scene.prior  # by the step: a prior computes a member for all rows or none
        weights = dirichlet(t, k, self.name, prior.members) if self.random else None
        shift = calibrated(prior, x, scene.shown)
        if self.random:
            noise = t.rng.uniform(k, f"{self.name} start", t.shape) - 0.5
            x = inside(t, x + 0.2 * t.radius * t.threat.steepest(noise))
        tag = f"{self.name} {k}" if self.random else ""
        return craft(t, prior, x, CraftGoal.of(t, weights, shift), self.steps, self.step, tag)
