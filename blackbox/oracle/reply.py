"""`Reply`: the answers to some images, reduced to what the access level shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Access
from blackbox.targets.rejections import widened


@dataclass(frozen=True)
class Reply:
    """The answers to m images.

    label: [m] int64, the predicted class. values: [m, C] probabilities or logits, [m, k] the k largest probabilities in
    descending order, or None when only labels are shown. classes: [m, k] int64, the classes of a top-k answer. total: C.
    access: which of these it is. rejected: [m] bool, the images that got no answer: their label is -1, their values NaN; None
    from a target that never rejects. answers: m answers of any form, in plain Python and numpy, None for what was rejected; beside
    them a label is -1. None where classes are shown.
    """

    access: Access
    label: Tensor
    values: Tensor | None
    classes: Tensor | None
    total: int
    rejected: Tensor | None = None
    answers: list[Any] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Reply]) -> Reply:
        """Several replies, one below the other."""

        def join(values: list[Tensor | None]) -> Tensor | None:
            return None if values[0] is None else torch.cat(cast(list[Tensor], values))

        masks = [p.rejected for p in parts]
        if any(mask is not None for mask in masks):
            masks = [torch.zeros_like(p.label, dtype=torch.bool) if p.rejected is None else p.rejected for p in parts]
        return cls(
            parts[0].access,
            torch.cat([p.label for p in parts]),
            join([p.values for p in parts]),
            join([p.classes for p in parts]),
            parts[0].total,
            join(masks),
            None if parts[0].answers is None else [answer for p in parts for answer in cast(list[Any], p.answers)],
        )

    @classmethod
    def around(cls, answered: Reply | None, rejected: Tensor, access: Access, total: int, k: int) -> Reply:
        """The reply to all images, ``rejected`` [m] or not, made of that to those that were ``answered``; None if none was."""
        if answered is None:
            shown = {Access.LABELS: None, Access.TOPK: k}.get(access, total)
            values = None if shown is None else torch.zeros(0, shown)
            classes = torch.zeros((0, k), dtype=torch.int64) if access is Access.TOPK else None
            answered = cls(access, torch.zeros(0, dtype=torch.int64), values, classes, total)
        a, mask = answered, rejected.to(answered.label.device)
        values, classes = (None if v is None else widened(v, mask) for v in (a.values, a.classes))
        return cls(access, widened(a.label, mask), values, classes, total, mask)

    @property
    def refused(self) -> np.ndarray:
        """Which images got no answer, [m] bool, of any target."""
        found: np.ndarray = np.zeros(len(self.label), np.bool_) if self.rejected is None else self.rejected.numpy(force=True)
        return found

    def take(self, rows: Tensor) -> Reply:
        """The replies to some of the images, ``rows`` [m] bool, all of which were answered."""
        values, classes = (None if v is None else v[rows] for v in (self.values, self.classes))
        kept = None if self.answers is None else [a for a, wanted in zip(self.answers, rows.tolist(), strict=True) if wanted]
        return Reply(self.access, self.label[rows], values, classes, self.total, answers=kept)

    def one(self, row: int) -> Reply:
        """The reply to one image, ``row`` from 0, which was answered."""
        return self.take(torch.arange(len(self.label), device=self.label.device) == row)

    def confidence(self) -> Tensor:
        """The probability of the predicted class, [m] float32; NaN where only labels are shown, or nothing."""
        if self.values is None:
            return torch.full((len(self.label),), torch.nan)
        if self.access is Access.TOPK:
            return self.values[:, 0].to(torch.float32)
        label = self.label if self.rejected is None else self.label.clamp_min(0)  # NaN at any
        return self.probabilities().gather(1, label[:, None])[:, 0].to(torch.float32)

    def probabilities(self) -> Tensor:
        """Probabilities [m, C]: as shown, the softmax of logits, one-hot labels, or a top-k list with the rest spread evenly; NaN
        for images that were rejected."""
        if self.rejected is not None and bool(self.rejected.any()):
            answered = self.take(~self.rejected).probabilities()
            return widened(answered, self.rejected)
        if self.access is Access.SCORES:
            return cast(Tensor, self.values)
        if self.access is Access.LOGITS:
            return cast(Tensor, self.values).softmax(1)
        if self.access is Access.LABELS:
            return torch.nn.functional.one_hot(self.label, self.total).to(torch.float32)
        p, k = cast(Tensor, self.values), cast(Tensor, self.classes).shape[1]
        rest = (1 - p.sum(1, keepdim=True)).clamp_min(0) / max(self.total - k, 1)
        return rest.expand(-1, self.total).scatter(1, cast(Tensor, self.classes), p)
