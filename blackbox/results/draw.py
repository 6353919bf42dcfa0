"""The success curve of a result, on axes of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.results import words
from blackbox.statistics import known_curve
from blackbox.statistics.outcomes import array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from blackbox.results.pooled import Pooled
    from blackbox.results.result import AttackResult


def plot(result: AttackResult, ax: Axes | None = None, label: str | None = None, **line: Any) -> Axes:
    """Draw the curve; see `AttackResult.plot`."""
    ax = _axes(ax, [result])
    budgets, rates = known_curve(result, _where_it_rises([result]))
    if not rates:
        said = f"of no input is it known whether it {words.reached(result.config)}"
        ax.text(0.5, 0.5, said, ha="center", va="center", transform=ax.transAxes)
        return ax
    name = label if label is not None else str(result.config["attack"])
    drawn = ax.step(budgets, [100 * r.value for r in rates], where="post", label=name, **line)[0]
    low, high = ([100 * getattr(r, side) for r in rates] for side in ("low", "high"))
    ax.fill_between(budgets, low, high, step="post", color=drawn.get_color(), alpha=0.18, linewidth=0)
    if not result.complete:
        ax.set_title(f"incomplete: {int((~result.known).sum())} of {len(result)} images are unknown", fontsize="small")
    return ax


def plot_pooled(pooled: Pooled, ax: Axes | None = None, label: str | None = None, **line: Any) -> Axes:
    """Draw the curve of several seeds; see `Pooled.plot`."""
    ax, budgets = _axes(ax, pooled.results), _where_it_rises(pooled.results)
    means = pooled.curve(budgets)
    if not means[-1].n:
        ax.text(0.5, 0.5, "no image whose outcome is known", ha="center", va="center", transform=ax.transAxes)
        return ax
    name = label if label is not None else str(pooled.results[0].config["attack"])
    middle = [100 * m.value for m in means]
    drawn = ax.step(budgets, middle, where="post", label=f"{name}, {len(pooled.seeds)} seeds", **line)[0]
    low, high = ([100 * getattr(m, side) for m in means] for side in ("low", "high"))
    ax.fill_between(budgets, low, high, step="post", color=drawn.get_color(), alpha=0.18, linewidth=0)
    for result in pooled.results:
        at, each = known_curve(result, budgets)
        ax.step(at, [100 * r.value for r in each], where="post", color=drawn.get_color(), linewidth=0.7, alpha=0.6)
    if pooled.unknown:
        ax.set_title(f"incomplete: {pooled.unknown} outcomes are unknown", fontsize="small")
    return ax


def _where_it_rises(results: Sequence[AttackResult]) -> np.ndarray:
    """The numbers of queries at which a curve may rise, from 1 to the budget: those of the first successes."""
    rises = np.concatenate([array(r.first_success_query) for r in results])
    return np.unique([1, *rises[rises > 0].tolist(), max(int(r.config["budget"]) for r in results)])


def _axes(ax: Axes | None, results: Sequence[AttackResult]) -> Axes:
    """Axes of success against queries, with room beyond the budget, so that a rise at the last query is seen."""
    most = int(results[0].config["budget"])
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(5, 3.2), layout="constrained")[1]
    ax.set(xscale="log", xlim=(1, max(most, 2) * 1.1), ylim=(0, 100), xlabel="queries an image", ylabel=words.axis(results))
    return ax
