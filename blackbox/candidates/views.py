"""Views: the gradient of an image is taken through a moved or mirrored copy of it, so that it fits more than one net."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from blackbox.protocol import Task
from blackbox.rowwise import choose


def through_view(
    t: Task, gradient: Callable[[Tensor], Tensor], x: Tensor, tag: str, mirror: Tensor | None
) -> Tensor:
    """The gradient at ``x`` [n, \\*shape] through a view: each row moved by up to a tenth of its sides, and mirrored at
    random where ``mirror`` [n] says that it may be. ``tag`` names the draws.

    Source: DI (Xie et al. 2019, arXiv:1803.06978). Departs from the paper: images are moved, not resized.
    """
    most = torch.tensor([side // 10 for side in t.shape[1:]], device=x.device)
    draw = t.rng.uniform(0, f"view {tag}", 3)
    by = torch.floor(draw[:, :2] * (2 * most + 1)).long() - most
    if mirror is None:
        return moved(gradient(moved(x, by)), -by)
    turned = mirror & (draw[:, 2] < 0.5)
    g = moved(gradient(moved(choose(turned, x.flip(3), x), by)), -by)
    return choose(turned, g.flip(3), g)


def moved(x: Tensor, by: Tensor) -> Tensor:
    """[n, channels, height, width] moved by ``by`` [n, 2] pixels, down and to the right; black where nothing came from."""
    for axis in (2, 3):
        side = x.shape[axis]
        source = torch.arange(side, device=x.device) - by[:, axis - 2, None]
        shape = [len(x), 1, -1, 1] if axis == 2 else [len(x), 1, 1, -1]
        on = ((source >= 0) & (source < side)).view(shape)
        x = x.gather(axis, source.clamp(0, side - 1).view(shape).expand_as(x)) * on
    return x
