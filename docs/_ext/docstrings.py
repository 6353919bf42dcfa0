"""Docstrings as reStructuredText: stars and bars are themselves, and text may be indented without an empty line before it."""

from __future__ import annotations

import re
from typing import Any

CODE = re.compile(r"(``.+?``|:\w+:`.+?`|`[^`]+`)")
PLAIN = re.compile(r"(?<!\\)\|(?!\w+\|)|(?<!\\)\|(?=\w)|(?<![\\*\w])\*(?=\*?\w)")


def escaped(line: str) -> str:
    """Nothing outside of backticks is set in bold or italics, or replaced."""
    parts = CODE.split(line)
    for i, part in enumerate(parts):
        if i % 2 == 0:
            joined = i > 0 and part[:1].isalnum()  # as in `Preset`s
            parts[i] = ("\\ " if joined else "") + PLAIN.sub(r"\\\g<0>", part)
    return "".join(parts)


def plain(app: Any, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """A change of the indentation begins a paragraph, but where a field goes on."""
    made: list[str] = []
    for line in map(escaped, lines):
        last = made[-1] if made else ""
        depth, before = len(line) - len(line.lstrip()), len(last) - len(last.lstrip())
        if line.strip() and last.strip() and depth != before and not last.lstrip().startswith((":", "..", "- ", "* ")):
            made.append("")
        made.append(line)
    lines[:] = made


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", plain, priority=900)
    return {"parallel_read_safe": True}
