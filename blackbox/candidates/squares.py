"""Square's move, from the best point."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blackbox.candidates.maker import Maker, Scene
from blackbox.proposals.squares import side_at, square


@dataclass(frozen=True)
class Squares(Maker):
    """One square of the Square attack (arXiv:1912.00049), its side on its schedule over the budget.

    p_init: as in `attacks.square`. p_towards: the same towards a class (ours, chosen on images and a target other than those
    reported on).
    """

    name: str = "square"
    worth: tuple[float, float] = (1.5, 4.0)
    towards: tuple[float, float] | None = (1.5, 4.0)
    p_init: float = 0.4
    p_towards: float = 0.2

    def make(self, scene: Scene) -> Tensor:
        t = scene.t
        p = self.p_towards if t.targeted else self.p_init
        return square(t, scene.x, scene.k, side_at(t, scene.k, p))
