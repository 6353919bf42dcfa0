"""Plots along a ray: the loss against its tangent, and the decision regions crossed. Each is drawn wide and, for phones, narrow."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.app import draw
from blackbox.report import style
from blackbox.report.templates import data_url
from surrogates.analysis.ray import Region

if TYPE_CHECKING:
    from blackbox.app.bench import Bench, Shot
    from blackbox.app.compute import Crossing
    from surrogates.analysis.ray import Ray

WIDE, NARROW = 8.1, 3.6  # inches: shown at their own size, so that the letters keep theirs
LETTERS = 9.0  # points: 12 pixels
_LINEAR = 0.1


def svg(make: Callable[[bool], Any], name: str, alt: str, title: str = "", under: str = "", level: int = 2) -> str:
    """HTML of a matplotlib figure: ``make(narrow)`` draws it, ``title``, a heading of this level, and ``under`` stand above it."""
    sources = []
    for narrow in (False, True):
        file = io.BytesIO()
        make(narrow).savefig(file, format="svg", metadata={"Date": None})
        sources.append(data_url(file.getvalue(), "image/svg+xml"))
    return draw.render("drawing.html", number=name, alt=alt, sources=sources, title=title, under=under, level=level)


def canvas(narrow: bool, height: float, left: float = 0.55, top: float = 0.1, bottom: float = 0.5) -> tuple[Any, Any]:
    """A figure with one pair of axes, whose margins are in inches; 0.2 to the right."""
    width = NARROW if narrow else WIDE
    made = style.figure(width, height)
    axes = made.add_axes((left / width, bottom / height, (width - left - 0.2) / width, (height - bottom - top) / height))
    return made, axes


def taylor(bench: Bench, shot: Shot, ray: Ray, loss: str, narrow: bool = False) -> Any:
    """The true loss along the FGSM ray against its first-order approximation."""
    made, axes = canvas(narrow, 3.6 if narrow else 4.2)
    leave = int(ray.label[0, 0]) if shot.label is None else shot.label
    eps, true, line = bench.unit * ray.epsilons, ray.loss[0], ray.tangent[0]
    radius = bench.unit * float(ray.linear_radius(_LINEAR)[0])
    axes.fill_between(eps, true, line, color=style.COLOURS[2], alpha=0.18, linewidth=0, label="error of the tangent")
    axes.plot(eps, true, color=style.COLOURS[1], linewidth=2.6, label="true loss")
    word = "tangent" if narrow else "tangent: loss + eps · |gradient|₁"
    axes.plot(eps, line, color=style.COLOURS[0], linewidth=2, linestyle="--", label=word)
    axes.plot([0], [ray.start[0]], "o", color=style.INK, markersize=6)
    top, low = max(true.max(), line.max()), min(true.min(), line.min(), 0.0)
    room = (top - low) * 0.16 + 1e-9
    axes.set_ylim(low - 0.02 * (top - low), top + room)
    axes.set_xlim(0, eps[-1])
    if 0 < radius < eps[-1]:
        axes.axvspan(0, radius, color=style.COLOURS[1], alpha=0.10, linewidth=0)
    free = -1.0  # where the last word ends, as a share of the width
    for edge, label in _edges(ray.label[0], eps):
        axes.axvline(edge, color=style.PALE, linewidth=1.2, linestyle=":")
        if edge / eps[-1] < free:
            continue
        word = f"“{_short(draw.classname(bench, label))}”"
        free = edge / eps[-1] + (0.03 + 0.022 * len(word) * (2 if narrow else 1))
        axes.annotate(
            word, (edge, top + 0.55 * room), xytext=(4, 0), textcoords="offset points", fontsize=LETTERS, color=style.INK,
            va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}, annotation_clip=True,
        )  # fmt: skip
    along = "eps along the gradient" if narrow else "eps along the sign of the gradient"
    style.label(axes, along + in_units(bench), f"{loss} of “{_short(draw.classname(bench, leave))}”")
    style.clean(axes)
    axes.legend(  # below the words at the dotted lines
        loc="upper left", bbox_to_anchor=(0, 0.88), fontsize=LETTERS, frameon=True, framealpha=0.9, edgecolor="none",
        labelcolor=style.INK,
    )  # fmt: skip
    return made


def told_of_taylor(bench: Bench, shot: Shot, ray: Ray, surrogate: str) -> str:
    """The sentence above the drawing of `taylor`."""
    radius = bench.unit * float(ray.linear_radius(_LINEAR)[0])
    where = f"up to eps {radius:.3g}{'/255' if bench.unit > 1 else ''} (shaded)" if radius else "not even over the first step drawn"
    return f"{surrogate}, {shot.name}. The tangent predicts the rise to within 10 % {where}. Dotted lines: the label changes to …"


def in_units(bench: Bench) -> str:
    """What is added to the name of an axis of eps."""
    return ", in 255ths" if bench.unit > 1 else ""


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _edges(label: np.ndarray, eps: np.ndarray, most: int = 6) -> list[tuple[float, int]]:
    at = np.flatnonzero(label[1:] != label[:-1])[:most]
    return [(float(eps[i + 1]), int(label[i + 1])) for i in at]


def crossing(bench: Bench, made: Crossing, narrow: bool = False) -> Any:
    """Two strips of regions, the image along the way above them, and how the classes' probabilities change places."""
    eps, height, width = bench.unit * made.ray.epsilons, 4.6 if narrow else 5.3, NARROW if narrow else WIDE
    figure = style.figure(width, height)
    left, wide = 0.82 / width, 1 - 1.02 / width
    _images(figure, bench, made, left, wide, 3 if narrow else 7)
    colours = _colours([*made.surrogate, *made.target], made.leave)
    named = set(colours)
    for row, (name, found) in enumerate((("surrogate", made.surrogate), ("target", made.target))):
        axes = figure.add_axes((left, 0.64 - 0.095 * row, wide, 0.08))
        _strip(axes, bench, found, colours, name, narrow)
    axes = figure.add_axes((left, 0.1, wide, 0.39))
    p = made.ray.probabilities[0]
    seen = list(dict.fromkeys(r.label for r in made.surrogate))
    strongest = [int(k) for k in np.argsort(-p.max(0)) if int(k) not in seen][: max(0, 6 - len(seen))]
    colours = _colours([*made.surrogate, *made.target], made.leave, strongest)
    for k in [*seen, *strongest]:
        if p[:, k].max() < 0.02:
            continue
        dashes, thick = ("-", 2.0) if k in named else ("--", 1.4)
        axes.plot(eps, 100 * p[:, k], dashes, color=colours[k], linewidth=thick, label=_short(draw.classname(bench, k)))
    axes.set_xlim(0, eps[-1])
    axes.set_ylim(0, 101)
    along = "eps along the gradient" if narrow else "eps along the sign of the surrogate's gradient"
    style.label(axes, along + in_units(bench), "surrogate's\nprobability, %")
    style.clean(axes)
    axes.legend(loc="center right", fontsize=LETTERS, frameon=True, framealpha=0.9, edgecolor="none", labelcolor=style.INK)
    return figure


def _strip(axes: Any, bench: Bench, found: list[Region], colours: dict[int, str], name: str, narrow: bool) -> None:
    """The regions of one model, each with its label where there is room for it."""
    last = found[-1].stop
    axes.set_xlim(0, last)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    for region in found:
        axes.axvspan(region.start, region.stop, color=colours[region.label], linewidth=0)
        if region.start > 0:
            axes.axvline(region.start, color="white", linewidth=1.5)
        text = _short(draw.classname(bench, region.label))
        if (region.stop - region.start) / last > (0.012 * len(text) + 0.01) * (2.4 if narrow else 1):
            axes.text(
                (region.start + region.stop) / 2, 0.5, text, ha="center", va="center", color="white", fontsize=10, weight="bold"
            )
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=LETTERS, color=style.INK)


def _images(figure: Any, bench: Bench, made: Crossing, left: float, wide: float, count: int) -> None:
    """The image at evenly spaced places of the ray."""
    eps = (np.arange(count) + 0.5) / count * made.ray.epsilons[-1]
    eps[0] = 0.0
    points = made.ray.line.at(np.zeros(len(eps), dtype=np.int64), eps)
    side = 0.9 * wide / count
    high = side * figure.get_figwidth() / figure.get_figheight()
    if high > 0.19:
        side, high = side * 0.19 / high, 0.19
    for i, (e, point) in enumerate(zip(eps, points, strict=True)):
        axes = figure.add_axes((left + wide * (i + 0.5) / count - side / 2, 0.985 - high, side, high))
        axes.imshow(draw.pixels(point), interpolation="nearest" if draw.small(point) else "antialiased")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("original" if not e else draw.eps_words(bench, e, 2)[4:], fontsize=LETTERS, color=style.INK, labelpad=2)


def _colours(found: list[Region], leave: int, more: Sequence[int] = ()) -> dict[int, str]:
    """The right class in blue-green, the others each in its own colour, those of ``more`` last."""
    others = [c for c in (*style.COLOURS, "#7b5ea7", "#2f4858", "#a36a00", "#c06c84") if c != style.COLOURS[1]]
    labels = [k for k in dict.fromkeys([*(region.label for region in found), *more]) if k != leave]
    return {leave: style.COLOURS[1], **{k: others[i % len(others)] for i, k in enumerate(labels)}}
