"""Benign queries: what a detector should let through. Different images, and the frames of clips that resemble one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.rng import Stream

DIFFERENT, CLIPS = "different images", "frames of clips"
FRAMES, MOST = 5, 200  # frames of a clip; images that are shown
NOISE = 1 / 255  # standard deviation of a frame's sensor noise


def benign(images: Tensor, seed: int = 0, ids: Any = None) -> dict[str, Tensor]:
    """Streams of benign queries, made of clean ``images`` [N, \\*shape], of which the first `MOST` are taken.

    The first stream has each image once. The second has of each a clip as of a camera that pans: `FRAMES` frames, each one pixel
    further, the border repeated, with Gaussian noise of `NOISE` and rounded to 8 bits; one clip after the other. What is no
    image is not moved, only noisy.
    """
    x = images[:MOST].cpu()
    numbers = np.arange(len(x), dtype=np.uint64) if ids is None else np.asarray(ids)[:MOST].astype(np.uint64)
    draws = Stream(seed, numbers)
    frames = []
    for k in range(FRAMES):
        noise = draws.normal(k, "sensor noise", tuple(x.shape[1:]))
        frames.append(((panned(x, k) + NOISE * noise).clamp(0, 1) * 255).round() / 255)
    return {DIFFERENT: x, CLIPS: torch.stack(frames, 1).flatten(0, 1)}


def panned(x: Tensor, pixels: int) -> Tensor:
    """Images moved to the left by so many pixels; the border is repeated."""
    if x.ndim < 4 or not pixels:
        return x
    return torch.cat([x[..., pixels:], x[..., -1:].expand(*x.shape[:-1], pixels)], -1)
