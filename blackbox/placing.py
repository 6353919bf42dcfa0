"""Where a patch does most, by gradients of nets of one's own: for crafting in a place that is searched, and for attacks with a prior."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from blackbox.areas import Patch, window_sums
from blackbox.rowwise import choose

PLACES, STEPS, STEP = 6, 5, 0.4  # tried; steps of a trial; how long one is, as a share of the box (ours, not tuned)


def find(
    patch: Patch, x0: Tensor, gradient: Callable[[Tensor], Tensor], loss: Callable[[Tensor], Tensor], mask: Tensor | None = None
) -> Tensor:
    """The row and column of the patch that raises the loss of each image most, of some that are tried, [n, 2] int64.

    Tried are the places in which the gradient at the clean image promises most of any content, the best first and each at least half a
    patch from those before; in each the content takes a few sign steps. Ours; gradient-guided placing is in Rao et al. 2020,
    arXiv:2005.02313, and in many others.

    Args:
        x0: [n, C, height, width] clean images.
        gradient: images -> the gradient of the loss, [n, C, height, width]. loss: images -> [n]; larger is nearer to success.
        mask: [n, \\*shape] bool, what may change inside the patch too; None for all.
    """
    n, shape, g = len(x0), tuple(x0.shape[1:]), gradient(x0)
    promised = torch.where(g > 0, g * (patch.upper - x0), g * (patch.lower - x0))
    promised = promised if mask is None else promised * mask
    left = window_sums(promised.sum(1), patch.size)
    across = left.shape[2]
    down_at, across_at = torch.arange(left.shape[1], device=x0.device)[:, None], torch.arange(across, device=x0.device)
    best, place = torch.full((n,), -torch.inf, device=x0.device), torch.zeros(n, 2, dtype=torch.int64, device=x0.device)
    for _ in range(min(PLACES, left[0].numel())):
        value, at = left.flatten(1).max(1)
        tried = torch.stack([at // across, at % across], 1)
        inside = patch.at(tried, shape) if mask is None else patch.at(tried, shape) & mask
        found = _trial(patch, x0, gradient, inside)
        now = torch.where(value > -torch.inf, loss(found).to(best), -torch.inf)
        better = (now > best) | (best == -torch.inf)
        best, place = choose(better, now, best), torch.where(better[:, None], tried, place)
        top, side = tried.T[:, :, None, None]
        near = ((down_at - top).abs() * 2 < patch.size[0]) & ((across_at - side).abs() * 2 < patch.size[1])
        left = left.masked_fill(near, -torch.inf)
    return place


def _trial(patch: Patch, x0: Tensor, gradient: Callable[[Tensor], Tensor], inside: Tensor) -> Tensor:
    """The images with what a few sign steps make of the content ``inside`` [n, \\*shape] bool."""
    x = x0
    for _ in range(STEPS):
        moved = (x + STEP * (patch.upper - patch.lower) * gradient(x).sign()).clamp(patch.lower, patch.upper)
        x = torch.where(inside, moved, x0)
    return x
