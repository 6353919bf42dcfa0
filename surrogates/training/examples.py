"""Training examples: images with hard or soft labels, cut into batches and augmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rng import Stream
from surrogates.data.answers import Answers
from surrogates.data.dataset import Dataset, as_dataset


@dataclass(frozen=True, eq=False)
class Examples:
    """Training examples: images, labels [n], and soft labels [n, C] or None; ids [n], their indices in the training set, seed
    each image's draws."""

    images: Tensor
    labels: Tensor
    soft: Tensor | None
    augment: tuple[str, ...]
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> Examples:
        i = torch.from_numpy(index)
        soft = None if self.soft is None else self.soft[i]
        return Examples(self.images[i], self.labels[i], soft, self.augment, self.ids[index])


def as_examples(train_set: Dataset | Answers | tuple[Any, Any], soft: bool | None = None) -> Examples:
    """Convert a training set of any kind to `Examples`; with ``soft=False`` only the labels are used."""
    if isinstance(train_set, Answers):
        if soft and train_set.probabilities is None:
            raise ValueError(
                "Expected a target that shows scores for soft labels, but it shows labels only. Use soft=False."
            )
        values = None if soft is False else train_set.probabilities
        return Examples(train_set.images, train_set.labels, values, train_set.augment, _ids(len(train_set)))
    if soft:
        raise ValueError("Expected a teacher or Answers for soft labels, but the training set has class indices only.")
    if isinstance(train_set, (tuple, list)) and len(train_set) == 2 and train_set[1] is None:
        raise ValueError("Expected labels, or a teacher to give them, but there were neither.")
    data = as_dataset(train_set)
    return Examples(data.images, data.labels, None, data.augment, _ids(len(data)))


def _ids(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint64)


def check_examples(examples: Examples, classes: int, taught: bool, name: str = "a training set") -> None:
    """Check that the net has a class for every label, and that there are at least two classes."""
    high = int(examples.labels.max())
    if high >= classes or (examples.soft is not None and examples.soft.shape[1] != classes):
        count = examples.soft.shape[1] if examples.soft is not None else high + 1
        where = "" if examples.soft is not None else f" (sample {int(examples.labels.argmax())} has {high})"
        raise ValueError(
            f"Expected labels in 0..{classes - 1} (the net has {classes} classes), but there are {count} classes{where}. "
            f"Build the net with classes={count}."
        )
    if len(examples) < 2 or bool((examples.labels == examples.labels[0]).all()):
        whose = "the target answered" if taught else "all labels are"
        raise ValueError(
            f"Expected {name} with at least two classes, but {whose} {int(examples.labels[0])} for all of the "
            f"{len(examples)} images. A net cannot be trained on a single class."
        )


def hold_out(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples | None]:
    """Split examples at random into (to train on, held out)."""
    if not share:
        return examples, None
    aside = round(share * len(examples))
    if not 1 <= aside <= len(examples) - 2:
        raise ValueError(f"Expected enough images to hold out a share of {share:g}, but there were {len(examples)}.")
    order = Stream(seed, examples.ids).shared_permutation(0, "held out", len(examples)).numpy()
    return examples.take(np.sort(order[aside:])), examples.take(np.sort(order[:aside]))


def batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut the order into batches; a last batch of one image joins the one before it, since batch norm needs two."""
    cuts = list(range(size, len(order), size))
    if cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)


def augmented(x: Tensor, kinds: tuple[str, ...], rng: Stream, epoch: int) -> Tensor:
    """Shift and mirror a batch [m, C, H, W], each image by its own draw: a function of (seed, id, epoch) alone."""
    if not kinds:
        return x
    h, w = x.shape[2:]
    pad = min(4, max(1, min(h, w) // 8)) if "crop" in kinds else 0
    u = rng.uniform_array(epoch, "augment", 3)
    top, left = (torch.from_numpy((u[:, i] * (2 * pad + 1)).astype(np.int64)) for i in (0, 1))
    wide = torch.arange(w).expand(len(x), w)
    if "flip" in kinds:
        mirror = torch.from_numpy(u[:, 2] < 0.5)
        wide = torch.where(mirror[:, None], w - 1 - wide, wide)
    high = (top[:, None] + torch.arange(h))[:, :, None].to(x.device)
    wide = (left[:, None] + wide)[:, None, :].to(x.device)
    at = torch.arange(len(x), device=x.device)[:, None, None]
    return F.pad(x, (pad, pad, pad, pad)).permute(0, 2, 3, 1)[at, high, wide].permute(0, 3, 1, 2)


def batch_loss(out: Tensor, labels: Tensor, soft: Tensor | None, temperature: float) -> Tensor:
    """The mean loss of a batch: cross-entropy with labels, or with probabilities softened by a temperature."""
    if soft is None:
        return F.cross_entropy(out, labels)
    if temperature == 1:
        return F.cross_entropy(out, soft)
    wanted = (soft.clamp_min(1e-12).log() / temperature).softmax(1)  # log p is the logits up to a constant
    return F.cross_entropy(out / temperature, wanted) * temperature**2
