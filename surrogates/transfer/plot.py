"""A TransferMatrix as a heat map."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.statistics import Rate
from surrogates.transfer.noise import KINDS
from surrogates.transfer.text import noise_given, noise_kinds

if TYPE_CHECKING:
    from blackbox.threat import Threat
    from surrogates.transfer.matrix import TransferMatrix

_NOISE = {"linf": "noise, same Linf", "rms": "noise, same RMS"}
_INK, _PALE = "#1b2a3a", "#7a8794"


def plot(matrix: TransferMatrix, path: Path, given: str) -> Path:
    """See `TransferMatrix.plot`. One panel a threat; a row for each noise and each source x attack; a column a target."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.figure import Figure

    from surrogates.transfer.matrix import GIVEN

    shades = LinearSegmentedColormap.from_list("transfer", ["#f6f4ef", "#f3cf9b", "#e2804f", "#b23a48", "#5a1846"])
    kinds = sorted({k for e in range(len(matrix.threats)) for k in noise_kinds(matrix, e)})
    panels = [_rows(matrix, threat, given, kinds) for threat in matrix.threats]
    height, width = max(len(rows) for rows in panels), len(matrix.targets)
    label = max(len(name) for rows in panels for name, _, _ in rows)
    left, cell_w, cell_h = 0.35 + 0.078 * label, max(1.18, 0.08 * max(map(len, matrix.targets)) + 0.2), 0.52
    head, foot, gap = 1.34, 0.48, 0.3
    goal = " Wrong: names the goal." if matrix.goals is not None else ""
    under = fill(
        GIVEN[given][0].upper() + GIVEN[given][1:] + "." + goal, max(60, int(len(panels) * width * cell_w * 14))
    )
    head += 0.16 * under.count("\n")
    total_w = max(left + len(panels) * width * cell_w + (len(panels) - 1) * gap + 0.3, 6.4)
    total_h = head + height * cell_h + foot
    figure = Figure(figsize=(total_w, total_h), facecolor="white")
    FigureCanvasAgg(figure)
    for p, (rows, threat) in enumerate(zip(panels, matrix.threats, strict=True)):
        x0 = left + p * (width * cell_w + gap)
        high = len(rows) * cell_h
        axes = figure.add_axes(
            (x0 / total_w, (total_h - head - high) / total_h, width * cell_w / total_w, high / total_h)
        )
        values = np.array([[r.value for r in rates] for _, _, rates in rows])
        axes.imshow(np.ma.masked_invalid(values), cmap=shades, norm=Normalize(0, 1), aspect="auto")
        _annotate(axes, rows)
        names = [f"{t}\nclean {100 * matrix.clean_accuracy(t).value:.0f} %" for t in matrix.targets]
        axes.set_xticks(range(width), names, fontsize=8.5, color=_INK)
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(rows)), [name if p == 0 else "" for name, _, _ in rows], fontsize=9, color=_INK)
        axes.tick_params(length=0, pad=4)
        axes.set_title(str(threat), fontsize=10, fontweight="bold", color=_INK, pad=7)
        for side in axes.spines.values():
            side.set_visible(False)
    note = f"{len(matrix)} images · rows: crafted on (source · attack) · columns: target · 95 % Wilson intervals"
    if noise_given(given) != given:
        note += " · noise rows: given target-correct"
    edge = 0.14 / total_w
    figure.text(
        edge, 1 - 0.12 / total_h, f"Transfer rate, given {given}", fontsize=12, weight="bold", color=_INK, va="top"
    )
    figure.text(edge, 1 - 0.37 / total_h, under, fontsize=8.5, color=_PALE, va="top")
    figure.text(edge, 0.14 / total_h, note, fontsize=7.5, color=_PALE, va="bottom")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def _rows(matrix: TransferMatrix, threat: Threat, given: str, kinds: list[int]) -> list[tuple[str, str, list[Rate]]]:
    """(label, group, rates a target) from top to bottom; the same labels for every threat."""
    out = []
    for k in kinds:
        rates = [matrix.noise_rate(t, threat, KINDS[k], noise_given(given)) for t in matrix.targets]
        out.append((_NOISE[KINDS[k]], "noise", rates))
    for source in matrix.sources:
        for attack in matrix.attacks:
            rates = [matrix.rate(source, t, attack, threat, given) for t in matrix.targets]
            out.append((f"{source} · {attack}", source, rates))
    return out


def _annotate(axes: Any, rows: list[tuple[str, str, list[Rate]]]) -> None:
    """Numbers, intervals, and white lines between the cells, thicker between the groups."""
    count = len(rows[0][2])
    for i, (_, group, rates) in enumerate(rows):
        for j, rate in enumerate(rates):
            colour = "white" if rate.n and rate.value > 0.52 else _INK
            if not rate.n:
                axes.text(j, i, "–", ha="center", va="center", fontsize=10, color=_PALE)
                continue
            middle = {"ha": "center", "va": "center", "color": colour}
            axes.text(j, i - 0.13, f"{100 * rate.value:.0f} %", fontsize=10.5, weight="bold", **middle)
            axes.text(j, i + 0.24, f"{100 * rate.low:.0f}–{100 * rate.high:.0f}", fontsize=7.5, alpha=0.85, **middle)
        if i:
            axes.axhline(i - 0.5, color="white", lw=5 if group != rows[i - 1][1] else 1.2)
    for j in range(1, count):
        axes.axvline(j - 0.5, color="white", lw=1.2)
