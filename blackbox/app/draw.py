"""Numbers -> HTML. Pictures go inside as data, so that a redraw is one answer and nothing is left on the disk."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.report import style
from blackbox.report.gallery import SMALL, amplified, colours
from blackbox.report.templates import data_url
from blackbox.report.templates import render as fill

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox.app.bench import Bench
    from blackbox.app.compute import Crossing, Frame
    from blackbox.app.hunt import Meter
    from blackbox.app.saved import Saved

_WNID = re.compile(r"^n\d{8}")
RIGHT, WRONG, CHANGE = style.COLOURS[1], style.COLOURS[0], style.COLOURS[2]


def render(template: str, **values: Any) -> str:
    """A template of the folder ``templates`` beside this file, filled with ``values``."""
    return fill(template, "blackbox.app", **values)


CSS = f":root {{ --bb-right: {RIGHT}; --bb-wrong: {WRONG}; --bb-change: {CHANGE}; --bb-pale: {style.PALE}; }}\n"
CSS += render("gallery.css") + render("app.css")


def classname(bench: Bench, index: int) -> str:
    """As a reader would say it: without WordNet id and underscores."""
    name = bench.classes[index] if index < len(bench.classes) else str(index)
    return _WNID.sub("", name, count=1).replace("_", " ").strip() or name


def picture(array: np.ndarray) -> str:
    """uint8 [H, W, 3] -> a PNG as a data address."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", compress_level=1)
    return data_url(file.getvalue(), "image/png")


def pixels(image: Tensor) -> np.ndarray:
    """[C, H, W] in [0, 1] -> uint8 [H, W, 3]; grey images as ink on paper, as in all pictures of this package."""
    return colours(image.numpy(force=True))


def small(image: Tensor) -> bool:
    """Is it shown pixel by pixel?"""
    return max(image.shape[1:]) <= SMALL


def view(template: str, bench: Bench, made: Frame | Meter, words: list[tuple[str, str]], full: float, **more: Any) -> str:
    """A view that begins with original + change = changed image.

    Args:
        words: title and line below for the original, the change and the changed image. full: the change in full colour.
    """
    images = pixels(made.clean), amplified((made.image - made.clean).numpy(force=True), full), pixels(made.image)
    high, wide = made.clean.shape[1:]
    parts = [(picture(image), *text) for image, text in zip(images, words, strict=True)]
    return render(
        template, made=made, pictures={"ratio": f"{wide} / {high}", "small": small(made.clean), "parts": parts},
        name=lambda index: classname(bench, index), short=max(map(len, bench.classes)) <= 3, **more,
    )  # fmt: skip


def moved(made: Frame | Meter) -> str:
    """How far the image was changed."""
    return f"at most {255 * made.change:.1f}/255"


def frame(bench: Bench, made: Frame, name: str) -> str:
    """The slider's page: image + change = changed image, and both models' bars."""
    own, other = classname(bench, made.surrogate.label), classname(bench, made.target.label)
    says = f"{other} to both" if made.surrogate.label == made.target.label else f"{own} to one, {other} to the other"
    middle = f"eps {made.eps:.3f}" if made.eps else "nothing changed yet"
    words = [("original", name), (middle, moved(made)), ("changed image", says)]
    return view("frame.html", bench, made, words, bench.most, most=bench.most)


def meter(bench: Bench, made: Meter, name: str) -> str:
    """A query attack as it runs: the oracle's counter, what the best image so far looks like and is taken for."""
    label = f"{classname(bench, made.said.label)} to the target" if made.said is not None else ""
    last = "its best image" if made.ended else "best question so far"
    won = int(made.result.first_success_query[0]) if made.result is not None and bool(made.result.success[0]) else 0
    words = [("original", name), ("change", moved(made)), (last, label)]
    full = max(bench.most, made.eps)
    return view("meter.html", bench, made, words, full, won=won, last=max(made.spent, 1), trail=_trail(made))


def _trail(made: Meter) -> list[tuple[float, float]]:
    """Corners, in [0, 1], of a staircase that falls as better images are found: queries to the right, probability upwards."""
    if not made.trail:
        return []
    last = max(made.spent, 1)
    points, level = [], made.trail[0][1]
    for query, p in [*made.trail, (last, made.trail[-1][1])]:
        points += [(query / last, 1 - level), (query / last, 1 - p)]
        level = p
    return points


def regions(bench: Bench, made: Crossing) -> str:
    """Label and eps where it changes, of both models."""
    rows = [
        [name, classname(bench, r.label), f"{r.start:.4f}", f"{r.stop:.4f}"]
        for name, found in (("surrogate", made.surrogate), ("hidden target", made.target))
        for r in found
    ]
    return render("regions.html", rows=rows, asked=made.asked)


def run(made: Saved) -> str:
    """A saved run: its own words, its pictures, examples and raw outcomes."""
    examples = [(picture(pixels(image)), caption, small(image)) for image, caption in made.examples]
    return render("run.html", made=made, examples=examples)


def told(text: str, wrong: bool = False) -> str:
    """A sentence for the visitor."""
    return render("told.html", text=text, wrong=wrong)
