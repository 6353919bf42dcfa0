"""The figure of the side-by-side benchmark, from what `experiments.benchmark_peers` left: docs/peers.png.

python -m experiments.peers_figure

Points, not bars: on a logarithmic axis the length of a bar says nothing. Lines are 95 % bootstrap intervals over images,
each averaged over its seeds: how far another choice of images might move a point.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.report import style

QUERIES = "mean queries, failures at the budget"
PANELS = (
    ("linf", "Scores", QUERIES),
    ("linf-mnist", "Scores", QUERIES),
    ("l2", "Scores", QUERIES),
    ("near", "Labels alone", "median distance after 1,000 queries"),
    ("labels", "Labels alone", QUERIES),
    ("pixels", "Scores", QUERIES),
)
AT = "median distance at 1000"
PEERS, OURS = style.COLOURS[:2]
DRAWS = 2000


def measured(row: dict[str, Any]) -> tuple[float, float, float]:
    """What a row reached, and the 95 % percentile interval over images."""
    if AT in row:
        at = sorted(int(k.rsplit(" ", 1)[1]) for k in row if k.startswith("median distance")).index(1000)
        each = np.array(row["distances"], float)[:, at].reshape(-1, row["n"])
        centre, middle = row[AT], np.median
    else:
        first = np.array(row["first"])
        each = np.where(first > 0, first, row["budget"]).astype(float)
        centre, middle = row["mean"], np.mean
    draws = np.random.default_rng(0).integers(0, row["n"], (DRAWS, row["n"]))
    low, high = np.percentile(middle(each.mean(0)[draws], axis=1), [2.5, 97.5])
    return centre, min(centre, low), max(centre, high)


def panel(axis: Any, rows: list[dict[str, Any]], title: str, label: str) -> None:
    """One part of the benchmark: the best on top."""
    points = sorted(((*measured(row), row) for row in rows), key=lambda p: -p[0])
    for at, (centre, low, high, row) in enumerate(points):
        colour = PEERS if row["peer"] else OURS
        axis.plot([low, high], [at, at], color=colour, linewidth=1.6, alpha=0.5, solid_capstyle="butt")
        axis.plot([centre], [at], "D" if row["peer"] else "o", color=colour, markersize=5.5)
        axis.text(1.02, at, f"{centre:.3g}", transform=axis.get_yaxis_transform(), va="center", fontsize=8, color=colour)
    axis.set_yticks(range(len(points)), [p[3]["attack"] for p in points], fontsize=8)
    for tick, point in zip(axis.get_yticklabels(), points, strict=True):
        tick.set_color(PEERS if point[3]["peer"] else style.INK)
    axis.set_ylim(-0.6, len(points) - 0.4)
    axis.set_xscale("log")
    axis.margins(x=0.08)
    axis.set_title(title, fontsize=9.5, loc="left", color=style.INK)
    axis.set_xlabel(label, fontsize=8.5, color=style.PALE)


def main() -> None:
    from matplotlib import ticker

    rows = json.loads(Path("experiments/results/benchmark_peers.json").read_text())["rows"]
    panels = [(part, what, label) for part, what, label in PANELS if any(r["part"] == part for r in rows)]
    chosen = [[r for r in rows if r["part"] == part] for part, _, _ in panels]
    height = [max(len(c) for c in chosen[i : i + 2]) for i in range(0, len(chosen), 2)]
    figure = style.figure(11, 0.24 * sum(height) + 1.0 * len(height) + 0.6)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.08)
    axes = figure.subplots(len(height), 2, height_ratios=height, squeeze=False)
    for axis, (_, what, label), found in zip(axes.flat, panels, chosen, strict=False):
        one = found[0]
        panel(axis, found, f"{what}: {one['target']}, {one['threat'].removesuffix(' unlimited')}, {one['n']} images", label)
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        axis.tick_params(axis="x", labelsize=8)
        axis.tick_params(axis="y", length=0)
        axis.grid(color=style.GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right", "left"]].set_visible(False)
    for axis in list(axes.flat)[len(panels) :]:
        axis.axis("off")
    figure.suptitle(
        "Ours (blue, round) and the peers (red, angular): same images, same budget, one counter; further left is better",
        fontsize=10.5, color=style.INK, x=0.01, ha="left",
    )
    figure.savefig("docs/peers.png", dpi=130)
    print("wrote docs/peers.png")


if __name__ == "__main__":
    main()
