"""``--log``: the loggers of a run, by default in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.loggers.logger import Log


def opened(words: Sequence[str] | None, base: str | Path = "runs") -> Log | None:
    """Read the words of ``--log``; nothing is written before a run starts.

    Raises:
        ValueError: an unknown word, or a package is missing. TypeError: a logger of one's own lacks a method.
    """
    from blackbox.loggers.read import opened

    return opened([_own(word) for word in words or []], base)


def _own(word: str) -> Any:
    """A logger from the user's own file, ``file.py:Logger``; other words as they are."""
    path, colon, name = word.rpartition(":")
    if not colon or not path.endswith(".py"):
        return word
    from blackbox.specs.python_file import load

    return load(Path(path), name)[0]
