"""Lays out plain text in columns, and formats rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    """Format a rate as ``34 [30, 38]``: per cent and interval."""
    if not rate.n:
        return "–"
    return f"{100 * rate.value:.0f} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
