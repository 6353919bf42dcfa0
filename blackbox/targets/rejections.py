"""Rejections: single rows to which a target refuses an answer, and the answers to the others.

A target says so in the `Answer` of a call, ``Answer(label, scores, rejected)``, or, if it knows nothing of this package, in
anything with an attribute or key ``rejected`` [m] bool beside ``scores`` [m, C], ``labels`` [m], or both. What stands in
their rejected rows is never read. `as_answer` makes an `Answer` of it; there -1 is the label of a rejected row, NaN its scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_tensor
from blackbox.targets.answer import Answer

_SCORES, _LABELS = ("scores", "logits", "probabilities"), ("label", "labels")


def as_answer(out: Any) -> Any:
    """The answer ``out`` of a target as an `Answer`, if it says which rows it rejected; any other as it is.

    Raises:
        ValueError: ``rejected`` is not one bool a row, or neither scores nor labels of the other rows are beside it.
    """
    if isinstance(out, (Tensor, np.ndarray)) or (isinstance(out, Answer) and out.rejected is None):
        return out
    if (mask := _named(out, ("rejected",))) is None:
        return out
    rejected = as_tensor(mask, "rejected")
    if rejected.ndim != 1 or (rejected.dtype != torch.bool and bool(((rejected != 0) & (rejected != 1)).any())):
        raise ValueError(
            f"Expected `rejected` of an answer to be one bool a row, but it had shape {tuple(rejected.shape)} and type {rejected.dtype}."
        )
    rejected = rejected.to(torch.bool)
    answered = ~rejected
    scores, label = (_rows(_named(out, names), answered, names[0]) for names in (_SCORES, _LABELS))
    if not bool(answered.any()):
        return Answer(torch.full((len(rejected),), -1, device=rejected.device), None, rejected)
    if scores is None and label is None:
        raise ValueError("Expected scores or labels beside `rejected` in an answer, for the rows that were not rejected, but it had none.")
    if scores is None or label is None:
        return spread(label if scores is None else scores, rejected)
    return spread(Answer(label.to(torch.int64), scores), rejected)


def split(out: Any) -> tuple[Any, Tensor | None]:
    """The answer to the rows that were not rejected, in the form of one without rejections (None if there is no such row), and
    the mask [m]; ``out`` itself and None for an answer that says nothing of rejections."""
    out = as_answer(out)
    if not isinstance(out, Answer) or out.rejected is None:
        return out, None
    if bool(out.rejected.all()):
        return None, out.rejected
    kept = ~out.rejected
    label = out.label[kept]
    return label if out.scores is None else Answer(label, out.scores[kept]), out.rejected


def spread(out: Any, rejected: Tensor) -> Answer:
    """The inverse of `split`: the answer to all rows, where ``out`` is that to those not rejected; None if there are none."""
    if out is None:
        return Answer(torch.full((len(rejected),), -1, device=rejected.device), None, rejected)
    label, scores = _both(out)
    rejected = rejected.to(label.device)
    return Answer(widened(label.to(torch.int64), rejected), None if scores is None else widened(scores, rejected), rejected)


def rejecting(out: Any, rejected: Tensor) -> Answer:
    """The answer ``out`` to all rows without those ``rejected`` [m], and without those that it rejects itself."""
    answered, before = split(out)
    if before is not None:
        rejected = rejected | before.to(rejected.device)
        out = spread(answered, before)
    label, scores = _both(out)
    kept = ~rejected
    return spread(label[kept] if scores is None else Answer(label[kept], scores[kept]), rejected)


def widened(values: Tensor, rejected: Tensor) -> Tensor:
    """``values`` of the rows not rejected, [k, ...], as those of all rows, [m, ...]: NaN elsewhere, -1 for whole numbers."""
    fill = torch.nan if values.is_floating_point() else -1
    out = torch.full((len(rejected), *values.shape[1:]), fill, dtype=values.dtype, device=values.device)
    out[~rejected] = values
    return out


def _both(out: Any) -> tuple[Tensor, Tensor | None]:
    """The labels of an answer of any form, and its scores if there are some."""
    if isinstance(out, Answer):
        return out.label, out.scores
    values = as_tensor(out, "the answer")
    return (values, None) if values.ndim == 1 else (values.argmax(1), values)


def _named(out: Any, names: tuple[str, ...]) -> Any:
    """The first of these attributes, or keys, that is there and not None."""
    found = (out.get(n) if isinstance(out, Mapping) else getattr(out, n, None) for n in names)
    return next((value for value in found if value is not None), None)


def _rows(values: Any, answered: Tensor, name: str) -> Tensor | None:
    """The values of the rows that were answered; in a list those of the others may be anything, None say."""
    if values is None:
        return None
    if len(values) != len(answered):
        raise ValueError(f"Expected `{name}` of an answer to have as many rows as `rejected`, {len(answered)}, but it had {len(values)}.")
    if isinstance(values, (Tensor, np.ndarray)):
        return as_tensor(values, name)[answered]
    return as_tensor([v for v, kept in zip(values, answered.tolist(), strict=True) if kept], name)
