"""Ripples: a window of waves a few pixels long."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blackbox.candidates.maker import Maker, Scene
from blackbox.proposals.ripples import LEAST_SIDE, add_waves, waves


@dataclass(frozen=True)
class Ripples(Maker):
    """In a window, a wave alike in all channels, of a direction and phase drawn at random (`proposals.ripples`).

    It asks no prior, so images on which the prior is of no use are offered it as well.

    halves: how long half a wave may be, in units (`proposals.ripples.unit`); each is drawn as often. least: of a window's
    sides, as a share of the image's; they are drawn log-uniformly up to 1 (0.2: ours, chosen on images other than those
    reported on). step: in L2, as a share of eps (0.5, not tuned); in Linf the window goes all the way to its bounds. Images
    with a side below `LEAST_SIDE` get none.
    """

    name: str = "ripples"
    worth: tuple[float, float] = (1.5, 3.0)
    towards: tuple[float, float] | None = (1.5, 4.0)
    halves: tuple[int, ...] = (1,)
    least: float = 0.2
    step: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise ValueError(f"Expected least, a share of the image's sides, in (0, 1], but it was {self.least!r}.")
        if not self.halves or not all(isinstance(half, int) and half >= 1 for half in self.halves):
            raise ValueError(f"Expected halves to be whole numbers of at least 1, one or more, but they were {self.halves!r}.")

    def ready(self, scene: Scene) -> Tensor:
        return scene.everyone() & (min(scene.t.grid[1:]) >= LEAST_SIDE)

    def make(self, scene: Scene) -> Tensor:
        t, x = scene.t, scene.x
        if t.threat.norm == "Linf":  # 2 eps: from either bound to the other
            return t.project(add_waves(t, x, 2.0 * t.radius, scene.k, self.halves, self.least, self.name))
        wave = waves(t, scene.k, self.halves, self.least, self.name).expand(t.n, *t.grid).reshape(x.shape)
        return t.project(x + self.step * t.radius * t.threat.steepest(wave))
