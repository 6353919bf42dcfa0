"""The success curve of a result, on axes of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from blackbox.results.result import AttackResult


def plot(result: AttackResult, ax: Axes | None = None, label: str | None = None, **line: Any) -> Axes:
    """Draw the curve; see `AttackResult.plot`."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=(5, 3.2), layout="constrained")[1]
    most = int(result.config["budget"])
    budgets = np.unique(np.round(np.geomspace(1, max(most, 2), 160)).astype(int))
    rates = result.curve(budgets)
    ax.set(xscale="log", xlim=(1, max(most, 2)), ylim=(0, 100), xlabel="queries an image", ylabel="fooled, %")
    if not rates[-1].n:
        ax.text(0.5, 0.5, "no image whose outcome is known", ha="center", va="center", transform=ax.transAxes)
        return ax
    name = label if label is not None else str(result.config["attack"])
    drawn = ax.step(budgets, [100 * r.value for r in rates], where="post", label=name, **line)[0]
    low, high = ([100 * getattr(r, side) for r in rates] for side in ("low", "high"))
    ax.fill_between(budgets, low, high, step="post", color=drawn.get_color(), alpha=0.18, linewidth=0)
    if not result.complete:
        ax.set_title(f"incomplete: {int((~result.known).sum())} of {len(result)} images are unknown", fontsize="small")
    return ax
