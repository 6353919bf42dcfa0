"""What a net is shown while it learns: images with hard or soft labels, cut into batches, shifted and mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learned: images, labels [n], soft labels [n, C] or None."""

    images: Tensor
    labels: Tensor
    soft: Tensor | None
    augment: tuple[str, ...]

    def take(self, index: np.ndarray) -> Lesson:
        i = torch.from_numpy(index)
        return Lesson(self.images[i], self.labels[i], None if self.soft is None else self.soft[i], self.augment)


def batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """The order in pieces; a last piece of one image joins the one before it, because batch norm has nothing to average
    over in one image."""
    cuts = list(range(size, len(order), size))
    if cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)


def augmented(x: Tensor, kinds: tuple[str, ...], rng: np.random.Generator) -> Tensor:
    """Shift and mirror a batch [m, C, H, W], each image by its own draw."""
    if "crop" in kinds:
        h, w = x.shape[2:]
        pad = min(4, max(1, min(h, w) // 8))
        padded = F.pad(x, (pad, pad, pad, pad))
        top = torch.from_numpy(rng.integers(0, 2 * pad + 1, len(x))).to(x.device)
        left = torch.from_numpy(rng.integers(0, 2 * pad + 1, len(x))).to(x.device)
        at = torch.arange(len(x), device=x.device)[:, None, None]
        high = (top[:, None] + torch.arange(h, device=x.device))[:, :, None]
        wide = (left[:, None] + torch.arange(w, device=x.device))[:, None, :]
        x = padded.permute(0, 2, 3, 1)[at, high, wide].permute(0, 3, 1, 2).contiguous()
    if "flip" in kinds:
        mirror = torch.from_numpy(rng.random(len(x)) < 0.5).to(x.device)
        x = torch.where(mirror[:, None, None, None], x.flip(3), x)
    return x


def lesson_loss(out: Tensor, labels: Tensor, soft: Tensor | None, temperature: float) -> Tensor:
    """Mean loss of a batch: cross-entropy to labels, or to probabilities softened by a temperature."""
    if soft is None:
        return F.cross_entropy(out, labels)
    if temperature == 1:
        return F.cross_entropy(out, soft)
    wanted = (soft.clamp_min(1e-12).log() / temperature).softmax(1)  # log p is the logits up to a constant
    return F.cross_entropy(out / temperature, wanted) * temperature**2
