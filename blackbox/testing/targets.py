"""Targets whose answers are known in closed form, and wrappers that misbehave in one defined way.

Every target is a plain callable on float images [m, \\*shape] in [0, 1] that returns logits [m, C]; pass it to
``blackbox.Oracle``. All of them are *row-exact*: a row's answer is the same to the last bit whatever else is in the call,
so a test may require bit-equal results.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.rng import Stream
from blackbox.rowwise import row_norm, row_sum

_DUAL = {"Linf": 1.0, "L2": 2.0, "L1": math.inf}  # |w . v| <= ||v||_p * ||w||_dual

Model = Callable[[Tensor], Tensor]


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    """``x`` [m, \\*shape] times ``weight`` [k, \\*shape] -> [m, k], with sums in an order that depends on the width alone."""
    return row_sum((x[:, None] * weight[None]).flatten(0, 1)).view(len(x), len(weight))


@dataclass(frozen=True, eq=False)
class Affine:
    """``logit_c(x) = weight_c . x + bias_c``: the nearest point of another class is known in every norm.

    Args:
        weight: [C, \\*shape]. bias: [C].
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return _linear(x, self.weight.to(x)) + self.bias.to(x)

    def gradient(self, y: int, other: int) -> Tensor:
        """The gradient [\\*shape] of the margin ``logit_other - logit_y``, the same everywhere."""
        return self.weight[other] - self.weight[y]

    def margins(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The margins ``logit_y - logit_c`` [n, C] float64, and ``weight_y - weight_c`` [n, C, d]."""
        w, b = self.weight.flatten(1).double(), self.bias.double()
        logits = x.flatten(1).double() @ w.T + b
        return logits.gather(1, y[:, None]) - logits, w[y][:, None] - w[None]

    def distance(self, x: Tensor, y: Tensor, norm: str, target: Tensor | None = None) -> Tensor:
        """The distance of ``x`` [n, \\*shape] of class ``y`` [n] from the nearest boundary, ignoring the box, [n] float64.

        Args:
            norm: "Linf", "L2", "L1", or "L0" (pixels, each as far as the box [0, 1] allows).
            target: [n] the class to reach; only for two classes, where it is the other one.

        Raises:
            ValueError: a target among more than two classes: its region is bounded by several planes.
        """
        if target is not None and len(self.weight) != 2:
            raise ValueError(f"Expected two classes for a closed-form targeted distance, but there are {len(self.weight)}.")
        margin, normal = self.margins(x, y)
        if norm == "L0":
            inside = x.flatten(1).double()[:, None]
            most = torch.maximum(-normal * (1 - inside), normal * inside).view(*margin.shape, *x.shape[1:])
            most = (most.sum(2) if x.ndim == 4 else most).flatten(2).sort(dim=2, descending=True).values
            reach = (most.cumsum(2) <= margin[:, :, None]).sum(2).double() + 1
        else:
            reach = margin / row_norm(normal.flatten(0, 1), _DUAL[norm]).view_as(margin)
        return reach.scatter(1, y[:, None], math.inf).amin(1)

    def nearest(self, x: Tensor, y: Tensor, norm: str, beyond: float = 1.0) -> Tensor:
        """The nearest boundary point, or one ``beyond`` times as far in the same direction, [n, \\*shape] float64."""
        margin, normal = self.margins(x, y)
        reach = margin / row_norm(normal.flatten(0, 1), _DUAL[norm]).view_as(margin)
        distance, other = reach.scatter(1, y[:, None], math.inf).min(1)
        w = -normal[torch.arange(len(x)), other]
        if norm == "Linf":
            move = w.sign()
        elif norm == "L2":
            move = w / w.norm(dim=1, keepdim=True)
        else:
            best = w.abs().argmax(1, keepdim=True)
            move = torch.zeros_like(w).scatter(1, best, w.gather(1, best).sign())
        return x.double() + (beyond * distance[:, None] * move).view(x.shape)


@dataclass(frozen=True, eq=False)
class Sphere:
    """Class 0 inside a ball, class 1 outside: ``logit_1 - logit_0 = |x - centre|^2 - radius^2``.

    Args:
        centre: [\\*shape]. radius: in L2.
    """

    centre: Tensor
    radius: float

    def __call__(self, x: Tensor) -> Tensor:
        v = x - self.centre.to(x)
        value = row_sum(v * v) - self.radius**2
        return torch.stack([-0.5 * value, 0.5 * value], 1)

    def distance(self, x: Tensor) -> Tensor:
        """The L2 distance to the boundary, ignoring the box, [n] float64."""
        return ((x.double() - self.centre.double()).flatten(1).norm(dim=1) - self.radius).abs()


@dataclass(frozen=True, eq=False)
class Quadratic:
    """Two classes, ``logit_1 - logit_0 = slope . v + v . (curvature * v) / 2 + offset`` with ``v = x - centre``.

    Two-sided differences along coordinates are exact on it, one-sided ones are off by ``h * curvature / 2``.

    Args:
        slope, curvature, centre: [\\*shape]. offset: the value at the centre.
    """

    slope: Tensor
    curvature: Tensor
    centre: Tensor
    offset: float = -1.0

    def __call__(self, x: Tensor) -> Tensor:
        v = x - self.centre.to(x)
        value = row_sum(v * (self.slope.to(x) + 0.5 * self.curvature.to(x) * v)) + self.offset
        return torch.stack([-0.5 * value, 0.5 * value], 1)

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient of ``logit_1 - logit_0``, [n, \\*shape]."""
        return self.slope.to(x) + self.curvature.to(x) * (x - self.centre.to(x))


@dataclass(frozen=True)
class Constant:
    """Gives the same answer to everything, so that no attack can succeed. classes: C. label: the predicted class."""

    classes: int = 3
    label: int = 0

    def __call__(self, x: Tensor) -> Tensor:
        out = torch.zeros(len(x), self.classes, device=x.device)
        out[:, self.label] = 2.0  # not 1: these are logits, and are not to be taken for probabilities
        return out


@dataclass(frozen=True, eq=False)
class ReluNet:
    """A small net, ``logits = out . relu(weight . x + bias)``: nonlinear, without a closed form, row-exact.

    Args:
        weight: [hidden, \\*shape]. bias: [hidden]. out: [C, hidden].
    """

    weight: Tensor
    bias: Tensor
    out: Tensor

    @classmethod
    def random(cls, shape: tuple[int, ...], classes: int = 3, hidden: int = 8, seed: int = 0) -> ReluNet:
        """Weights drawn from ``seed``; all logits are of the same size near the middle of the box."""
        rng = np.random.default_rng(seed)
        weight = torch.tensor(rng.standard_normal((hidden, *shape)), dtype=torch.float32)
        bias = torch.tensor(rng.standard_normal(hidden), dtype=torch.float32) - 0.5 * weight.flatten(1).sum(1)
        return cls(weight, bias, torch.tensor(rng.standard_normal((classes, hidden)), dtype=torch.float32))

    def __call__(self, x: Tensor) -> Tensor:
        units = (_linear(x, self.weight.to(x)) + self.bias.to(x)).clamp_min(0)
        return _linear(units, self.out.to(x))


class Quantised:
    """A target that sees ``levels`` levels per entry and shows ``decimals`` decimals of its scores.

    Args:
        target: the target inside.
        levels: 256 for 8-bit input, None for unchanged images.
        decimals: of the rounded scores, None for no rounding.
    """

    def __init__(self, target: Model, levels: int | None = 256, decimals: int | None = None) -> None:
        self.target, self.levels, self.decimals = target, levels, decimals

    def __call__(self, x: Tensor) -> Tensor:
        if self.levels is not None:
            x = (x * (self.levels - 1)).round() / (self.levels - 1)
        out = self.target(x)
        return out if self.decimals is None else out.round(decimals=self.decimals)


class Noisy:
    """Adds Gaussian noise to every score, so that answers are random.

    The noise of the i-th query is a function of (seed, i), so that a run can be repeated exactly.

    Args:
        target: the target inside.
        scale: standard deviation, in units of its scores.
        seed: of the noise.
    """

    def __init__(self, target: Model, scale: float, seed: int = 0) -> None:
        self.target, self.scale, self.seed, self.shown = target, scale, seed, 0

    def __call__(self, x: Tensor) -> Tensor:
        out = self.target(x)
        numbers = np.arange(self.shown, self.shown + len(x), dtype=np.uint64)
        self.shown += len(x)
        return out + self.scale * Stream(self.seed, numbers).normal(0, "noise", out.shape[1]).to(out)


class Failing:
    """Misbehaves on exactly one call.

    Args:
        target: the target inside.
        call: the call that goes wrong, 1 for the first.
        how: "raise" (RuntimeError), "interrupt" (KeyboardInterrupt, as ctrl-C would), "nan" or "inf" (in one row),
            "shape" (one column too many), "drop" (one row missing), "flat" (one number a row), "object" (no array).
        row: the row for "nan" and "inf"; from the end when negative.
    """

    HOW = ("raise", "interrupt", "nan", "inf", "shape", "drop", "flat", "object")

    def __init__(self, target: Model, call: int, how: str = "raise", row: int = 0) -> None:
        if how not in self.HOW:
            raise ValueError(f"Expected how to be one of {', '.join(self.HOW)}, but it was {how!r}.")
        self.target, self.call, self.how, self.row, self.calls = target, call, how, row, 0

    def __call__(self, x: Tensor) -> Any:
        self.calls += 1
        if self.calls != self.call:
            return self.target(x)
        if self.how == "raise":
            raise RuntimeError(f"planned failure on call {self.call}")
        if self.how == "interrupt":
            raise KeyboardInterrupt
        if self.how == "object":
            return object()
        out = self.target(x).clone()
        if self.how in ("nan", "inf"):
            out[self.row] = math.nan if self.how == "nan" else math.inf
            return out
        return {"shape": torch.cat([out, out[:, :1]], 1), "drop": out[:-1], "flat": out[:, 0]}[self.how]


class Recording:
    """Remembers every image that was queried *and answered*, independently of the oracle's counts.

    Attributes:
        sizes: rows of each answered call.
        count: rows answered.
    """

    def __init__(self, target: Model) -> None:
        self.target = target
        self.sizes: list[int] = []
        self._rows: list[np.ndarray] = []

    def __call__(self, x: Tensor) -> Any:
        seen = x.numpy(force=True).copy()
        out = self.target(x)
        self._rows.append(seen)
        self.sizes.append(len(seen))
        return out

    @property
    def count(self) -> int:
        return sum(self.sizes)

    @property
    def shown(self) -> Tensor:
        """All answered images in order, [count, \\*shape]."""
        return torch.from_numpy(np.concatenate(self._rows)) if self._rows else torch.zeros(0)

    def tally(self) -> dict[bytes, int]:
        """How often each point was queried, by its bytes."""
        out: dict[bytes, int] = {}
        for rows in self._rows:
            for row in rows:
                key = row.tobytes()
                out[key] = out.get(key, 0) + 1
        return out
