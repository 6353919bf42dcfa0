"""Finds the scores in what a model returns: ``out.logits``, ``out["logits"]``, a tuple of one, a Hugging Face ``ModelOutput``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from blackbox.targets.answer import Answer
from blackbox.targets.rejections import as_answer


def scores_of(out: Any, name: str = "the model") -> Any:
    """The scores in a model's output; a tensor, an array, or anything that holds no tensors comes back as it is.

    Raises:
        ValueError: there are several tensors and none is called logits; the message names them.
    """
    if isinstance(out, (Tensor, np.ndarray, Answer)):
        return out
    if isinstance(made := as_answer(out), Answer):  # of whatever form, it says which rows it rejected
        return made
    if _numbers(found := getattr(out, "logits", None)):
        return found
    if isinstance(out, Mapping):
        return _chosen({str(k): v for k, v in out.items() if _numbers(v)}, out, name)
    if isinstance(out, (tuple, list)):
        words = getattr(out, "_fields", None) or [f"[{i}]" for i in range(len(out))]
        # a list of rows, each an array of scores, is an answer as it is
        rows = isinstance(out, list) and all(_numbers(v) and v.ndim < 2 for v in out)
        return out if rows else _chosen({str(k): v for k, v in zip(words, out, strict=True) if _numbers(v)}, out, name)
    parts = {k: v for k, v in vars(out).items() if _numbers(v)} if hasattr(out, "__dict__") else {}
    return _chosen(parts, out, name)


def _numbers(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray))


def _chosen(parts: dict[str, Any], out: Any, name: str) -> Any:
    """The tensor called logits, or the only one with a row of scores an image."""
    if "logits" in parts:
        return parts["logits"]
    rows = [value for value in parts.values() if value.ndim == 2]
    if not rows:  # e.g. one number a word: not for us to read
        only = list(parts.values())
        return only[0] if len(only) == 1 and isinstance(out, (tuple, list)) and len(out) == 1 else out
    if len(rows) == 1 and len(parts) == 1:
        return rows[0]
    what = ", ".join(f"{word} {tuple(value.shape)}" for word, value in parts.items())
    first = next(word for word, value in parts.items() if value.ndim == 2)
    pick = f"out{first}" if isinstance(out, (tuple, list)) and first.startswith("[") else (
        f"out[{first!r}]" if isinstance(out, Mapping) else f"out.{first}"
    )  # fmt: skip
    raise ValueError(
        f"Expected {name} to return its scores alone, or under the name logits, but it returned a {type(out).__name__} of "
        f"{what}. Wrap it in a function, or in a module with this forward, that returns the one that holds the scores, such as {pick}."
    )
