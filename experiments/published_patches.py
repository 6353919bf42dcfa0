"""The table of patches, from the rows of `experiments.studies.patches`."""

from __future__ import annotations

from typing import Any

import numpy as np

import blackbox as bb
from experiments import ground
from experiments.measurements import results
from experiments.paths import rated
from experiments.publishable import Table, figure, mean_of

WAYS = {
    "patch-rs": "patch-rs, place searched", "patch-rs, place given": "patch-rs, place drawn", "square, place given": "square, place drawn",
    "random patches": "random patches",
}  # fmt: skip
SIGNS = "net for traffic signs"


def _title(row: dict[str, Any]) -> str:
    return SIGNS if row["target"] == "signs" else str(ground.entry("targets", row["target"])["title"])


@figure
def patch_table() -> Table:
    """A target and a way a line: images fooled within a thousand queries and within the budget, and mean queries of the first thousand."""
    lines = []
    for row in results("patches")["rows"]:
        early, last = rated(row["fooled_1000"], row["name"]), rated(row["fooled"], row["name"])
        fooled = np.array([v == "1" for v in row["fooled_1000"]])
        spent = np.where(fooled, np.minimum(row["queries"], 1000), 1000)
        longer = last if row["budget"] > 1000 else ""
        lines.append([_title(row), WAYS[row["way"]], len(row["ids"]), early, longer, mean_of(spent, 1000)])
    return Table(["target", "attack", "n", "fooled within 1,000 queries", "within 10,000", "mean queries, of the first 1,000"], lines)


@figure
def patch_fooled(target: str, way: str) -> bb.Rate:
    """The images of a target that a way fools within a thousand queries."""
    (row,) = [r for r in results("patches")["rows"] if (r["target"], r["way"]) == (target, way)]
    return rated(row["fooled_1000"], row["name"])
