"""Lays out plain text in columns, formats rates, reads TOML, and suggests the word that may have been meant."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.statistics import Rate


def lay(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Align rows of text in columns, the first ``left`` to the left, the others to the right."""
    width = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, width, strict=True))
        ).rstrip()
        for row in rows
    )


def cell(rate: Rate) -> str:
    """Format a rate as ``34 [30, 38]``: per cent and interval; then how many samples are unknown, if any are."""
    if not rate.n:
        return "unknown" if rate.unknown else "–"
    text = f"{100 * rate.value:.0f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
    return f"{text}, {rate.unknown} unknown" if rate.unknown else text


def of_toml(content: bytes, path: Path | str) -> dict[str, Any]:
    """The tables of a TOML file with this content. Raises: ValueError, it is none; says which file."""
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"Expected {path} to be TOML, but it is not: {error}.") from None


def counted(number: int, one: str, many: str) -> str:
    """``1 image was``, ``1,200 images were``."""
    return f"{number:,} {one if number == 1 else many}"


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6, shown: Callable[[str], str] = str) -> str:
    """A sentence to append: `` Did you mean 'square'?``, or "" if no known word is near. ``shown``: how to show it."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {shown(near[0])!r}?" if near else ""


@contextmanager
def no_exit(what: str) -> Iterator[None]:
    """In this context the SystemExit of a user's code is an error of that code: as it is it would end the process, and with the
    code 0 as if all were done.

    Raises:
        RuntimeError: ``what`` called sys.exit.
    """
    try:
        yield
    except SystemExit as end:
        raise RuntimeError(f"{what} {exit_said(end)}.") from end


def exit_said(end: SystemExit) -> str:
    """What a SystemExit says of the code that raised it."""
    return f"called sys.exit({'' if end.code is None else repr(end.code)})"
