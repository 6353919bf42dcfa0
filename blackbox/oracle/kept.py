"""`Kept`: where a verb of several parts keeps what its targets answered, so that the same call goes on.

Each part has a file of its own beside the one that is named: ``run.journal`` -> ``run-clean.journal``. A search keeps a
journal (every answer at once) or a checkpoint (its state, twice a minute); calls with whole batches of images are kept in a
journal in either case.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blackbox.oracle.journal import Journal
from blackbox.oracle.oracle import Oracle


def beside(path: str | os.PathLike[str], part: str) -> Path:
    """``run.journal``, ``square`` -> ``run-square.journal``: the file of one part."""
    whole = Path(path)
    return whole.with_name(f"{whole.stem}-{re.sub(r'[^A-Za-z0-9_.=-]+', '_', part)}{whole.suffix}")


def forget(path: str | os.PathLike[str] | None) -> None:
    """Remove a journal or checkpoint whose answers are kept elsewhere by now."""
    if path is None:
        return
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


@contextlib.contextmanager
def kept(oracle: Oracle, path: str | os.PathLike[str] | None, **settings: Any) -> Iterator[None]:
    """In this context every answer is in the file before anybody sees it, and is read from it where it is there already.

    path: None keeps nothing. settings: what the run must agree with, beside target, classes, access and weights.

    Raises:
        JournalError: the file belongs to another run or another target, or is in use.
    """
    if path is None:
        yield
        return
    own = {"target": oracle.name, "classes": oracle.classes, "access": oracle.access.name, "weights": oracle.weights()}
    with oracle.journalled(Journal(path, {**settings, **own})):
        yield


@dataclass(frozen=True)
class Kept:
    """The files of a run: those beside ``journal``, or those beside ``checkpoint``, or none.

    Raises:
        ValueError: both are given.
    """

    journal: str | os.PathLike[str] | None = None
    checkpoint: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.journal is not None and self.checkpoint is not None:
            raise ValueError(
                "Expected either a checkpoint or a journal, but both were given. A journal holds all that a checkpoint does."
            )

    def of(self, part: str) -> dict[str, Any]:
        """The arguments ``journal`` and ``checkpoint`` of the attack that is this part."""
        return {
            name: None if path is None else beside(path, part)
            for name, path in (("journal", self.journal), ("checkpoint", self.checkpoint))
        }

    def calls(self, oracle: Oracle, part: str, **settings: Any) -> contextlib.AbstractContextManager[None]:
        """As `kept`, for a part that asks about whole batches of images."""
        path = self.journal if self.journal is not None else self.checkpoint
        return kept(oracle, None if path is None else beside(path, part), part=part, **settings)
