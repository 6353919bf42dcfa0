"""Robust accuracy against queries: the figure of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blackbox.report import style

if TYPE_CHECKING:
    from blackbox.evaluation.evaluation import Evaluation


NO_ROBUSTNESS = "No figure of robust accuracy against queries: in no search are all images known."


def robustness(found: Evaluation, path: Path) -> Path | None:
    """A line for each level of access with 95 % intervals; the clean accuracy above, the white-box ceiling below.

    Rows with unknown images are not drawn: those that are known of a search that was cut off are mostly fooled ones. None,
    and no picture, where no search is left (`NO_ROBUSTNESS` says so).
    """
    whole = [r for r in found.rows if not r.unknown.any()]
    if not any(r.budget for r in whole):
        return None
    height = 4.2
    made = style.figure(7.2, height)
    axes = made.add_axes((0.09, 0.13, 0.62, 0.72))
    searched = [r for r in whole if r.budget]
    for i, sees in enumerate(dict.fromkeys(r.sees for r in searched)):
        rows = [r.robust for r in searched if r.sees == sees]
        value = np.array([100 * r.value for r in rows])
        reach = np.abs(np.array([[100 * r.low for r in rows], [100 * r.high for r in rows]]) - value)
        colour, dashes = style.line(i)
        axes.errorbar(
            [r.budget for r in searched if r.sees == sees], value, reach, color=colour, ls=dashes, marker="o", ms=4,
            capsize=3, label=f"sees {sees}",
        )  # fmt: skip
    flat = {"unchanged" if found.goal else "clean": next((r for r in whole if r is found.rows[0]), None)}
    white = next((r for r in whole if r.sees == "everything"), None)
    flat["white-box PGD" if white and white.attack.startswith("PGD") else "white-box ensemble"] = white
    transfer = [r for r in whole if r.sees == "nothing" and " from " in r.attack]
    flat["best transfer, no query"] = min(transfer, key=lambda r: r.robust.value, default=None)
    for (name, row), dashes in zip(flat.items(), (":", "--", "-."), strict=True):
        if row is not None:
            axes.axhline(100 * row.robust.value, color=style.PALE, lw=1.2, ls=dashes, label=name)
    axes.set(xscale="log", ylim=(-2, 102), xlabel=found.of_inputs("queries an image may cost"), ylabel=f"{found.kept}, %")
    asked = sorted({r.budget for r in searched})
    axes.set_xticks(asked, [f"{budget:,}" for budget in asked])
    axes.set_xticks([], minor=True)
    style.clean(axes)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=9)
    under = f"{found.threat}, {len(found.labels)} images, 95 % intervals"
    under += "; lines with unknown images are left out" if len(whole) < len(found.rows) else ""
    style.heading(made, found.kept.capitalize(), found.of_inputs(under), height)
    return style.save(made, path)
