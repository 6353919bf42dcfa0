"""`Threat`: what an attacker may change, given by a norm, a radius and the box of valid images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.rowwise import row_norm, rows, unit


class UnsupportedThreat(ValueError):
    """The attack does not support this norm or radius."""


@dataclass(frozen=True)
class Threat:
    """All images within ``eps`` of the original in one norm, inside the box [lower, upper].

    Use a subclass: `Linf`, `L2`, `L1` or `L0`. ``eps`` is in units of the image range; ``math.inf`` means no limit except
    the box, for attacks that search for the smallest distance.

    Raises:
        ValueError: eps is not a positive number, or is larger than the box in Linf.
    """

    eps: float
    lower: float = 0.0
    upper: float = 1.0
    p: ClassVar[float]
    norm: ClassVar[str]

    def __post_init__(self) -> None:
        try:  # numpy's and torch's scalars are numbers too; a string or a bool is not
            eps = float("nan" if isinstance(self.eps, (str, bytes, bool)) else self.eps)
        except (TypeError, ValueError, RuntimeError):
            eps = math.nan
        if not eps > 0:
            raise ValueError(
                f"Expected eps to be a positive number in units of the image range (8/255, say), but it was {self.eps!r}."
            )
        if type(self.eps) not in (int, float):
            object.__setattr__(self, "eps", eps)
        if not self.lower < self.upper:
            raise ValueError(f"Expected lower < upper, but the box was [{self.lower}, {self.upper}].")
        width = self.upper - self.lower
        if self.p == math.inf and width < self.eps < math.inf:
            hint = f" Did you mean {self.eps:g}/255?" if self.eps <= 255 else ""
            raise ValueError(
                f"Expected an Linf eps of at most {width:g}, the width of the box [{self.lower:g}, {self.upper:g}], "
                f"but it was {self.eps:g}.{hint} Images and eps are in [0, 1]."
            )

    @property
    def tolerance(self) -> float:
        """How far float32 rounding may move a projected point beyond ``eps``."""
        return 1e-6 * max(1.0, self.eps) if self.eps < math.inf else 0.0

    def diameter(self, d: int) -> float:
        """The largest distance between two points of the box with ``d`` entries."""
        width = self.upper - self.lower
        return {math.inf: width, 2.0: width * math.sqrt(d), 1.0: width * d, 0.0: float(d)}[self.p]

    def bounded(self, d: int) -> Threat:
        """The same threat with a finite radius (the box's diameter if ``eps`` is infinite), so that it can scale steps."""
        return replace(self, eps=self.diameter(d)) if self.eps == math.inf else self

    def check_dimension(self, d: int) -> None:
        """Refuse a radius that covers the whole box with ``d`` entries: it constrains nothing, so it is a mistake."""
        diameter = self.diameter(d)
        if diameter < self.eps < math.inf:
            raise ValueError(
                f"Expected an {self.norm} eps below {diameter:g}, the diameter of the box for images with {d} entries, "
                f"but it was {self.eps:g}. Use math.inf for 'no limit'."
            )

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        """Distance of matching rows: [n, \\*shape], [n, \\*shape] -> [n]."""
        return row_norm(x - x0, self.p)

    def clip(self, x: Tensor) -> Tensor:
        """Clip ``x`` to the box."""
        return x.clamp(self.lower, self.upper)

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        """Project the rows of ``x`` [n, \\*shape] onto the ball around ``x0`` and the box.

        Linf: the nearest point. L2 and L1: first the nearest point of the ball, then of the box; since x0 lies in
        the box, clipping only shortens the distance, so the result is in both (nearest where the box is inactive).
        """
        raise NotImplementedError

    def steepest(self, g: Tensor) -> Tensor:
        """The direction of unit length in this norm along which a linear loss with gradient ``g`` rises fastest."""
        raise NotImplementedError

    def __str__(self) -> str:
        if self.eps == math.inf:
            return f"{self.norm} unlimited"
        if self.p == math.inf:
            over = Fraction(self.eps * 255).limit_denominator(100)
            short = round(self.eps, 3) == self.eps  # 0.1 was meant as 0.1, not as 25.5/255
            if not short and abs(float(over) / 255 - self.eps) < 1e-9 and over.denominator <= 2 and self.eps < 0.25:
                return f"{self.norm} {over if over.denominator == 1 else float(over)}/255"
        return f"{self.norm} {self.eps:.6g}"


@dataclass(frozen=True)
class Linf(Threat):
    """Each entry may change by at most ``eps``."""

    p: ClassVar[float] = math.inf
    norm: ClassVar[str] = "Linf"

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        if self.eps == math.inf:
            return self.clip(x)
        return torch.clamp(x, (x0 - self.eps).clamp_min(self.lower), (x0 + self.eps).clamp_max(self.upper))

    def steepest(self, g: Tensor) -> Tensor:
        return g.sign()


@dataclass(frozen=True)
class L2(Threat):
    """The Euclidean length of the change is at most ``eps``."""

    p: ClassVar[float] = 2.0
    norm: ClassVar[str] = "L2"

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        if self.eps == math.inf:
            return self.clip(x)
        delta = x - x0
        shrink = (self.eps / row_norm(delta).clamp_min(1e-12)).clamp_max(1.0)
        return self.clip(torch.where(rows(shrink < 1, x), x0 + delta * rows(shrink, x), x))

    def steepest(self, g: Tensor) -> Tensor:
        return unit(g)


@dataclass(frozen=True)
class L1(Threat):
    """The sum of the absolute changes is at most ``eps``."""

    p: ClassVar[float] = 1.0
    norm: ClassVar[str] = "L1"

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        if self.eps == math.inf:
            return self.clip(x)
        delta = x - x0
        outside = row_norm(delta, 1) > self.eps
        if not bool(outside.any()):
            return self.clip(x)
        # Duchi et al. 2008, "Efficient projections onto the l1-ball", fig. 1: soft-threshold by theta.
        size = delta.flatten(1).abs()
        ordered = size.sort(dim=1, descending=True).values.double()
        excess = ordered.cumsum(1) - self.eps
        count = torch.arange(1, size.shape[1] + 1, device=x.device, dtype=torch.float64)
        last = (ordered * count > excess).sum(1, keepdim=True) - 1
        theta = (excess.gather(1, last) / (last + 1)).clamp_min(0).to(x.dtype)
        shrunk = (delta.flatten(1).sign() * (size - theta).clamp_min(0)).view_as(x)
        return self.clip(torch.where(rows(outside, x), x0 + shrunk, x))

    def steepest(self, g: Tensor) -> Tensor:
        flat = g.flatten(1)
        best = flat.abs().argmax(1, keepdim=True)
        return torch.zeros_like(flat).scatter(1, best, flat.gather(1, best).sign()).view_as(g)


@dataclass(frozen=True)
class L0(Threat):
    """At most ``eps`` pixels may change, each in all its channels and as far as the box allows.

    A pixel is a place [height, width] of an image [channels, height, width]; in anything else each entry is one.

    Raises:
        ValueError: eps is not a whole number of pixels.
    """

    p: ClassVar[float] = 0.0
    norm: ClassVar[str] = "L0"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps < math.inf and self.eps != int(self.eps):
            raise ValueError(f"Expected an L0 eps to be a whole number of pixels, but it was {self.eps:g}.")

    def check_dimension(self, d: int) -> None:
        """Refuse more pixels than the image has entries."""
        if d < self.eps < math.inf:
            raise ValueError(
                f"Expected an L0 eps of at most {d} pixels for images with {d} entries, but it was {self.eps:g}. "
                "Use math.inf for 'no limit'."
            )

    @staticmethod
    def _pixels(change: Tensor) -> Tensor:
        """The largest change among each pixel's channels, [n, \\*shape] -> [n, pixels]."""
        change = change.abs()
        return (change.amax(1) if change.ndim == 4 else change).flatten(1)

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        """The number of pixels that differ in any channel: [n, \\*shape], [n, \\*shape] -> [n]."""
        return (self._pixels(x - x0) > 0).sum(1).to(x.dtype)  # a count, exact in any order

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        """Keep the eps pixels that change most (by Euclidean length), put the others back, and clip to the box."""
        x = self.clip(x)
        change = self._over_channels((x - x0).square())
        if self.eps >= change.shape[1]:
            return x
        least = change.topk(int(self.eps), dim=1).values[:, -1:]
        keep = change >= least
        if bool((keep.sum(1) > self.eps).any()):  # ties: the first pixels stay
            order = change.sort(dim=1, descending=True, stable=True).indices[:, : int(self.eps)]
            keep = torch.zeros_like(keep).scatter(1, order, True)
        return torch.where(self._spread(keep, x), x, x0)

    def steepest(self, g: Tensor) -> Tensor:
        """The signs of the gradient at the pixel where it is largest (summed over channels), zero elsewhere."""
        flat = self._over_channels(g.abs())
        best = torch.zeros_like(flat, dtype=torch.bool).scatter(1, flat.argmax(1, keepdim=True), True)
        return torch.where(self._spread(best, g), g.sign(), torch.zeros_like(g))

    @staticmethod
    def _over_channels(v: Tensor) -> Tensor:
        """The sum over each pixel's channels, [n, \\*shape] -> [n, pixels], in a fixed order, so that rows are independent."""
        if v.ndim == 4:
            total = v[:, 0]
            for channel in range(1, v.shape[1]):
                total = total + v[:, channel]
            v = total
        return v.flatten(1)

    @staticmethod
    def _spread(keep: Tensor, x: Tensor) -> Tensor:
        return keep.view(-1, 1, *x.shape[2:]) if x.ndim == 4 else keep.view_as(x)


def as_threat(value: object) -> Threat:
    """Check that ``value`` is a `Threat`, and return it. Raises: TypeError, it is not."""
    if not isinstance(value, Threat):
        raise TypeError(f"Expected a threat such as blackbox.Linf(8/255), but it was {value!r:.80}.")
    return value


def eight_bit(x: Tensor, x0: Tensor) -> Tensor:
    """Round the entries of ``x`` [n, \\*shape] that differ from ``x0`` to multiples of 1/255, each towards ``x0``.

    Entries equal to ``x0`` stay, so that a pixel that was not changed is not counted as one: the whole is an 8-bit image where
    ``x0`` is. A changed entry takes the multiple nearest to ``x`` between it and ``x0``, so no entry moves away from
    ``x0`` and no distance grows; if there is no multiple between the two (``x0`` is not an 8-bit image), it takes the one
    nearest to ``x0``. Entries that reach an 8-bit ``x0`` are equal to it.
    """
    grain = 1e-4  # in levels: float32 rounding, 1.5e-5, must not cost a level; it is 4e-7 in the image range
    level, level0 = x.double() * 255, x0.double() * 255
    nearest0 = level0.round()
    down, up = (level + grain).floor(), (level - grain).ceil()
    kept = torch.where(level >= level0, down, up)
    passed = torch.where(level >= level0, kept < level0 - grain, kept > level0 + grain)
    kept = torch.where(passed, nearest0, kept)
    same = (x == x0) | ((kept == nearest0) & ((level0 - nearest0).abs() < grain))
    return torch.where(same, x0, kept.to(x.dtype) / 255)
