"""Answers of any form: checked to be one a row, and dicts with the same keys from call to call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blackbox.targets.answer import Answer
from blackbox.targets.rows import rows_of


class AnyForm:
    """Reads the answers of one target, by its ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._keys: Any = ...  # of the first answer, where it is a dict

    def read(self, out: Any, m: int) -> tuple[list[Any], Tensor | None]:
        """The answers to ``m`` rows, None for one that was rejected, and which these are; None where the target says nothing of it.

        A target says that it rejected a row by None in the place of its answer, in a list of answers.

        Raises:
            ValueError: they are more or fewer, or of another form than before; its ``row``, where there is one.
        """
        rejected = None
        if isinstance(out, Answer):
            out, rejected = self._shown(out), out.rejected
        rows = rows_of(out, m, self.name)
        if rejected is None and any(answer is None for answer in rows):
            rejected = torch.tensor([answer is None for answer in rows])
        refused = [False] * m if rejected is None else rejected.tolist()
        rows = [None if no else answer for answer, no in zip(rows, refused, strict=True)]
        for row, answer in enumerate(rows):
            if refused[row]:
                continue
            keys = sorted(answer) if isinstance(answer, dict) else None
            if self._keys is ...:
                self._keys = keys
            elif keys != self._keys:
                was, now = ("no dict" if k is None else f"the keys {', '.join(k)}" for k in (self._keys, keys))
                made = ValueError(
                    f"Expected the target {self.name} to answer in one form, but an earlier answer had {was} and row {row} of a call with "
                    f"{m} inputs has {now}. Where nothing is found, return the same keys with empty lists."
                )
                made.row = row  # type: ignore[attr-defined]
                raise made
        return rows, rejected

    def _shown(self, out: Answer) -> Any:
        """What of an `Answer` is of any form: what stands in the place of its scores. Raises: ValueError, if it holds labels alone."""
        if out.scores is None and (out.rejected is None or not bool(out.rejected.all())):
            raise ValueError(
                f"Expected an answer of any form from the target {self.name}, but what stands before it made labels of it, as of classes. "
                "Let it return a row of numbers for each input, [m, 1] if there is one."
            )
        return [None] * len(out.label) if out.scores is None else out.scores
