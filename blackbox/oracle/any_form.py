"""Answers of any form: checked to be one a row, and dicts with the same keys from call to call."""

from __future__ import annotations

from typing import Any

from blackbox.targets.answer import Answer
from blackbox.targets.rows import rows_of


class AnyForm:
    """Reads the answers of one target, by its ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._keys: Any = ...  # of the first answer, where it is a dict

    def read(self, out: Any, m: int) -> list[Any]:
        """The answers to ``m`` rows.

        Raises:
            ValueError: they are more or fewer, or of another form than before; its ``row``, where there is one.
        """
        rows = rows_of(out.scores if isinstance(out, Answer) else out, m, self.name)
        for row, answer in enumerate(rows):
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
        return rows
