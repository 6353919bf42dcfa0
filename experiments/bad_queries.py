"""Tables of how near label attacks come for so many bad queries, from the rows of `experiments.studies.stealthy`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.measurements import of_targets
from experiments.publishable import Table, figure, mean_of, ratio_of
from experiments.studies.stealthy import PLAIN


def pairs(bad: int) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """(title of the target, plain attack with its norm, its row, the stealthy one's) after so many bad queries."""
    found = []
    for _, title, kept in of_targets("stealthy"):
        by = {r["attack"]: r for r in kept["rows"] if r["budget"] == bad}
        for plain in (f"{attack}, {norm}" for attack, norms in PLAIN.items() for norm in norms):
            if plain in by and f"stealthy-{plain}" in by:
                found.append((title, plain, by[plain], by[f"stealthy-{plain}"]))
    return found


@figure
def stealthy_table(bad: str) -> Table:
    """Mean distance after so many bad queries, plain and stealthy, their ratio on the same images, and all queries of both."""
    lines = [
        [title, plain, len(one["near"]), *(replace(mean_of(row["near"]), digits=3 if "Linf" in plain else None) for row in (one, other)),
         ratio_of(other["near"], one["near"]),
         mean_of(one["queries"]), mean_of(other["queries"])]
        for title, plain, one, other in pairs(int(bad))
    ]  # fmt: skip
    columns = ["attack, norm", "images", "plain comes to", "stealthy comes to", "stealthy over plain"]
    columns += ["queries, plain", "queries, stealthy"]
    return Table(["target", *columns], lines)
