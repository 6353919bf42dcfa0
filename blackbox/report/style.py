"""One look for all pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

__all__ = [
    "COLOURS", "DASHES", "GRID", "INK", "PALE", "band", "canvas", "clean", "figure", "heading", "legend", "line", "save",
]

INK, PALE, GRID = "#1b2a3a", "#7a8794", "#e6e8eb"
# told apart by readers with any colour vision, and in grey by their line styles
COLOURS = ("#b23a48", "#1f6f8b", "#d98e2b", "#5a1846", "#4c956c", "#8a8f98")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))

DPI = 150  # of a PNG
FORMATS = ("pdf", "svg", "png")
_MADE = {".svg": "Date", ".pdf": "CreationDate"}  # what a file would say of when it was made
_ALSO: ContextVar[tuple[str, ...]] = ContextVar("_ALSO", default=())
MOST = 8  # lines whose names leave room for the lines themselves


def line(i: int) -> tuple[Any, Any]:
    """Colour and dashes of line i: 36 lines before one looks like another."""
    return COLOURS[i % len(COLOURS)], DASHES[(i + i // len(COLOURS)) % len(DASHES)]


def figure(width: float, height: float) -> Any:
    """An empty figure in inches that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(made)
    return made


def canvas(lines: int) -> tuple[Any, Any, float]:
    """Figure, axes and the figure's height for so many lines; more than fit beside them get a legend of their own."""
    height, beside = 4.2, lines > MOST
    width = 7.2 + (2.6 if beside else 0.0)
    made = figure(width, height)
    return made, made.add_axes((0.65 / width, 0.13, (width - 0.86 - (2.6 if beside else 0.0)) / width, 0.70)), height


def band(lines: int) -> float:
    """How dark the band around a line is, so that many of them do not cover the lines."""
    return min(0.13, 0.13 * MOST / lines)


def legend(axes: Any, corner: str) -> None:
    """Names of the lines: in a corner of the picture, or to its right when they are many; none for a single line."""
    names = len(axes.get_legend_handles_labels()[1])
    if names < 2:
        return
    where: dict[str, Any] = {"loc": corner, "fontsize": 9}
    if names > MOST:
        where = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.03), "fontsize": 7, "labelspacing": 0.25, "borderpad": 0}
    axes.legend(frameon=True, framealpha=0.9, edgecolor="none", labelcolor=INK, handlelength=3, **where)


def label(axes: Any, x: str, y: str) -> None:
    """What the axes show."""
    axes.set_xlabel(x, fontsize=9.5, color=INK)
    axes.set_ylabel(y, fontsize=9.5, color=INK)


def clean(axes: Any) -> None:
    """Thin grid, no box."""
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for name, side in axes.spines.items():
        side.set_visible(name in ("left", "bottom"))
        side.set_color(PALE)
    axes.tick_params(colors=INK, labelsize=9, length=3, color=PALE)


def heading(made: Any, title: str, under: str, height: float) -> None:
    """Title and the sentence that says what is drawn, in the upper left corner."""
    edge = 0.14 / made.get_figwidth()
    made.text(edge, 1 - 0.12 / height, title, fontsize=12, weight="bold", color=INK, va="top")
    made.text(edge, 1 - 0.38 / height, under, fontsize=8.5, color=PALE, va="top")


def save(made: Any, path: Path) -> Path:
    """Write a PNG or SVG that holds nothing of the time or the version that made it."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "blackbox"}):
        for where in (path, *beside(path)):
            made.savefig(where, dpi=DPI, metadata={_MADE.get(where.suffix, "Software"): None})
    return path


def beside(path: Path) -> list[Path]:
    """The same picture in the formats that `formats` asks for."""
    return [path.with_suffix(f".{kind}") for kind in _ALSO.get() if f".{kind}" != path.suffix]


@contextmanager
def formats(kinds: Sequence[str]) -> Iterator[None]:
    """Save every picture in these formats too, beside the one of the page.

    Raises:
        ValueError: one that is not among `FORMATS`.
    """
    if unknown := [kind for kind in kinds if kind not in FORMATS]:
        raise ValueError(f"Expected figures as {', '.join(FORMATS)}, but it was {', '.join(unknown)}. Separate several by commas.")
    token = _ALSO.set(tuple(kinds))
    try:
        yield
    finally:
        _ALSO.reset(token)
