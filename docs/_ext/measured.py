"""Refuses to build the site from pages with a number that no committed rows give, a mean without its interval, or figures from
what settings were chosen on.

What a page may say is decided by ``experiments/published.py``; `amiss` lists what is wrong with one. ``experiments/ground.toml``
keeps apart what is for choosing and what is reported; its `offences` are told too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.errors import ExtensionError


def check(app: Any, pages: list[Path] | None = None) -> None:
    """All pages and README, before any is read."""
    from experiments import ground, published

    found = [f"experiments/ground.toml: {offence}." for offence in ground.offences()]
    found += [line for path in (published.pages() if pages is None else pages) for line in published.amiss(path)]
    if found:
        raise ExtensionError("\n".join(found))


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", check, priority=100)  # before the cards are made, which takes longer
    return {"parallel_read_safe": True}
