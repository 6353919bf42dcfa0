"""The table of smallest L2 changes with labels, from the rows of `experiments.studies.labels_l2`."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.measurements import Table, figure, ground, grounded, has, mean_of, ratio_of, results

FOLDER = "labels_l2"


@figure
def near_table(*over: str) -> Table:
    """The mean distance on each target, and the ratio of its means over those of the attacks ``over``, on the same images."""
    lines: list[list[Any]] = []
    for name, target in ground()["targets"].items():
        kept = [results(source) for source in (f"{FOLDER}/{name}", f"{FOLDER}/{name}_peers") if has(source)]
        if not kept or target["use"] != "reporting":
            continue
        for each in kept:
            grounded(f"{FOLDER}/{name}", each, [r["seed"] for r in each["rows"]])
            if each["ids"] != kept[0]["ids"]:
                raise ValueError(f"Expected the same images in all files of {FOLDER}/{name}, but one has others. Measure it anew.")
        near: dict[tuple[str, int], list[list[float]]] = {}
        for r in (r for each in kept for r in each["rows"]):
            for at, distances in zip(r["at"], r["near"], strict=True):
                near.setdefault((r["attack"], at), []).append(distances)
        for (attack, at), seeds in near.items():
            values = np.array(seeds)
            others = [near.get((other, at)) for other in over]
            beside = ["" if o is None or other == attack else ratio_of(values, np.array(o)) for other, o in zip(over, others, strict=True)]
            lines.append([target["title"], values.shape[1], attack, at, mean_of(values), *beside])
    return Table(["target", "images", "attack", "queries", "mean distance", *(f"over {other}" for other in over)], lines)
