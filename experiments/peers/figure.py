"""Draws docs/peers.png: of every pair of `experiments.peers.tables` what ours needed over what the peer's needed.

    python -m experiments.peers.figure
"""

from __future__ import annotations

from pathlib import Path

from blackbox.report import style
from experiments.figures import sheet
from experiments.peers.tables import Pair, pairs, verdict
from experiments.runner import DOCS

Lines = dict[str, list[tuple[Pair, str]]]


def groups() -> Lines:
    """What is compared -> its pairs, a target each, and who was ahead."""
    found: Lines = {}
    for pair, p in pairs():
        shown = pair.title.split(",")[0] + (pair.title[at:] if (at := pair.title.find(" after")) > 0 else "")
        found.setdefault(f"{pair.ours} over {pair.peer} ({shown})", []).append((pair, verdict(pair, p)))
    return dict(sorted(found.items()))


def draw(path: Path) -> Path:
    """A line a target with its 95 % interval, under what is compared; ties in grey."""
    colours, some = {"ours": style.COLOURS[1], "theirs": style.COLOURS[0], "tie": style.PALE}, groups()
    lines = sum(len(one) + 1.25 for one in some.values())
    under = "left of 1: ours needed less; grey: a tie; 95 % intervals"
    with sheet(path, "What ours needed over what the peer's needed", under, 6.2, 0.24 * lines + 1.4) as (_, ((axis,),)):
        at, places, names = 0.0, [], []
        for title, of in some.items():
            axis.text(0.01, at - 0.05, title, transform=axis.get_yaxis_transform(), fontsize=9, fontweight="bold", va="center")
            for pair, who in of:
                at += 1
                r = pair.ratio
                axis.plot([r.low, r.high], [at, at], color=colours[who], linewidth=2)
                axis.plot(r.value, at, "o", color=colours[who], markersize=5.5)
                places.append(at)
                names.append(pair.target.split(" (")[0].split(", adv")[0])
            at += 1.25
        axis.set_yticks(places, names, fontsize=9)
        axis.set_ylim(at - 0.3, -0.7)
        axis.axvline(1, color=style.INK, linewidth=0.8)
        axis.set_xscale("log")
        axis.grid(visible=False, axis="y")
        low, high = axis.get_xlim()
        axis.set_xticks(ticks := [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5) if low < t < high], [f"{t:g}" for t in ticks])
        axis.minorticks_off()
        axis.set_xlabel("ours over theirs")
    return path


if __name__ == "__main__":
    print("wrote", draw(DOCS / "peers.png"))
