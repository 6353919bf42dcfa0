"""The table of smallest L2 changes with labels, from the rows of `experiments.studies.labels_l2`."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.measurements import grounded, has, of_targets, results
from experiments.publishable import Table, figure, mean_of, ratio_of

FOLDER = "labels_l2"


@figure
def near_table(*over: str) -> Table:
    """The mean distance on each target, and the ratio of its means over those of the attacks ``over``, on the same images."""
    lines: list[list[Any]] = []
    for name, title, ours in of_targets(FOLDER):
        peers = results(source) if has(source := f"{FOLDER}/{name}_peers") else {**ours, "rows": []}
        grounded(f"{FOLDER}/{name}", peers, [r["seed"] for r in peers["rows"]])
        if peers["ids"] != ours["ids"]:
            raise ValueError(f"Expected the same images in both files of {FOLDER}/{name}, but one has others. Measure it anew.")
        near: dict[tuple[str, int], list[list[float]]] = {}
        for r in (*ours["rows"], *peers["rows"]):
            for at, distances in zip(r["at"], r["near"], strict=True):
                near.setdefault((r["attack"], at), []).append(distances)
        for (attack, at), seeds in near.items():
            values = np.array(seeds)
            others = [near.get((other, at)) for other in over]
            beside = ["" if o is None or other == attack else ratio_of(values, np.array(o)) for other, o in zip(over, others, strict=True)]
            lines.append([title, values.shape[1], attack, at, mean_of(values), *beside])
    return Table(["target", "images", "attack", "queries", "mean distance", *(f"over {other}" for other in over)], lines)
