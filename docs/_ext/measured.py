"""Refuses to build the site from pages with a number that no committed rows give, or a mean without its interval.

What a page may say is decided by ``experiments/published.py``; `amiss` lists what is wrong with one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.errors import ExtensionError


def check(app: Any, pages: list[Path] | None = None) -> None:
    """All pages and README, before any is read."""
    from experiments import published

    found = [line for path in (published.pages() if pages is None else pages) for line in published.amiss(path)]
    if found:
        raise ExtensionError("\n".join(found))


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", check, priority=100)  # before the cards are made, which takes longer
    return {"parallel_read_safe": True}
