"""What a document shows against what is real: blocks of code, and output that was printed once before."""

from __future__ import annotations

import re
from pathlib import Path

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def blocks(document: Path) -> list[tuple[str, str]]:
    """(language, content) of each fenced block of a Markdown file."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def assert_alike(shown: list[str], real: list[str]) -> None:
    """The same lines; numbers within a few points, because kernels differ in the last bit from processor to processor."""
    assert len(shown) == len(real)
    for a, b in zip(shown, real, strict=True):
        assert NUMBER.sub("#", re.sub(r"\s+", " ", a)) == NUMBER.sub("#", re.sub(r"\s+", " ", b))
        for u, v in zip(NUMBER.findall(a), NUMBER.findall(b), strict=True):
            p, q = float(u.replace(",", "")), float(v.replace(",", ""))
            assert abs(p - q) <= max(5, 0.1 * max(p, q)), (a, b)
