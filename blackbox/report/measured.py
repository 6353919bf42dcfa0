"""Measured costs of the attacks: a small file of the experiments' results, made by `experiments.measured`."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")


@lru_cache(maxsize=1)
def records() -> list[dict[str, Any]]:
    """One dict a measurement: attack, settings ("" for the defaults), target, threat, budget, images, seeds, and either
    success [fooled, of], mean and median queries (a failure charged at the budget), or median distances by queries."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []  # type: ignore[no-any-return]


def shortest(attack: str) -> str:
    """The first measurement of an attack with its defaults, else of it at all, in a few words; "-" where there is none."""
    mine = [r for r in records() if r["attack"] == attack]
    return describe(min(mine, key=lambda r: bool(r["settings"]))) if mine else "-"


def describe(record: dict[str, Any]) -> str:
    """``137.1 queries, 100/100 within 1,000 (CIFAR ResNet-20, Linf 8/255)``."""
    where = ", ".join(filter(None, [record["settings"], record["target"], record["threat"]]))
    if "distance" in record:
        far = ", ".join(f"{d:.3g} by {int(q):,}" for q, d in record["distance"].items())
        return f"median distance {far} ({where})"
    k, n = record["success"]
    return f"{record['mean']:,.1f} queries, {k}/{n} within {record['budget']:,} ({where})"
