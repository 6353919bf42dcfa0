"""The forms of a target's answers, and how to tell them apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Answer(NamedTuple):
    """An answer whose label is given separately, because rounding or a defence may have made the scores disagree with it.

    label: [m] int64. scores: [m, C].
    """

    label: Tensor
    scores: Tensor


def label_of(out: Any) -> Tensor:
    """The labels [m] int64 of an answer of any form."""
    if isinstance(out, Answer):
        return out.label
    out = torch.as_tensor(out)
    return out.to(torch.int64) if out.ndim == 1 else out.argmax(1)


def recognise(out: Tensor) -> str:
    """Tell what an answer holds: whole numbers [m] are labels; rows in [0, 1] that sum to 1, up to rounding to decimals, are
    probabilities; anything else is logits."""
    if out.ndim == 1 and (not out.is_floating_point() or bool((out == out.round()).all())):
        return "labels"
    if out.ndim == 2 and len(out):
        p = out.to(torch.float64)
        off = float((p.sum(1) - 1).abs().max())
        if float(p.min()) >= 0 and float(p.max()) <= 1 + 1e-6 and (off < 1e-3 or off < min(_rounded_away(p), 0.5)):
            return "probabilities"
    return "logits"


def _rounded_away(p: Tensor) -> float:
    """The most that rounding can have changed a row sum of ``p`` [m, C], if the numbers have one to four decimals."""
    for decimals in range(1, 5):
        if bool((p * 10**decimals - (p * 10**decimals).round()).abs().max() < 1e-2):  # 1e4 times float32's rounding is 6e-4
            return 0.5 * 10.0**-decimals * p.shape[1] + 1e-9
    return 0.0
