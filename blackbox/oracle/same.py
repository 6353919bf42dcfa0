"""Recognises a target again: by its weights, and by what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from blackbox.checkpoint import fingerprint
from blackbox.targets.rows import decoded

NEAR = (5e-3, 1e-3)
"""How far, relatively and absolutely, an answer of the same target may be off when it is computed in another batch."""


def weights_of(target: Any) -> str:
    """A hash of the weights (floating-point parameters and buffers) of the torch module behind a target and its wrappers;
    "" where there is none."""
    while not isinstance(model := getattr(target, "_model", None), torch.nn.Module):
        target = getattr(target, "inner", None)
        if target is None:
            return ""
    state = model.state_dict()
    held = [state[name] for name in sorted(state) if isinstance(state[name], torch.Tensor)]
    return fingerprint(*(v.float() if v.dtype == torch.bfloat16 else v for v in held if v.is_floating_point()))


def odd(asked: int) -> int:
    """How many of so many answers may differ from the same target: in another batch, a point on the boundary may fall over."""
    return asked // 8


def same_answer(was: Sequence[np.ndarray], now: Sequence[np.ndarray], slack: float = 0.0) -> bool:
    """Whether two answers to one image, a label or scores or both, may come from the same target.

    slack: the step to which its scores are rounded.
    """
    relative, absolute = NEAR
    return len(was) == len(now) and all(
        a.shape == b.shape
        and (
            _alike(decoded(bytes(a)), decoded(bytes(b)))
            if a.dtype.kind == b.dtype.kind == "S"
            else np.allclose(a, b, relative, absolute + 1.01 * slack, equal_nan=True)  # of any form; NaN in others is refused before
            if np.issubdtype(b.dtype, np.floating)
            else np.array_equal(a, b)
        )
        for a, b in zip(was, now, strict=True)
    )


def _alike(a: Any, b: Any) -> bool:
    """Whether two answers of any form are the same but for rounding."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, float | np.ndarray) and isinstance(b, float | np.ndarray):
        relative, absolute = NEAR
        return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, relative, absolute, equal_nan=True))
    return bool(a == b)


def told(answer: list[np.ndarray]) -> str:
    """An answer to one image, for a message: its label, or the first scores."""
    shown = answer[-1]
    if shown.dtype.kind == "S":
        return f"{decoded(bytes(shown))!r:.80}"
    return str(shown.item()) if shown.ndim == 0 else np.array2string(shown[:5], precision=4, separator=", ").replace("\n", "")


def refuses(row: Sequence[np.ndarray]) -> bool | None:
    """Whether a stored answer to one image, column by column, is a rejection; None if its target says nothing of rejections."""
    return bool(row[-1]) if row[-1].dtype == np.bool_ else None
