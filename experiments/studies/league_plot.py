"""A League as a picture: for each threat, rate against G with the Pareto front, and the ranks at the largest effort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.threat import Threat
    from experiments.studies.league_result import League

_INK, _PALE, _GRID, _FRONT, _DOT = "#1b2a3a", "#7a8794", "#e6e8eb", "#b23a48", "#1f6f8b"


def plot(league: League, path: Path) -> Path:
    """See `League.plot`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    threats, most = league.crafted.threats, max(e.effort for e in league.entries)
    names = sum(e.effort == most for e in league.entries)
    high = max(4.2, 0.24 * names + 1.2)
    figure = Figure(figsize=(12.5, high * len(threats) + 0.6), facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(threats), 2, width_ratios=(1.5, 1), left=0.06, right=0.985, wspace=0.24, hspace=0.34,
        top=1 - 0.95 / figure.get_figheight(), bottom=0.6 / figure.get_figheight(),
    )  # fmt: skip
    for i, threat in enumerate(threats):
        _front(league, threat, figure.add_subplot(grid[i, 0]))
        _ranks(league, threat, most, figure.add_subplot(grid[i, 1]))
    title = f"Transfer league, {league.source} to {league.target}"
    under = (
        f"{len(league.crafted)} images, given {league.given} · bars: 95 % bootstrap over runs and images · "
        "left: as crafted; dashed: noise of the same RMS · right: at equal RMS"
    )
    figure.text(0.012, 1 - 0.12 / figure.get_figheight(), title, fontsize=13, weight="bold", color=_INK, va="top")
    figure.text(0.012, 1 - 0.4 / figure.get_figheight(), under, fontsize=9, color=_PALE, va="top")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None} if path.suffix == ".png" else None)
    return path


def _front(league: League, threat: Threat, axes: Any) -> None:
    front = league.front(threat)
    best = {e.attack for e in front}
    noise = league.crafted.noise_rate(league.target, threat, "rms")
    if noise.n:
        axes.axhline(100 * noise.value, color=_PALE, lw=1, ls="--", zorder=1)
    beside = {e.attack: 1 + 0.25 * (i / max(len(league.entries) - 1, 1) - 0.5) for i, e in enumerate(league.entries)}
    for entry in league.entries:
        shift = 1.0 if entry.attack in best else beside[entry.attack]  # many have the same G
        rate = league.rate(entry, threat)
        on = entry.attack in best
        error = [[100 * (rate.value - rate.low)], [100 * (rate.high - rate.value)]]
        axes.errorbar(
            entry.cost * shift, 100 * rate.value, yerr=error, fmt="o", ms=5.5 if on else 3.5, lw=0.9, color=_FRONT if on else _DOT,
            alpha=1.0 if on else 0.45, zorder=3 if on else 2,
        )  # fmt: skip
    axes.plot(
        [e.cost for e in front], [100 * league.rate(e, threat).value for e in front], color=_FRONT, lw=1.2, zorder=2
    )
    for j, entry in enumerate(front):
        value = 100 * league.rate(entry, threat).value
        axes.annotate(
            entry.preset, (entry.cost, value), (-6, 7 + 10 * (j % 2)), textcoords="offset points", ha="right", fontsize=8.5,
            color=_FRONT,
        )  # fmt: skip
    axes.set_xscale("log")
    costs = sorted({e.effort for e in league.entries} | {e.cost for e in front})
    axes.set_xticks(costs, [str(c) for c in costs])
    axes.minorticks_off()
    axes.set_xlim(costs[0] / 2.2, costs[-1] * 1.4)
    axes.set_ylim(0, 108)
    axes.set_xlabel("G, gradients an image", fontsize=9, color=_INK)
    axes.set_ylabel("transfer rate, %", fontsize=9, color=_INK)
    _clean(axes, f"{threat}: what is worth its cost")


def _ranks(league: League, threat: Threat, effort: int, axes: Any) -> None:
    found = league.ranks(threat, effort, matched=True)
    for i in range(len(found.names)):
        axes.plot([found.low[i], found.high[i]], [i, i], color=_DOT, lw=2.2, alpha=0.45, solid_capstyle="round")
        axes.plot(found.rank[i], i, "o", color=_DOT, ms=5)
    labels = [f"{name}  {100 * v:.0f} %" for name, v in zip(found.names, found.value, strict=True)]
    axes.set_yticks(range(len(found.names)), labels, fontsize=8.5)
    axes.set_ylim(len(found.names) - 0.4, -0.6)
    axes.set_xlim(0.5, len(found.names) + 0.5)
    axes.set_xlabel("rank at equal RMS (1 is best)", fontsize=9, color=_INK)
    _clean(axes, f"ranks at G ≤ {effort}")


def _clean(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=10, fontweight="bold", color=_INK, loc="left")
    axes.grid(True, color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=8.5, length=3)
    for name, side in axes.spines.items():
        side.set_visible(name in ("left", "bottom"))
        side.set_color(_PALE)
