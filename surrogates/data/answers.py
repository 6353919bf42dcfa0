"""A target's answers to images, paid for once: a training set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_seed, check_int
from blackbox.oracle.oracle import Oracle, Reply
from blackbox.protocol import Access
from surrogates.data.dataset import Dataset, images_of

TOPK = ("spread", "renormalised")
_BLOCK = 1024  # images a call of the oracle, so that a target's failure loses only the last call


@dataclass(frozen=True, eq=False)
class Answers:
    """Images and a target's answers to them; a training set for `surrogates.train`.

    Attributes:
        images: [n, C, H, W].
        labels: [n] int64, given by the target.
        probabilities: [n, C] float32 as the target showed them (a top-k list completed, see `ask`), or None when it shows
            labels only.
        index: [n], each image's index in the pool (-1: it was synthesised).
        classes: their number.
        augment: as in `surrogates.data.Dataset`.
        rejected: how many images the target was asked about, and paid for, and refused to answer. Nothing is known of them, so they
            are not among these.
    """

    images: Tensor
    labels: Tensor
    probabilities: Tensor | None
    index: np.ndarray
    classes: int
    augment: tuple[str, ...] = ()
    rejected: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Any) -> Answers:
        """The answers at ``index``: integers [m] or a boolean mask [n]; ``rejected`` is then 0."""
        at = np.asarray(index)
        i = torch.from_numpy(at)
        soft = None if self.probabilities is None else self.probabilities[i]
        return replace(self, images=self.images[i], labels=self.labels[i], probabilities=soft, index=self.index[at], rejected=0)

    @property
    def paid(self) -> int:
        """How many queries they cost."""
        return len(self) + self.rejected

    def join(self, *more: Answers) -> Answers:
        """Append ``more`` answers of the same target."""
        parts = [self, *more]
        soft = [a.probabilities for a in parts if a.probabilities is not None]
        shown = soft and all(a.probabilities is not None for a in parts if len(a))  # a failed call without an answer shows nothing
        return replace(
            self,
            images=torch.cat([a.images for a in parts]),
            labels=torch.cat([a.labels for a in parts]),
            probabilities=torch.cat(soft) if shown else None,
            index=np.concatenate([a.index for a in parts]),
            rejected=sum(a.rejected for a in parts),
        )

    def plain(self) -> dict[str, Any]:
        """Labels, probabilities and index without the images, to be saved."""
        index = torch.from_numpy(self.index)
        return {"labels": self.labels, "probabilities": self.probabilities, "index": index, "rejected": self.rejected}

    @classmethod
    def from_plain(cls, plain: dict[str, Any], pool: Dataset, classes: int) -> Answers:
        """The inverse of `plain`."""
        index = plain["index"]
        at = index.numpy()
        return cls(pool.images[index], plain["labels"], plain["probabilities"], at, classes, pool.augment, plain.get("rejected", 0))


def ask(
    oracle: Oracle, pool: Any, queries: int, seed: int = 0, purpose: str = "train", topk: str = "spread"
) -> Answers:
    """Query the target with ``queries`` randomly chosen images of ``pool``; those that it rejects are paid for, and left out.

    Args:
        oracle: the target.
        pool: a Dataset (its labels are not read) or images [N, \\*shape] in [0, 1].
        queries: how many images to query; of a smaller pool each image once, and the rest of the budget is not spent.
        seed: of the choice of images and their order.
        purpose: the purpose under which the oracle charges the queries.
        topk: how a top-k answer is completed: ``"spread"``: the other classes share the rest evenly; ``"renormalised"``:
            they get nothing, and the k listed are scaled to sum to one.

    Raises:
        ValueError: a budget below 1. TargetError: the target failed; ``error.result`` holds the `Answers` before that.
    """
    check_int(queries, "queries", 1)
    images = images_of(pool, "images")
    augment = pool.augment if isinstance(pool, Dataset) else ()
    order = np.random.Generator(np.random.Philox(as_seed(seed))).permutation(len(images))[:queries]
    return ask_all(oracle, images[torch.from_numpy(order)], order, augment, purpose, topk)


def ask_all(
    oracle: Oracle, x: Tensor, index: np.ndarray, augment: tuple[str, ...], purpose: str = "train", topk: str = "spread"
) -> Answers:
    """Query the target with all images ``x`` [n, C, H, W], at ``index`` [n] of the pool. Returns and raises as `ask` does."""
    if topk not in TOPK:
        raise ValueError(f"Expected topk to be one of {', '.join(TOPK)}, but it was {topk!r}.")
    labels: list[Tensor] = []
    soft: list[Tensor] = []
    answered: list[Tensor] = []

    def so_far() -> Answers:
        kept = torch.cat(answered) if answered else torch.zeros(0, dtype=torch.bool)
        probabilities = torch.cat(soft) if soft else None
        label = torch.cat(labels) if labels else torch.zeros(0, dtype=torch.int64)
        rejected = int((~kept).sum())
        return Answers(
            x[: len(kept)][kept.to(x.device)], label, probabilities, index[: len(kept)][kept.numpy()], oracle.classes, augment, rejected
        )

    def take(reply: Reply, start: int) -> None:
        answered.append(torch.ones(len(reply.label), dtype=torch.bool) if reply.rejected is None else ~reply.rejected.cpu())
        if reply.rejected is not None:
            reply = reply.take(~reply.rejected)
        labels.append(reply.label.cpu())
        if reply.access is not Access.LABELS:
            soft.append(_normalised(_shown(reply, topk), labels[-1], start))

    for start in range(0, len(x), _BLOCK):
        try:
            take(oracle(x[start : start + _BLOCK], purpose=purpose), start)
        except BaseException as error:
            if isinstance(part := getattr(error, "result", None), Reply):  # answered before it failed
                take(part, start)
            error.result = so_far()  # type: ignore[attr-defined]
            raise
    return so_far()


def _shown(reply: Reply, topk: str) -> Tensor:
    """The probabilities [m, C] that a reply shows or implies."""
    if reply.access is Access.TOPK and topk == "renormalised":
        values, listed = cast(Tensor, reply.values), cast(Tensor, reply.classes)
        p = torch.zeros(len(values), reply.total, device=values.device).scatter(1, listed, values)
    else:
        p = reply.probabilities()
    return p.detach().float().cpu()


def _normalised(p: Tensor, label: Tensor, start: int) -> Tensor:
    """Scale probabilities to sum to one, which a target's rounding may have undone; one-hot where all were rounded to 0."""
    if bool((bad := ~p.isfinite().all(1)).any()):
        raise ValueError(
            f"Expected finite scores from the target, but answer {start + int(bad.nonzero()[0])} held NaN or infinity."
        )
    total = p.sum(1, keepdim=True)
    named = torch.nn.functional.one_hot(label, p.shape[1]).to(p.dtype)
    return torch.where(total > 0, p / total.clamp_min(1e-12), named)
