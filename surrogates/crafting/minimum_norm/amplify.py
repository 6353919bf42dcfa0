"""Scales perturbations to a given size: the amplified distortions of Szegedy et al. 2013, table 4."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from blackbox.checks import as_images
from blackbox.rowwise import row_norm
from blackbox.threat import L2
from surrogates.crafting.ball import stretched
from surrogates.crafting.minimum_norm.core import Box, positive


def amplify(x_adv: Any, x: Any, rms: float, box: Box = (0.0, 1.0)) -> Tensor:
    """Scale the changes x_adv - x [N, \\*shape] until their RMS, *after* clipping to the box, is ``rms``.

    Szegedy et al. 2013, arXiv:1312.6199, table 4: perturbations brought to a standard deviation of 0.1. *Departs from
    the paper's printed formula* x + 0.1 (x' - x) / |x' - x|_2, whose RMS is 0.1 / sqrt(d), far from the table's.

    Returns:
        [N, \\*shape] float32. An unchanged image stays unchanged; where the box leaves too little room, the change is the
        longest possible.

    Raises:
        ValueError: images of different shapes; an rms that is not positive.
    """
    positive(rms=rms)
    made, x0 = as_images(x_adv, "x_adv"), as_images(x, "x")
    if made.shape != x0.shape:
        raise ValueError(f"Expected x_adv to have the shape of x, {tuple(x0.shape)}, but it had {tuple(made.shape)}.")
    x0 = x0.to(made.device)
    change = made - x0
    want = torch.full_like(row_norm(change), rms * math.sqrt(change[0].numel()))
    return stretched(x0, change, want, L2(math.inf, *box))
