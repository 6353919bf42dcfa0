"""Plots along a ray: the loss against its tangent, and the decision regions crossed."""

from __future__ import annotations

import io
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

_THUMBNAILS = 7
_LINEAR = 0.1


def svg(made: Any, name: str, alt: str) -> str:
    """A matplotlib figure as HTML."""
    file = io.BytesIO()
    made.savefig(file, format="svg", metadata={"Date": None})
    return draw.render("drawing.html", number=name, alt=alt, source=data_url(file.getvalue(), "image/svg+xml"))


def taylor(bench: Bench, shot: Shot, ray: Ray, surrogate: str, loss: str) -> Any:
    """The true loss along the FGSM ray against its first-order approximation."""
    height = 5.0
    made = style.figure(9.2, height)
    axes = made.add_axes((0.085, 0.115, 0.885, 0.72))
    leave = int(ray.label[0, 0]) if shot.label is None else shot.label
    eps, true, line = ray.epsilons, ray.loss[0], ray.tangent[0]
    radius = float(ray.linear_radius(_LINEAR)[0])
    axes.fill_between(
        eps, true, line, color=style.COLOURS[2], alpha=0.18, linewidth=0, label="error of the tangent"
    )
    axes.plot(eps, true, color=style.COLOURS[1], linewidth=2.6, label="true loss")
    axes.plot(
        eps,
        line,
        color=style.COLOURS[0],
        linewidth=2,
        linestyle="--",
        label="first-order Taylor: loss + eps · |gradient|₁",
    )
    axes.plot([0], [ray.start[0]], "o", color=style.INK, markersize=6)
    top, low = max(true.max(), line.max()), min(true.min(), line.min(), 0.0)
    room = (top - low) * 0.16 + 1e-9
    axes.set_ylim(low - 0.02 * (top - low), top + room)
    axes.set_xlim(0, eps[-1])
    if 0 < radius < eps[-1]:
        axes.axvspan(0, radius, color=style.COLOURS[1], alpha=0.10, linewidth=0)
    for edge in _edges(ray.label[0], eps):
        axes.axvline(edge[0], color=style.PALE, linewidth=1.2, linestyle=":")
        axes.annotate(
            f"“{draw.classname(bench, edge[1])}”", (edge[0], top + 0.55 * room), xytext=(4, 0), textcoords="offset points",
            fontsize=9, color=style.INK, va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
        )  # fmt: skip
    style.label(axes, "eps: how far along the sign of the gradient (image range 0 to 1)", f"{loss} of “{draw.classname(bench, leave)}”")
    style.clean(axes)
    axes.legend(loc="best", fontsize=9, frameon=True, framealpha=0.9, edgecolor="none", labelcolor=style.INK)
    where = f"up to eps {radius:.3g} (shaded)" if radius else "not even over the first step drawn"
    under = f"{surrogate}, {shot.name}. The tangent predicts the rise to within 10 % {where}. Dotted: the label changes to …"
    style.heading(made, "The loss along the FGSM ray, and its first-order approximation", under, height)
    return made


def _edges(label: np.ndarray, eps: np.ndarray, most: int = 6) -> list[tuple[float, int]]:
    at = np.flatnonzero(label[1:] != label[:-1])[:most]
    return [(float(eps[i + 1]), int(label[i + 1])) for i in at]


def crossing(bench: Bench, shot: Shot, made: Crossing, surrogate: str, target: str) -> Any:
    """Two strips of regions, the image along the way above them, and how the classes' probabilities change places."""
    eps, height = made.ray.epsilons, 6.4
    figure = style.figure(9.6, height)
    left, wide = 0.13, 0.85
    _images(figure, bench, made, left, wide)
    colours = _colours([*made.surrogate, *made.target], made.leave)
    for row, (name, found) in enumerate((("surrogate", made.surrogate), ("target", made.target))):
        axes = figure.add_axes((left, 0.565 - 0.085 * row, wide, 0.07))
        axes.set_xlim(0, eps[-1])
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        axes.set_xticks([])
        for region in found:
            axes.axvspan(region.start, region.stop, color=colours[region.label], linewidth=0)
            if region.start > 0:
                axes.axvline(region.start, color="white", linewidth=1.5)
            text = draw.classname(bench, region.label)
            if (region.stop - region.start) / eps[-1] > 0.011 * min(len(text), 16) + 0.01:
                axes.text(
                    (region.start + region.stop) / 2, 0.5, text if len(text) <= 16 else text[:15] + "…", ha="center", va="center",
                    color="white", fontsize=10, weight="bold",
                )  # fmt: skip
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10, color=style.INK)
    axes = figure.add_axes((left, 0.09, wide, 0.36))
    p = made.ray.probabilities[0]
    seen = list(dict.fromkeys(r.label for r in made.surrogate))
    strongest = [int(k) for k in np.argsort(-p.max(0)) if int(k) not in seen][: max(0, 6 - len(seen))]
    for k in [*seen, *strongest]:
        if p[:, k].max() < 0.02:
            continue
        colour = colours.get(k, style.PALE)
        axes.plot(eps, 100 * p[:, k], color=colour, linewidth=2 if k in colours else 1, label=draw.classname(bench, k))
    axes.set_xlim(0, eps[-1])
    axes.set_ylim(0, 101)
    style.label(axes, "eps along the sign of the surrogate's gradient", "surrogate's\nprobability, %")
    style.clean(axes)
    axes.legend(loc="center right", fontsize=8.5, frameon=True, framealpha=0.9, edgecolor="none", labelcolor=style.INK)
    under = (
        f"{shot.name}; from “{surrogate}” along its own gradient, seen by it and by {target}. Borders found by bisection, "
        f"±{eps[-1] / 1000:.2g}."
    )
    style.heading(figure, "Decision regions along the ray", under, height)
    return figure


def _images(figure: Any, bench: Bench, made: Crossing, left: float, wide: float) -> None:
    """The image at evenly spaced places of the ray."""
    eps = (np.arange(_THUMBNAILS) + 0.5) / _THUMBNAILS * made.ray.epsilons[-1]
    eps[0] = 0.0
    points = made.ray.line.at(np.zeros(len(eps), dtype=np.int64), eps)
    side = 0.105
    for i, (e, point) in enumerate(zip(eps, points, strict=True)):
        at = left + wide * (i + 0.5) / _THUMBNAILS - side / 2
        axes = figure.add_axes((at, 0.685, side, side * figure.get_figwidth() / figure.get_figheight()))
        axes.imshow(draw.pixels(point), interpolation="nearest" if draw.small(point) else "antialiased")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("original" if not e else f"eps {e:.2g}", fontsize=8.5, color=style.PALE, labelpad=2)


def _colours(found: list[Region], leave: int) -> dict[int, str]:
    """The right class in blue-green, the others each in its own colour."""
    others = [c for c in (*style.COLOURS, "#7b5ea7", "#2f4858", "#a36a00", "#c06c84") if c != style.COLOURS[1]]
    labels = [k for k in dict.fromkeys(region.label for region in found) if k != leave]
    return {leave: style.COLOURS[1], **{k: others[i % len(others)] for i, k in enumerate(labels)}}
