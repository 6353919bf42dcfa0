"""Answers in words: labels by name, ``{word: score}``, and lists of ``{"label": word, "score": score}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def in_words(out: Any) -> bool:
    """Whether an answer is in words."""
    if isinstance(out, (Tensor, np.ndarray)):
        return isinstance(out, np.ndarray) and (out.dtype.kind in "US" or (out.dtype.kind == "O" and in_words(out.tolist())))
    if isinstance(out, (str, Mapping)):
        return True
    return isinstance(out, (list, tuple)) and len(out) > 0 and in_words(out[0])


def as_numbers(out: Any, rows: int, names: Sequence[str] | None, owner: str) -> Tensor:
    """Turn an answer in words to ``rows`` images into labels [m] int64 or scores [m, C] float64.

    Classes that a row of scores leaves out get an equal share of what is left, at most the smallest score shown, as in a
    top-k answer; where scores are below zero, one less than the smallest.

    Args:
        names: the class words in index order; without them, words must be numbers.
        owner: the target's name, for errors.

    Raises:
        ValueError: a word that is no class, or an answer that is built otherwise; says which.
    """
    out = out.tolist() if isinstance(out, np.ndarray) else out
    each = [out] if isinstance(out, (str, Mapping)) or (rows == 1 and _scored(out)) else list(out)
    index = _Index(names, owner)
    if all(isinstance(row, (str, bytes)) for row in each):
        return torch.tensor([index(row) for row in each], dtype=torch.int64)
    pairs = [_pairs(row, owner) for row in each]
    return torch.from_numpy(np.stack([_filled(row, index) for row in pairs]))


def _scored(out: Any) -> bool:
    """Whether it is a list of {"label": word, "score": score} for one image."""
    return len(out) > 0 and all(isinstance(v, Mapping) and {"label", "score"} <= set(v) for v in out)


def _pairs(row: Any, owner: str) -> dict[Any, float]:
    try:
        if _scored([row] if isinstance(row, Mapping) else row):
            return {v["label"]: float(v["score"]) for v in ([row] if isinstance(row, Mapping) else row)}
        return {word: float(score) for word, score in row.items()}
    except (TypeError, ValueError, AttributeError):
        raise ValueError(
            f"Expected {{word: score}} for each image from the target {owner}, or a list of them, but there was {str(row)[:80]}. "
            "Take the scores out of it: lambda x: model(x)['scores']."
        ) from None


def _filled(row: dict[Any, float], index: _Index) -> np.ndarray:
    """The scores [C] of one image."""
    shown = {index(word): score for word, score in row.items()}
    values = np.array(list(shown.values()))
    hidden = index.count - len(shown)
    left = 0.0
    if hidden and len(values):
        low, high, total = values.min(), values.max(), values.sum()
        whole = next((s for s in (1.0, 100.0) if high <= s * 1.001), total)
        left = low - 1 if low < 0 else min(max(whole - total, 0.0) / hidden, low)
    out = np.full(index.count, left)
    out[list(shown)] = values
    return out


class _Index:
    """The class index of each word."""

    def __init__(self, names: Sequence[str] | None, owner: str) -> None:
        self.names, self.owner = names, owner
        self.count = 0 if names is None else len(names)
        self.known: dict[str, int] = {}
        for i, name in enumerate(names or ()):
            for key in (str(name), _plain(name)):
                self.known.setdefault(key, i)

    def __call__(self, word: Any) -> int:
        text = word.decode() if isinstance(word, bytes) else str(word)
        found = self.known.get(text, self.known.get(_plain(text)))
        if found is None and self.names is None and text.isdecimal():
            return int(text)
        if found is None:
            raise ValueError(self._unknown(text))
        return found

    def _unknown(self, word: str) -> str:
        how = "give them in index order: Oracle(..., classes=['cat', 'dog', ...]), on the command line --class-names FILE"
        if self.names is None:
            return f"Expected the class words to be known, since the target {self.owner} answers in words such as {word!r}: {how}."
        shown = ", ".join(map(str, self.names[:5])) + (", ..." if self.count > 5 else "")
        return (
            f"Expected one of the {self.count} class words, {shown}, from the target {self.owner}, but it answered {word!r}. "
            f"If its words are others, {how}."
        )


def _plain(name: Any) -> str:
    return str(name).strip().lower().replace("_", " ")
