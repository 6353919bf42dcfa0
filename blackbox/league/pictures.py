"""Success against queries of every attack in a scenario, over all its targets and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from blackbox.league.standing import Standing
from blackbox.plain_text import counted
from blackbox.report import style
from blackbox.report.figures import budgets


def curves(found: Sequence[Standing], path: Path) -> Path:
    """One line an attack with its band; floors are thin."""
    made, axes, height = style.canvas(len(found))
    at = budgets(found[0].budget)
    for i, one in enumerate(found):
        rates = [one.success(int(q)) for q in at]
        colour, dash = style.line(i)
        low, high = [100 * r.low for r in rates], [100 * r.high for r in rates]
        axes.fill_between(at, low, high, step="post", color=colour, alpha=style.band(len(found)), linewidth=0)
        width = 1.2 if one.entry.floor else 2
        axes.step(at, [100 * r.value for r in rates], where="post", color=colour, linestyle=dash, linewidth=width, label=one.name)
    axes.set_xscale("log")
    axes.set_xlim(1, max(found[0].budget, 2))
    axes.set_ylim(0, 100)
    style.label(axes, "queries an image (logarithmic)", "fooled, %")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    style.clean(axes)
    style.legend(axes, "upper left")
    s = found[0].scenario
    many = counted(len(s.targets), "target", "targets"), counted(len(s.seeds), "seed", "seeds")
    played = f"{len(found[0].images)} images, {', '.join(many)}"
    under = f"{s.threat}; {played}; bands are 95 % intervals over images."
    style.heading(made, f"Success against queries: {s.name}", under, height)
    return style.save(made, path)
