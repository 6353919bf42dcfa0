"""Numbers -> HTML. Pictures go inside as data, so that a redraw is one answer and nothing is left on the disk."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.app import verdict
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
HEAD = render("head.html")
# darker than the theme's own, whose contrast (2.4 and 2.6 to 1) is too little for words
THEME = {
    "body_text_color_subdued": "*neutral_600", "body_text_color_subdued_dark": "*neutral_300",
    "block_info_text_color": "*neutral_600", "block_info_text_color_dark": "*neutral_300",
    "color_accent": "*primary_700",
    "button_primary_background_fill": "*primary_700", "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_dark": "*primary_700", "button_primary_background_fill_hover_dark": "*primary_800",
    "slider_color": "*primary_700",
}  # fmt: skip


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


def view(template: str, bench: Bench, made: Frame | Meter, words: list[tuple[str, str]], largest: float, **more: Any) -> str:
    """A view that begins with original + change = changed image.

    Args:
        words: title and line below for the original, the change and the changed image. largest: the change that is drawn in full colour.
    """
    images = pixels(made.clean), amplified((made.image - made.clean).numpy(force=True), largest), pixels(made.image)
    high, wide = made.clean.shape[1:]
    parts = [(picture(image), *text) for image, text in zip(images, words, strict=True)]
    return render(
        template, made=made, pictures={"ratio": f"{wide} / {high}", "small": small(made.clean), "parts": parts},
        name=lambda index: classname(bench, index), short=max(map(len, bench.classes)) <= 3, **more,
    )  # fmt: skip


def moved(made: Frame | Meter) -> str:
    """How far the image was changed."""
    return f"at most {255 * made.change:.1f}/255"


def eps_words(bench: Bench, eps: float, digits: int = 3) -> str:
    """An eps as a visitor chooses it: ``eps 0.050``, of photographs ``eps 4/255``."""
    return f"eps {255 * eps:.3g}/255" if bench.photographs else f"eps {eps:.{digits}f}"


def frame(bench: Bench, made: Frame, name: str) -> str:
    """The slider's page: what it shows in a sentence, image + change = changed image, and both models' bars."""
    labels = (each for said in (made.surrogate, made.target) for each in (said.label, said.label_before))
    names = {k: classname(bench, k) for k in labels}
    own, other = names[made.surrogate.label], names[made.target.label]
    says = f"“{other}” to both" if made.surrogate.label == made.target.label else f"“{own}” to one, “{other}” to the other"
    middle, answer = eps_words(bench, made.eps), verdict.of(made, eps_words(bench, made.eps), names)
    words = [("original", name), (f"change, {middle}" if made.eps else "nothing changed", moved(made)), ("changed image", says)]
    full = f"{255 * bench.most:.3g}/255" if bench.photographs else f"{bench.most:g}"
    return view("frame.html", bench, made, words, bench.most, full=full, answer=answer)


def waiting(words: list[str], at: int) -> str:
    """What is done before the page can show something. at: the number of the step at work."""
    return render("waiting.html", words=words, at=at)


def meter(bench: Bench, made: Meter, name: str) -> str:
    """A query attack as it runs: the oracle's counter, what the best image so far looks like and is taken for."""
    label = f"{classname(bench, made.said.label)} to the target" if made.said is not None else ""
    last = "its best image" if made.ended else "best question so far"
    won = int(made.result.first_success_query[0]) if made.result is not None and bool(made.result.success[0]) else 0
    cut = made.result is not None and not bool(made.result.known[0])
    words = [("original", name), ("change", moved(made)), (last, label)]
    return view(
        "meter.html", bench, made, words, max(bench.most, made.eps), size=eps_words(bench, made.eps), won=won, cut=cut,
        last=max(made.spent, 1), trail=_trail(made),
    )  # fmt: skip


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
    unit, digits = (", in 255ths", 2) if bench.photographs else ("", 4)
    rows = [
        [name, classname(bench, r.label), f"{bench.unit * r.start:.{digits}f}", f"{bench.unit * r.stop:.{digits}f}"]
        for name, found in (("surrogate", made.surrogate), ("hidden target", made.target))
        for r in found
    ]
    return render("regions.html", rows=rows, asked=made.asked, unit=unit)


def run(made: Saved) -> str:
    """A saved run: its own words, its pictures, examples and raw outcomes."""
    examples = [(picture(pixels(image)), caption, small(image)) for image, caption in made.examples]
    return render("run.html", made=made, examples=examples)


def told(text: str, wrong: bool = False) -> str:
    """A sentence for the visitor."""
    return render("told.html", text=text, wrong=wrong)
