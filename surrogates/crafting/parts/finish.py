"""Parts at the start of the loop and after the gradient: start, filter (TI), momentum, step, projection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from blackbox.direction import Direction, identity, l2, mean_abs, smooth
from blackbox.rowwise import unit
from blackbox.threat import eight_bit
from surrogates.crafting.ball import move, random_point
from surrogates.crafting.parts.base import Part, Parts
from surrogates.crafting.parts.walk import Walk
from surrogates.nets.predict import piecewise

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


NORMS = {"mean-abs": mean_abs, "l2": l2, "none": identity}


@dataclass(frozen=True)
class Start(Part):
    """Base class of start points: ``__call__(walk) -> x`` [n, \\*shape], projected afterwards. Default: the clean image."""

    slot: ClassVar[str] = "start"


@dataclass(frozen=True)
class RandomStart(Start):
    """Starts uniformly in the threat's ball (Madry et al. 2018, arXiv:1706.06083). number: of the start; each draws another point."""

    number: int = 0

    def __call__(self, walk: Walk) -> Tensor:
        return walk.x0 + random_point(walk.threat, walk.rng, tuple(walk.x0.shape[1:]), self.number)


@dataclass(frozen=True)
class Filter(Part):
    """Base class of filters of the gradient: ``__call__(g, walk) -> g``."""

    slot: ClassVar[str] = "filter"


@dataclass(frozen=True)
class Momentum(Part):
    """Accumulates gradients: m <- decay * m + g / |g| (MI: Dong et al. 2018, arXiv:1710.06081, eq. 6).

    norm: the mean absolute entry (the paper's sum up to the constant d), ``"l2"``, or ``"none"`` for raw gradients.
    Default of the slot: no momentum."""

    slot: ClassVar[str] = "momentum"
    decay: float = 1.0
    norm: str = "mean-abs"

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(
                f"Expected the norm of Momentum to be one of {', '.join(NORMS)}, but it was {self.norm!r}."
            )

    def __call__(self, g: Tensor, walk: Walk) -> Tensor:
        part: Direction = NORMS[self.norm]()
        walk.m = self.decay * walk.m + part.update(g, ())[0]
        return walk.m

    def unit(self, walk: Walk) -> float:
        """The factor that gives a normalised gradient a length of about 1 in the threat's norm."""
        return walk.scale * (walk.x0[0].numel() ** 0.5 if self.norm == "l2" else 1.0)


@dataclass(frozen=True)
class Step(Part):
    """Default step and base class: moves alpha along the steepest direction of the threat's norm (sign in Linf).

    ``__call__(g, walk) -> change`` [n, \\*shape]. schedule: ``"constant"``; ``"linear"`` and ``"cosine"`` decrease from above
    alpha to zero with the same sum over all steps. norm: ``"threat"``, or ``"l2"`` for a step along the gradient itself with
    the same Euclidean length.
    """

    slot: ClassVar[str] = "step"
    schedule: str = "constant"
    norm: str = "threat"

    def __post_init__(self) -> None:
        for value, known in ((self.schedule, ("constant", "linear", "cosine")), (self.norm, ("threat", "l2"))):
            if value not in known:
                raise ValueError(f"Expected one of {', '.join(known)} for a step, but it was {value!r}.")

    def __call__(self, g: Tensor, walk: Walk) -> Tensor:
        length, done = walk.step, (walk.k + 0.5) / walk.steps
        if self.schedule != "constant":
            length *= 2 * (1 - done) if self.schedule == "linear" else 1 + math.cos(math.pi * done)
        if self.norm == "l2":
            return length * walk.scale * g[0].numel() ** 0.5 * unit(g)
        return move(walk.threat, g, walk.x, length)


@dataclass(frozen=True)
class Damped(Step):
    """Shrinks a pixel's step by ``eta`` whenever the sign of its direction changes (GRA; Zhu et al. 2023, "Boosting
    adversarial transferability via gradient relevance attack", ICCV: 0.94)."""

    eta: float = 0.94

    def __call__(self, g: Tensor, walk: Walk) -> Tensor:
        sign = g.sign()
        factor, before = walk.kept.get("step", (torch.ones_like(g), sign))
        factor = torch.where(sign == before, factor, factor * self.eta)
        walk.kept["step"] = (factor, sign)
        return factor * super().__call__(g, walk)


@dataclass(frozen=True)
class Projection(Part):
    """Default projection and base class: projects onto the threat after each step, and does nothing at the end."""

    slot: ClassVar[str] = "projection"

    def __call__(self, x: Tensor, walk: Walk) -> Tensor:
        return walk.threat.project(x, walk.x0)

    def last(self, x: Tensor, walk: Walk) -> Tensor:
        """Turn the last iterate into the result."""
        return x

    def in_eight_bit(self) -> Projection:
        """The same, with a result in 8 bits."""
        return EightBit()


@dataclass(frozen=True)
class EightBit(Projection):
    """Rounds the result to an 8-bit image, every entry towards the clean image, so that no distance grows (see
    `blackbox.threat.eight_bit`)."""

    def last(self, x: Tensor, walk: Walk) -> Tensor:
        return eight_bit(x, walk.x0)


@dataclass(frozen=True)
class TI(Filter):
    """Translation invariance: smooths each channel of the gradient with a Gaussian of ``kernel`` x ``kernel`` pixels.

    Dong et al. 2019, arXiv:1904.02884, eq. 9: standard deviation (kernel - 1) / 6, and 15 for images of 299 pixels.
    kernel: odd; by default 15 from 150 pixels a side, below that the odd number next to a tenth of the shorter side, at
    least 3 (ours: fifteen pixels are half of a 32-pixel image, far too many).
    """

    kernel: int | None = None

    def __post_init__(self) -> None:
        if self.kernel is not None and (self.kernel < 1 or self.kernel % 2 == 0):
            raise ValueError(f"Expected the kernel of TI to be an odd number of pixels, but it was {self.kernel}.")

    def size(self, shape: tuple[int, ...]) -> int:
        """The kernel's size in pixels for images of ``shape``."""
        return self.kernel or min(15, max(3, 2 * round((min(shape[1:]) / 10 - 1) / 2) + 1))

    def __call__(self, g: Tensor, walk: Walk) -> Tensor:
        kernel = gaussian(self.size(tuple(g.shape[1:]))).to(g)
        return piecewise(lambda part: smooth(kernel).update(part, ())[0], walk.rows, g)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if len(shape) != 3:
            raise ValueError(
                f"Expected images [channels, height, width] for TI, which smooths over pixels, but they had shape {shape}. Leave "
                "TI out."
            )


def gaussian(size: int) -> Tensor:
    """A Gaussian kernel [size, size] float64, cut at three standard deviations, with sum 1."""
    if size == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    line = torch.exp(-(torch.linspace(-3, 3, size, dtype=torch.float64) ** 2) / 2)
    return torch.outer(line, line) / line.sum() ** 2
