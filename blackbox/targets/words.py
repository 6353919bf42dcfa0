"""Answers in words: labels by name, ``{word: score}``, and lists of ``{"label": word, "score": score}``."""

from __future__ import annotations

from collections import Counter
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
    if not isinstance(out, (list, tuple)):
        return False
    first = next((row for row in out if not (isinstance(row, list) and not row)), None)  # an empty list shows nothing
    return first is not None and in_words(first)


def check_names(names: Sequence[str]) -> None:
    """Check that class words differ.

    Raises:
        ValueError: a word stands for two classes.
    """
    twice = next((word for word, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise ValueError(
            f"Expected class words that differ, but {twice!r} is there {names.count(twice)} times. Name each class once, or give the "
            f"number of classes if the target answers in numbers: classes={len(names)}."
        )


def as_numbers(out: Any, rows: int, names: Sequence[str] | None, owner: str, classes: int | None = None) -> Tensor:
    """Turn an answer in words to ``rows`` images into labels [m] int64 or scores [m, C] float64.

    Classes that a row of scores leaves out get an equal share of what is left, at most the smallest score shown, as in a
    top-k answer; where scores are below zero, one less than the smallest.

    Args:
        names: the class words in index order; without them, words must be numbers.
        owner: the target's name, for errors.
        classes: C, where there are no names.

    Raises:
        ValueError: a word that is no class, one that stands there twice, an image for which there is none, or an answer that is
            built otherwise; says which, and has the image's ``row``.
    """
    out = out.tolist() if isinstance(out, np.ndarray) else out
    each = [out] if isinstance(out, (str, Mapping)) or (rows == 1 and _scored(out)) else list(out)
    index = _Index(names, owner, classes)
    if all(isinstance(row, (str, bytes)) for row in each):
        return torch.tensor([index(row) for row in each], dtype=torch.int64)
    found = []
    for i, row in enumerate(each):
        try:
            found.append(_filled(_pairs(row, owner), index))
        except ValueError as error:
            where = f" It was row {i} of a call with {len(each)} images." if len(each) > 1 else ""
            made = ValueError(f"{error}{where}")
            made.row = i  # type: ignore[attr-defined]
            raise made from None
    return torch.from_numpy(np.stack(found))


def _scored(out: Any) -> bool:
    """Whether it is a list of {"label": word, "score": score} for one image."""
    return len(out) > 0 and all(isinstance(v, Mapping) and {"label", "score"} <= set(v) for v in out)


def _pairs(row: Any, owner: str) -> list[tuple[Any, float]]:
    if isinstance(row, (list, dict)) and not row:
        return []
    try:
        if _scored([row] if isinstance(row, Mapping) else row):
            return [(v["label"], float(v["score"])) for v in ([row] if isinstance(row, Mapping) else row)]
        return [(word, float(score)) for word, score in row.items()]
    except (TypeError, ValueError, AttributeError):
        raise ValueError(
            f"Expected {{word: score}} for each image from the target {owner}, or a list of them, but there was {str(row)[:80]}. "
            "Take the scores out of it: lambda x: model(x)['scores']."
        ) from None


def _filled(row: list[tuple[Any, float]], index: _Index) -> np.ndarray:
    """The scores [C] of one image."""
    shown: dict[int, float] = {}
    words: dict[int, Any] = {}
    for word, score in row:
        at = index(word)
        if at in shown:
            both = f"{word!r} twice" if words[at] == word else f"{words[at]!r} and {word!r}, which are one class"
            raise ValueError(f"Expected each class once from the target {index.owner}, but it answered {both}. Give one score for each.")
        shown[at], words[at] = score, word
    if not shown:
        raise ValueError(
            f"Expected at least one word with its score for each image from the target {index.owner}, but there was none, so that no "
            "class is shown. If it could not answer, let it raise an error."
        )
    values = np.array(list(shown.values()))
    hidden = index.count - len(shown)
    left = 0.0
    if hidden:
        low, high, total = values.min(), values.max(), values.sum()
        whole = next((s for s in (1.0, 100.0) if high <= s * 1.001), total)
        left = low - 1 if low < 0 else min(max(whole - total, 0.0) / hidden, low)
    out = np.full(index.count, left)
    out[list(shown)] = values
    return out


class _Index:
    """The class index of each word. Words that differ in case alone are told apart by it."""

    def __init__(self, names: Sequence[str] | None, owner: str, classes: int | None = None) -> None:
        self.names, self.owner = names, owner
        self.count = (classes or 0) if names is None else len(names)
        exact, plain = Counter(map(str, names or ())), Counter(_plain(name) for name in names or ())
        self.exact = {str(name): i for i, name in enumerate(names or ()) if exact[str(name)] == 1}
        self.plain = {_plain(name): i for i, name in enumerate(names or ()) if plain[_plain(name)] == 1}
        self.unclear = {word for count in (exact, plain) for word, n in count.items() if n > 1}

    def __call__(self, word: Any) -> int:
        text = word.decode() if isinstance(word, bytes) else str(word)
        found = self.exact.get(text, self.plain.get(_plain(text)))
        if found is None and self.names is None and text.isdecimal():
            if self.count and int(text) >= self.count:
                raise ValueError(
                    f"Expected words from '0' to '{self.count - 1}' (classes={self.count}) from the target {self.owner}, but it answered "
                    f"{text!r}. Give the words of its classes: Oracle(..., classes=['cat', 'dog', ...])."
                )
            return int(text)
        if found is None and (text in self.unclear or _plain(text) in self.unclear):
            raise ValueError(
                f"Expected a word of one class from the target {self.owner}, but {text!r} stands for several of the class words. "
                "Give class words that differ."
            )
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
