"""Square's move, from the best point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.attacks.square import Square, linf_square, lp_square
from blackbox.candidates.maker import Scene


@dataclass(frozen=True)
class Squares:
    """One square of the Square attack (arXiv:1912.00049), its side on its schedule over the budget."""

    name: str = "square"
    worth: tuple[float, float] = (1.5, 4.0)
    p_init: float = 0.1
    once: ClassVar[bool] = False
    surrogate: ClassVar[bool] = False

    def ready(self, scene: Scene) -> Tensor:
        return torch.ones(scene.t.n, dtype=torch.bool, device=scene.x.device)

    def make(self, scene: Scene) -> Tensor:
        t, side = scene.t, Square(self.p_init).side(scene.t, scene.k)
        return (linf_square if t.threat.norm == "Linf" else lp_square)(t, scene.x, scene.k, side)
