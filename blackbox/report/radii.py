"""Rates against the radius eps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blackbox.report import style

if TYPE_CHECKING:
    from blackbox.statistics import Rate


def eps_curves(
    lines: Mapping[str, Sequence[tuple[float, Rate]]], path: Path, norm: str, title: str, under: str, share: str = "fooled, %"
) -> Path | None:
    """A line for each name through its rates at each eps, with 95 % Wilson intervals; from eps 0, where nothing is fooled
    that the target had right. None, and no picture, where no rate is known. share: the label of the rates."""
    lines = {name: points for name, points in lines.items() if any(rate.n for _, rate in points)}
    if not lines:
        return None
    made, axes, height = style.canvas(len(lines))
    largest = max(eps for points in lines.values() for eps, _ in points)
    shift = np.linspace(-0.006, 0.006, len(lines)) * largest if len(lines) > 1 else [0.0]  # intervals side by side
    for i, (name, points) in enumerate(lines.items()):
        known = sorted((eps, rate) for eps, rate in points if rate.n)
        at = np.array([0.0, *(eps for eps, _ in known)])
        middle = np.array([0.0, *(100 * rate.value for _, rate in known)])
        low, high = (np.array([0.0, *(100 * getattr(rate, end) for _, rate in known)]) for end in ("low", "high"))
        colour, dash = style.line(i)
        axes.plot(at, middle, color=colour, linestyle=dash, linewidth=2, label=name)
        # a share of 0 or 1 lies on the end of its interval, to the last bit or nearly so
        below, above = np.maximum(middle - low, 0)[1:], np.maximum(high - middle, 0)[1:]
        axes.errorbar(
            at[1:] + shift[i], middle[1:], yerr=(below, above), color=colour, linestyle="none", marker="o", markersize=4,
            linewidth=1.2, capsize=2.5,
        )  # fmt: skip
    axes.set_xlim(0, 1.04 * largest)
    axes.set_ylim(0, 102)
    style.label(axes, f"eps, {norm}", share)
    style.clean(axes)
    style.legend(axes, "upper left")
    style.heading(made, title, under, height)
    return style.save(made, path)
