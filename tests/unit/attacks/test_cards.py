"""Every registered attack has a card on the site."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import blackbox as bb

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_every_attack_has_a_card() -> None:
    """Three sentences, and the source that its module names."""
    known = tomllib.loads((DOCS / "attacks.toml").read_text("utf-8"))
    assert list(known) == bb.attacks.names()
    for name, entry in known.items():
        module = sys.modules[bb.attacks.get(name).__module__].__doc__ or ""
        assert len(re.findall(r"[.?!](?=\s|$)", entry["idea"].strip())) == 3, name
        found = re.search(r"arXiv:(\d{4}\.\d{5})", module)
        assert found is None or found[1] == entry.get("arxiv"), name
