"""Draws docs/peers.png: of every pair of `experiments.peers.tables` what ours needed over what the peer's needed.

    python -m experiments.peers.figure
"""

from __future__ import annotations

from pathlib import Path

from blackbox.report import style
from experiments.figures import sheet
from experiments.peers.tables import pairs, verdict
from experiments.runner import DOCS


def draw(path: Path) -> Path:
    """A line a pair with its 95 % interval, by comparison and target; ties in grey."""
    some = [(pair, verdict(pair, p)) for pair, p in pairs()]
    some.sort(key=lambda one: (one[0].title, one[0].target, one[0].ratio.value))
    colours = {"ours": style.COLOURS[1], "theirs": style.COLOURS[0], "tie": style.PALE}
    height = 0.21 * len(some) + 1.6
    title, under = "What ours needed over what the peer's needed", "left of 1: ours needed less; grey: a tie; 95 % intervals over images"
    with sheet(path, title, under, 10, height) as (_, ((axis,),)):
        for at, (pair, who) in enumerate(reversed(some)):
            r = pair.ratio
            axis.plot([r.low, r.high], [at, at], color=colours[who], linewidth=1.6)
            axis.plot(r.value, at, "o", color=colours[who], markersize=4.5)
        names = [f"{pair.ours} / {pair.peer}: {pair.target}, {pair.title}" for pair, _ in reversed(some)]
        axis.set_yticks(range(len(some)), names, fontsize=7.5)
        axis.axvline(1, color=style.INK, linewidth=0.8)
        axis.set_xscale("log")
        axis.set_xticks(ticks := [0.05, 0.1, 0.2, 0.5, 1, 2], [f"{t:g}" for t in ticks])
        axis.minorticks_off()
        axis.set_xlabel("ours over theirs")
    return path


if __name__ == "__main__":
    print("wrote", draw(DOCS / "peers.png"))
