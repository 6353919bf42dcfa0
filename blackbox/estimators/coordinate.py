"""Coordinate differences: the gradient one pixel at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.estimators.probes import Own, affordable, bill, blocks, differences, probe_size, pushes
from blackbox.protocol import Ask, Steps, Task


@dataclass(frozen=True)
class Coordinates:
    """Full finite differences: 2d queries two-sided, d (and the centre) one-sided.

    Source: Bhagoji et al. 2018, arXiv:1712.09491, the method of finite differences. Exact where the loss is linear,
    at the box's edges too. No direction is held: a call's worth is made when it is called.

    Departs from the paper: a difference is divided by the displacement that really happened after the clip to the
    box, not by 2h; one-sided probes step inwards where a pixel lies at the edge. When ``most`` is below the plan, as
    many pixels as it pays for are taken in a random order and the others are left at 0.

    Args:
        h: probe radius in units of the image range (the paper's delta is 0.01 for the logit loss on MNIST).
        two_sided: f(x+h) - f(x-h); else f(x+h) - f(x).
        block: pixels an Ask. After each a row that has meanwhile succeeded stops paying.
    """

    h: float = 0.01
    two_sided: bool = True
    block: int = 64

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0, most: int | None = None) -> int:
        return bill(torch.Size(shape).numel(), self.two_sided, centre, most)

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        each = 2 if self.two_sided else 1
        count = affordable(t.d, self.two_sided, loss is None, most)
        g = torch.zeros_like(x).flatten(1)
        if not count:
            return g.view_as(x)
        h = probe_size(t, self.h, 1.0, self.two_sided)
        push, moved, base = yield from pushes(t, x, h, loss, self.two_sided)
        order = t.rng.shared_permutation(k, "coordinates", t.d)
        for start, stop in blocks(count, self.block):
            pixel = order[start:stop]

            def make(row: Tensor, index: Tensor, pixel: Tensor = pixel) -> Tensor:
                at = pixel[index // each]
                move = push[row, at]
                if each == 2:
                    move = move * (1 - 2 * (index % 2))
                u = move.new_zeros(len(row), t.d)
                return u.scatter_(1, at[:, None], move[:, None]).view(-1, *t.shape)

            a = yield Ask(x, u=Own(each * len(pixel), make))
            g[:, pixel] = differences(a.loss, base) / moved[:, pixel]
        return g.view_as(x)
