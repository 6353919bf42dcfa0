"""Spending queries on labels: images shown to a target once, and what it said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_images
from blackbox.oracle import Oracle, TargetError
from blackbox.protocol import Access
from surrogates.data import Dataset

_PART = 1024  # rows handed to the oracle at once, so that a target that fails leaves the answers before it


@dataclass(frozen=True, eq=False)
class Answers:
    """Images and a target's answers to them; a training set for `surrogates.train`.

    images: [n, C, H, W]. labels: [n] int64, the classes the target named. probabilities: [n, C] float32 as the target
    showed them (a top-k list has the rest spread evenly), or None when it shows labels only. index: [n], where each
    image stood in the pool. classes: their number. augment: as in `surrogates.data.Dataset`.
    """

    images: Tensor
    labels: Tensor
    probabilities: Tensor | None
    index: np.ndarray
    classes: int
    augment: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def ask(oracle: Oracle, pool: Any, queries: int, seed: int = 0, purpose: str = "train") -> Answers:
    """Show ``queries`` images of ``pool``, chosen at random, to the target.

    Args:
        oracle: the target. pool: a Dataset (its labels are not read) or images [N, \\*shape] in [0, 1].
        queries: how many images to pay for; if the pool is smaller, each of its images once, and the rest of the budget
            stays unspent (the answer to an image known already teaches nothing).
        seed: decides which images, and their order. purpose: the account that the oracle charges.

    Raises:
        ValueError: a budget below 1. TargetError: the target failed; ``error.result`` holds the `Answers` before that.
    """
    if not (isinstance(queries, (int, np.integer)) and queries >= 1):
        raise ValueError(f"Expected queries to be a whole number of at least 1, but it was {queries!r}.")
    images = pool.images if isinstance(pool, Dataset) else as_images(pool, "images")
    augment = pool.augment if isinstance(pool, Dataset) else ()
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(images))[:queries]
    x = images[torch.from_numpy(order)]
    labels: list[Tensor] = []
    soft: list[Tensor] = []

    def so_far() -> Answers:
        n = sum(map(len, labels))
        probabilities = torch.cat(soft) if soft else None
        label = torch.cat(labels) if labels else torch.zeros(0, dtype=torch.int64)
        return Answers(x[:n], label, probabilities, order[:n], oracle.classes, augment)

    for start in range(0, len(x), _PART):
        try:
            reply = oracle(x[start : start + _PART], purpose=purpose)
        except TargetError as error:
            error.result = so_far()
            raise
        labels.append(reply.label.cpu())
        if reply.access is not Access.LABELS:
            soft.append(_whole(reply.probabilities().detach().float().cpu(), labels[-1], start))
    return so_far()


def _whole(p: Tensor, label: Tensor, start: int) -> Tensor:
    """Probabilities that sum to one: rounding may have left them short, or nothing at all."""
    if bool((bad := ~p.isfinite().all(1)).any()):
        raise ValueError(
            f"Expected finite scores from the target, but answer {start + int(bad.nonzero()[0])} held NaN or infinity."
        )
    total = p.sum(1, keepdim=True)
    named = torch.nn.functional.one_hot(label, p.shape[1]).to(p.dtype)
    return torch.where(total > 0, p / total.clamp_min(1e-12), named)
