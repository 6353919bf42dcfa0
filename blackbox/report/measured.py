"""Measured costs of the attacks: a small file of the experiments' results, made by `experiments.measured`."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")


@lru_cache(maxsize=1)
def records() -> list[dict[str, Any]]:
    """One dict a measurement: attack, settings ("" for the defaults), target, threat, budget, images, seeds, the share fooled, and
    the mean queries with their 95 % interval from low to high (a failure charged at the budget)."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []  # type: ignore[no-any-return]


def shortest(attack: str) -> str:
    """The first measurement of an attack with its defaults, else of it at all, in a few words; "-" where there is none."""
    mine = [r for r in records() if r["attack"] == attack]
    return describe(min(mine, key=lambda r: bool(r["settings"]))) if mine else "-"


def describe(record: dict[str, Any]) -> str:
    """``112 [98, 128] queries, 100 % fooled within 1,000 (DenseNet, Linf 8/255, 206 images)``."""
    where = ", ".join(filter(None, [record["settings"], record["target"], record["threat"], f"{record['images']} images"]))
    digits = 0 if record["mean"] >= 100 else 1
    mean, low, high = (f"{record[k]:,.{digits}f}" for k in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}] queries, {100 * record['fooled']:.0f} % fooled within {record['budget']:,} ({where})"
