"""Ripples: a window of waves as short as pixels allow."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blackbox.candidates.maker import Maker, Scene
from blackbox.proposals.ripples import waves


@dataclass(frozen=True)
class Ripples(Maker):
    """In a window, lines that alternate from pixel to pixel (along the rows, the columns, or both: a chequerboard), alike in
    all channels: nets trained on photographs react to waves of high frequency far more than these are seen (Tsuzuku & Sato
    2019, arXiv:1809.04098; Yin et al. 2019, arXiv:1906.08988).

    It asks no prior, so images on which the prior is of no use are offered it as well.

    least: of a window's sides, as a share of the image's; they are drawn log-uniformly up to 1 (0.2: ours, chosen on images
    other than those reported on). step: in L2, as a share of eps (0.5, not tuned); in Linf the window goes all the way to
    its bounds. worth: a square's, since on some images ripples are of no use.
    """

    name: str = "ripples"
    worth: tuple[float, float] = (1.5, 4.0)
    towards: tuple[float, float] | None = (1.5, 4.0)
    least: float = 0.2
    step: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise ValueError(f"Expected least, a share of the image's sides, in (0, 1], but it was {self.least!r}.")

    def make(self, scene: Scene) -> Tensor:
        t, x = scene.t, scene.x
        wave = waves(t, scene.k, self.least).expand(t.n, *t.grid).reshape(x.shape)
        step = 2.0 if t.threat.norm == "Linf" else self.step  # 2 eps: from either bound to the other
        return t.project(x + step * t.radius * t.threat.steepest(wave))
