"""Success against the number of surrogates, from the rows of `experiments.studies.many_surrogates`."""

from __future__ import annotations

from typing import Any

import numpy as np

import blackbox as bb
from experiments import ground
from experiments.measurements import results
from experiments.paths import rated
from experiments.publishable import Figure, Table, figure, points_of

GROWING = "growing"
OWN = {"mlp": "perceptron", "vit": "ViT"}  # targets that are nets of one's own


def _rows(task: str) -> list[dict[str, Any]]:
    return [row for row in results("many_surrogates")["rows"] if row["task"] == task]


def _row(task: str, way: str, nets: int | None = None) -> dict[str, Any]:
    (found,) = [r for r in _rows(task) if r["way"] == way and nets in (None, r["nets"])]
    return found


def _title(target: str) -> str:
    return OWN.get(target) or str(ground.entry("targets", target)["title"])


@figure
def many_table(task: str) -> Table:
    """A way a line: nets, gradients an image, seconds of making the nets, and each target's rate."""
    targets = list(_rows(task)[0]["fooled"])
    lines = [
        [row["way"], row["nets"], row.get("gradients", ""), f"{row['seconds']:.0f}" if "seconds" in row else "",
         *(rated(row["fooled"][t], row["way"]) for t in targets)]
        for row in _rows(task)
    ]  # fmt: skip
    return Table(["surrogates", "nets", "gradients an image", "seconds of making them", *map(_title, targets)], lines)


@figure
def many_rate(task: str, way: str, nets: str, target: str) -> bb.Rate:
    """The images of a target that a way fools."""
    row = _row(task, way, int(nets))
    return rated(row["fooled"][target], way)


@figure
def many_slope(task: str, target: str) -> Figure:
    """Points of success for each doubling of the number of nets: the slope of the line through the five sizes over the logarithm of
    their number, a mean over images of the slopes of their outcomes."""
    rows = sorted((r for r in _rows(task) if r["way"] == GROWING), key=lambda r: r["nets"])
    outcomes = np.stack([_outcomes(row, target) for row in rows])
    outcomes = outcomes[:, ~np.isnan(outcomes[0])]
    x = np.log2([row["nets"] for row in rows])
    x = x - x.mean()
    return points_of(x @ outcomes / (x**2).sum())


@figure
def many_gain(task: str, first: str, second: str, target: str) -> Figure:
    """Points by which a way fools more images than another, paired by image; a way may end with its number of nets."""

    def outcomes(words: str) -> np.ndarray:
        way, _, nets = words.rpartition(" ")
        return _outcomes(_row(task, way, int(nets)) if nets.isdigit() else _row(task, words), target)

    apart = outcomes(first) - outcomes(second)
    return points_of(apart[~np.isnan(apart)])


def _outcomes(row: dict[str, Any], target: str) -> np.ndarray:
    """1 fooled, 0 not, NaN wrong as it is, image by image."""
    return np.array([np.nan if v == "-" else float(v) for v in row["fooled"][target]])
