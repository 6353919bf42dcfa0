"""Median distance against queries: compares attacks that minimise the distance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blackbox.report import style
from blackbox.report.figures import QUERIES, budgets
from blackbox.results import words
from blackbox.statistics import median_distance

if TYPE_CHECKING:
    from blackbox.results import AttackResult


def distances(
    results: Mapping[str, AttackResult], path: Path, title: str = "Median distance against queries"
) -> Path | None:
    """Median of the smallest distance found within q queries, with 95 % bands; one line a result.

    A line begins where half of the attacked images have an example. None where no result has a finite median.
    """
    from matplotlib.ticker import LogLocator

    made, axes, height = style.canvas(len(results))
    drawn, start, attacked_images = 0, np.inf, set()
    for i, (name, result) in enumerate(results.items()):
        estimates = median_distance(result, budgets(int(result.config["budget"])).tolist())
        whole = next(iter(estimates.values())).n  # a line ends where images of a run that was cut off become unknown
        at = np.array([q for q, e in estimates.items() if np.isfinite(e.value) and e.value > 0 and e.n == whole])
        if not len(at):
            continue
        attacked_images.add(whole)
        drawn, start = drawn + 1, min(start, float(at[0]))
        middle, low, high = np.array([(estimates[q].value, estimates[q].low, estimates[q].high) for q in at]).T
        top = np.where(np.isfinite(high), high, middle.max() * 1e3)  # an open end leaves the picture at the top
        colour, dash = style.line(i)
        bottom, alpha = np.maximum(low, middle.min() * 1e-3), style.band(len(results))
        axes.fill_between(at, bottom, top, step="post", color=colour, alpha=alpha, linewidth=0)
        axes.step(at, middle, where="post", color=colour, linestyle=dash, linewidth=2, label=name)
    if not drawn:
        return None
    medians = np.concatenate([np.asarray(line.get_ydata()) for line in axes.get_lines()])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(start, max(int(r.config["budget"]) for r in results.values()))
    axes.set_ylim(medians.min() / 1.5, medians.max() * 1.5)
    first = next(iter(results.values()))
    kind = words.kind_of(list(results.values()))
    style.label(axes, words.of_inputs(QUERIES, kind), f"median distance in {words.unit(first)}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    style.clean(axes)
    style.legend(axes, "upper right")
    counts = sorted(attacked_images)
    attacked = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    under = f"Of {words.among_all(list(results.values()), attacked)}; bands are exact 95 % intervals of the median."
    style.heading(made, title, words.of_inputs(under, kind), height)
    return style.save(made, path)
