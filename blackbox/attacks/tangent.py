"""Tangent Attack and its generalisation (Ma, Guo, Chen, Yong & Wang 2021, arXiv:2111.07492)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.attacks.hop_skip_jump import HopSkipJump
from blackbox.protocol import Steps, Task
from blackbox.rowwise import choose, row_dot, row_norm, rows


@dataclass(frozen=True)
class Tangent(HopSkipJump):
    """HopSkipJump that jumps to where a ray from the original touches a half ball around the boundary point.

    Of all points of the half ball on the adversarial side that one is, through the way back, nearest to the original
    when the boundary is flat. Its place has a closed form and costs nothing (section 3.2); G-TA takes half an ellipsoid,
    longer along the normal, for curved boundaries (section 3.3).

    Departs from the paper as `HopSkipJump` does; where the touching point lies on the wrong side of the tangent plane
    or there is none, the jump is HopSkipJump's.

    Args:
        ratio: of the ellipsoid's long axis, along the normal, to the short ones: 1 (TA); G-TA has 1.5 on CIFAR-10 and
            1.1 on ImageNet.
        others: as in `HopSkipJump`; ``noise`` combines it with QEBA.
    """

    norms: ClassVar[tuple[str, ...]] = ("L2",)

    ratio: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ratio >= 1:
            raise ValueError(
                f"Expected ratio, of the long axis to the short, to be at least 1, but it was {self.ratio}."
            )

    def jump(self, t: Task, x: Tensor, g: Tensor, k: int) -> Steps[tuple[Tensor, Tensor]]:
        def path(step: Tensor) -> Tensor:
            return x + touch(t.x0 - x, g, step, step / self.ratio)

        some = row_norm(g) > 0
        step, held = yield from search.halve(path, t.distance(x) / math.sqrt(k + 1), some, self.halvings)
        return t.clip(choose(held, path(step), x)), held


def touch(p: Tensor, g: Tensor, long: Tensor, short: Tensor) -> Tensor:
    """Where a ray from ``p`` touches half an ellipsoid around 0, seen from 0: [n, \\*shape].

    In the plane of the unit normal ``g`` and ``p``, with coordinates along the tangent and along ``g`` divided by the
    axes, the ellipsoid is the unit circle, and a point w touches from p when w . p = 1 and |w| = 1.

    Args:
        p: [n, \\*shape] the original. g: [n, \\*shape] unit, towards the adversarial side. long, short: [n] axes along
            ``g`` and across it. ``long * g``, the top, where the touching point is not on the half along ``g``.
    """
    height = row_dot(p, g)
    across = p - rows(height, p) * g
    width = row_norm(across)
    a, b = width / short.clamp_min(1e-12), height / long.clamp_min(1e-12)
    square = a * a + b * b
    root = (square - 1).clamp_min(0).sqrt()
    # both solutions are (p +- root * p turned by a right angle) / |p|**2; this is the one further along g
    u, v = (a - root * b) / square.clamp_min(1e-12), (b + root * a) / square.clamp_min(1e-12)
    good = (square > 1) & (v > 0) & (width > 0)
    side = across / rows(width.clamp_min(1e-12), across)
    u, v = torch.where(good, u, torch.zeros_like(u)), torch.where(good, v, torch.ones_like(v))
    return rows(u * short, p) * side + rows(v * long, p) * g
