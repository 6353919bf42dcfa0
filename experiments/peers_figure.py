"""The figure of the side-by-side benchmark, from what `experiments.benchmark_peers` left: docs/peers.png.

python -m experiments.peers_figure
"""

from __future__ import annotations

import json
from pathlib import Path

PANELS = (
    ("linf", "mean", "mean queries (failures at the budget)"),
    ("linf-mnist", "mean", "mean queries (failures at the budget)"),
    ("l2", "mean", "mean queries (failures at the budget)"),
    ("pixels", "mean", "mean queries (failures at the budget)"),
    ("labels", "mean", "mean queries with labels only (failures at the budget)"),
    ("near", "median distance at 1000", "median L2 distance after 1,000 queries, labels only"),
)


def main() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import ticker

    rows = json.loads(Path("experiments/results/benchmark_peers.json").read_text())["rows"]
    panels = [(part, key, title) for part, key, title in PANELS if any(r["part"] == part for r in rows)]
    longest = [sum(r["part"] == part for r in rows) for part, _, _ in panels]
    height = [max(longest[i : i + 2]) for i in range(0, len(longest), 2)]
    figure, axes = plt.subplots(
        len(height), 2, figsize=(11, 0.27 * sum(height) + 0.9 * len(height)), height_ratios=height, layout="constrained", squeeze=False
    )
    for axis, (part, key, title) in zip(axes.flat, panels, strict=False):
        chosen = sorted((r for r in rows if r["part"] == part), key=lambda r: -r[key])
        colours = ["#c44e52" if r["peer"] else "#4c72b0" for r in chosen]
        bars = axis.barh([r["attack"] for r in chosen], [r[key] for r in chosen], color=colours)
        axis.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        most = height[list(axes.flat).index(axis) // 2]
        axis.set_ylim(len(chosen) - most - 0.6, len(chosen) - 0.4)  # bars of one thickness, from the top
        axis.margins(x=0.12)
        axis.tick_params(axis="y", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_title(f"{chosen[0]['target']}, {chosen[0]['threat']}, n = {chosen[0]['n']}", fontsize=10, loc="left")
        axis.set_xlabel(title, fontsize=9)
    for axis in list(axes.flat)[len(panels) :]:
        axis.axis("off")
    figure.suptitle(
        "Ours (blue) and the peers (red): same images, same budget, one counter; shorter is better", fontsize=11
    )
    figure.savefig("docs/peers.png", dpi=150)
    print("wrote docs/peers.png")


if __name__ == "__main__":
    main()
