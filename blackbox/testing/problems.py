"""Problems with a known solution: images of an affine target, and the distance of each from another class."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from blackbox.testing.targets import Affine
from blackbox.threat import L0, L1, L2, Linf, Threat


def _pixels(eps: float) -> L0:
    """L0 with the whole number of pixels that a radius allows."""
    return L0(eps if eps == math.inf else max(1, math.floor(eps)))


THREATS: dict[str, Callable[[float], Threat]] = {"Linf": Linf, "L2": L2, "L1": L1, "L0": _pixels}


class Case(NamedTuple):
    """One combination that a contract runs: a norm, and whether there is a class to reach."""

    norm: str
    targeted: bool

    def __str__(self) -> str:
        return f"{self.norm}-{'targeted' if self.targeted else 'untargeted'}"


@dataclass(frozen=True)
class Problem:
    """Images of an `Affine` target with their labels and, per image, the smallest distance to another class.

    target: the target. x: [n, \\*shape]. y: [n]. goal: [n] the class to reach, or None. optimum: [n] float64.
    """

    target: Affine
    x: Tensor
    y: Tensor
    goal: Tensor | None
    optimum: Tensor


@lru_cache(maxsize=256)
def affine_problem(
    norm: str,
    shape: tuple[int, ...] = (3, 4, 4),
    samples: int = 5,
    *,
    targeted: bool = False,
    alike: bool = False,
    seed: int = 0,
) -> Problem:
    """Make images near the middle of the box whose optimum, even scaled by 1.25, lies inside the box in every norm.

    Three classes, or two when targeted (then the distance to the target class has a closed form). ``alike``: all optima are
    within 3 % of each other, so that one radius is equally hard for every image.
    """
    rng = np.random.default_rng(seed)
    classes = 2 if targeted else 3
    size = rng.uniform(0.5, 1.5, (classes, *shape))
    weight = torch.tensor(size * rng.choice([-1.0, 1.0], size.shape), dtype=torch.float32)
    bias = -0.5 * weight.flatten(1).sum(1)
    if norm == "L0":  # class 0 leads by what between three and four of the strongest pixels, at mid-grey, can change
        gain = 0.5 * (weight[1:] - weight[:1]).abs()
        strongest = (gain.sum(1) if len(shape) == 3 else gain).flatten(1).sort(dim=1, descending=True).values
        bias[1:] -= strongest[:, :3].sum(1) + 0.5 * strongest[:, 3]
    target = Affine(weight, bias)
    kept: list[Tensor] = []
    while len(kept) < samples:
        x = torch.tensor(rng.uniform(0.35, 0.65, (1024, *shape)), dtype=torch.float32)
        y = target(x).argmax(1)
        near = target.distance(x, y, "L0" if norm == "L0" else "L1")
        # L1 moves one entry by the whole distance: 0.65 + 1.25 * 0.25 < 1
        # L0: four pixels are not enough for 0.8 times the optimum, and five are 1.25 times
        good = (near == 4) if norm == "L0" else (near > 0.1) & (near < 0.25)
        if alike:
            reach = target.distance(x, y, norm)
            middle = reach[good].median()
            good &= (reach > 0.985 * middle) & (reach < 1.015 * middle)
            kept = []
        kept += list(x[good])
    x = torch.stack(kept[:samples])
    y = target(x).argmax(1)
    goal = 1 - y if targeted else None
    return Problem(target, x, y, goal, target.distance(x, y, norm, goal))
