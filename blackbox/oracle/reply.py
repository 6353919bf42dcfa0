"""`Reply`: the answers to some images, reduced to what the access level shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from blackbox.protocol import Access


@dataclass(frozen=True)
class Reply:
    """The answers to m images.

    label: [m] int64, the predicted class. values: [m, C] probabilities or logits, [m, k] the k largest probabilities in
    descending order, or None when only labels are shown. classes: [m, k] int64, the classes of a top-k answer. total: C.
    access: which of these it is.
    """

    access: Access
    label: Tensor
    values: Tensor | None
    classes: Tensor | None
    total: int

    def confidence(self) -> Tensor:
        """The probability of the predicted class, [m] float32; NaN where only labels are shown."""
        if self.values is None:
            return torch.full((len(self.label),), torch.nan)
        if self.access is Access.TOPK:
            return self.values[:, 0].to(torch.float32)
        return self.probabilities().gather(1, self.label[:, None])[:, 0].to(torch.float32)

    def probabilities(self) -> Tensor:
        """Probabilities [m, C]: as shown, the softmax of logits, one-hot labels, or a top-k list with the rest spread evenly."""
        if self.access is Access.SCORES:
            return cast(Tensor, self.values)
        if self.access is Access.LOGITS:
            return cast(Tensor, self.values).softmax(1)
        if self.access is Access.LABELS:
            return torch.nn.functional.one_hot(self.label, self.total).to(torch.float32)
        p, k = cast(Tensor, self.values), cast(Tensor, self.classes).shape[1]
        rest = (1 - p.sum(1, keepdim=True)).clamp_min(0) / max(self.total - k, 1)
        return rest.expand(-1, self.total).scatter(1, cast(Tensor, self.classes), p)
