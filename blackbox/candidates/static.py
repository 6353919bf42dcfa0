"""Static candidates: adversarial examples on the prior, made from the clean image, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.candidates.maker import Maker, Scene


@dataclass(frozen=True)
class Static(Maker):
    """On each member alone, on all with momentum and diverse views, then one for each of the nearest classes, in the order
    of the smallest gap that the target has shown (in the prior's order where it showed none). Each is proposed once."""

    name: str = "static"
    worth: tuple[float, float] = (3.0, 3.0)
    towards: tuple[float, float] | None = None
    surrogate: ClassVar[bool] = True

    def ready(self, scene: Scene) -> Tensor:
        return ~scene.bank.asked[scene.at].all(1)

    def make(self, scene: Scene) -> Tensor:
        slot = following(scene)
        scene.bank.asked[scene.at, slot] = True
        return scene.bank.get(scene, slot)


def following(scene: Scene) -> Tensor:
    """[n] the slot whose turn it is."""
    bank, at = scene.bank, scene.at
    first = bank.first
    asked = bank.asked[at]
    score = torch.arange(asked.shape[1], 0, -1, device=at.device, dtype=torch.float32).expand(len(at), -1).clone()
    score[:, :first] += 1e9
    if not scene.t.targeted:
        gap = scene.rivals().gather(1, bank.aims[at])
        order = torch.argsort(torch.argsort(gap, dim=1, stable=True), dim=1, stable=True).float()
        score[:, first:] += torch.where(gap > -torch.inf, 1000 * (1 + order), torch.zeros_like(order))
    return torch.where(asked, -torch.inf, score).argmax(1)
