"""One look for the experiments' figures: sheets of axes, rates as dots, images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import blackbox as bb
from blackbox.report import figures, style

MARKS = "os^Dv<>ph"
LOOK = {
    "axes.labelsize": 9, "axes.labelcolor": style.INK, "axes.titlesize": 9.5, "axes.titlelocation": "left",
    "axes.titlecolor": style.INK, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": style.PALE,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": style.GRID, "grid.linewidth": 0.8, "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5, "xtick.color": style.PALE, "ytick.color": style.PALE, "xtick.labelcolor": style.INK,
    "ytick.labelcolor": style.INK, "legend.frameon": False, "legend.fontsize": 8.5, "lines.linewidth": 1.8,
    "lines.markersize": 5, "text.color": style.INK,
}  # fmt: skip


@contextmanager
def sheet(
    path: Path, title: str, under: str, width: float, height: float, rows: int = 1, columns: int = 1, **more: Any
) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes [rows, columns] under a heading; written to ``path`` at the end, noise and all, not too large."""
    from matplotlib import rc_context

    with rc_context(LOOK):
        made = style.figure(width, height)
        made.set_layout_engine("constrained", rect=(0.005, 0, 0.99, 1 - 0.62 / height))
        yield made, made.subplots(rows, columns, squeeze=False, **more)
        style.heading(made, title, under, height)
        shrink(style.save(made, path))


def dots(axes: Any, names: Sequence[str], groups: Mapping[str, Sequence[Any]], spread: float = 0.17) -> None:
    """A line a name, best read from above; of each group a dot with its interval a line.

    groups: name -> for each line [k, n] (95 % Wilson, in %), or (value, low, high), or None where there is nothing.
    """
    for i, (group, values) in enumerate(groups.items()):
        colour, labelled = style.COLOURS[i % len(style.COLOURS)], False
        for j, value in enumerate(values):
            if value is None:
                continue
            at = len(names) - 1 - j + spread * ((len(groups) - 1) / 2 - i)
            middle, low, high = percent(value) if len(value) == 2 else value
            axes.plot([low, high], [at, at], color=colour, linewidth=1.4)
            axes.plot([middle], [at], MARKS[i], color=colour, label=None if labelled else group)
            labelled = True
    axes.set_yticks(range(len(names)), list(reversed(names)))
    axes.set_ylim(-0.6, len(names) - 0.4)


def percent(hit: Sequence[int]) -> tuple[float, float, float]:
    """[k, n] -> rate, low and high in %."""
    rate = bb.Rate(*hit)
    return 100 * rate.value, 100 * rate.low, 100 * rate.high


def curve(axes: Any, at: Sequence[float], hits: Sequence[Sequence[int]], i: int, label: str | None = None) -> None:
    """Rates [k, n] against ``at``, as line i with its 95 % Wilson band."""
    colour, dashes = style.line(i)
    middle, low, high = np.array([percent(hit) for hit in hits]).T
    axes.fill_between(at, low, high, color=colour, alpha=0.13, linewidth=0)
    axes.plot(at, middle, color=colour, linestyle=dashes, marker=MARKS[i % len(MARKS)], markersize=4, label=label)


def place(axes: Any, image: Tensor, difference: bool = False, frame: str | None = None) -> None:
    """An image [C, H, W] without ticks. ``difference``: around grey, stretched to its largest entry. ``frame``: a colour."""
    figures.show(axes, image, difference)
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set(visible=True, color=frame or style.GRID, linewidth=1.6 if frame else 0.8)


def shrink(path: Path, most: int = 290_000) -> Path:
    """Save a picture of more than ``most`` bytes again with 256 colours and, where that is not enough, fewer pixels: noise does
    not compress."""
    from PIL import Image

    with Image.open(path) as image:
        full = image.convert("RGB")
    scale = 1.0
    while path.stat().st_size > most and scale > 0.3:
        size = (round(scale * full.width), round(scale * full.height))
        small = full if scale == 1 else full.resize(size, Image.Resampling.LANCZOS)
        small.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        scale -= 0.1
    return path
