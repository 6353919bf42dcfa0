"""Numbers -> HTML. Pictures go inside as data, so that a redraw is one answer and nothing is left on the disk."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.report import style
from blackbox.report.templates import data_url, render

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox.app.bench import Bench
    from blackbox.app.compute import Frame, Said
    from blackbox.app.hunt import Meter
    from blackbox.app.saved import Saved

_WNID = re.compile(r"^n\d{8}")
RIGHT, WRONG, CHANGE = style.COLOURS[1], style.COLOURS[0], style.COLOURS[2]
CSS = f":root {{ --bb-right: {RIGHT}; --bb-wrong: {WRONG}; --bb-change: {CHANGE}; --bb-pale: {style.PALE}; }}\n"
CSS += render("gallery.css") + (Path(__file__).with_name("page.css")).read_text(encoding="utf-8")


def classname(bench: Bench, index: int) -> str:
    """As a reader would say it: without WordNet id and underscores."""
    name = bench.classes[index] if index < len(bench.classes) else str(index)
    return _WNID.sub("", name, count=1).replace("_", " ").strip() or name


def picture(array: np.ndarray) -> str:
    """uint8 [H, W] or [H, W, 3] -> a PNG as a data address."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", compress_level=1)
    return data_url(file.getvalue(), "image/png")


def pixels(image: Tensor) -> np.ndarray:
    """[C, H, W] in [0, 1] -> uint8; grey images as ink on paper, as in all pictures of this package."""
    array = (image.numpy(force=True) * 255).round().clip(0, 255).astype(np.uint8)
    return 255 - array[0] if len(array) == 1 else np.ascontiguousarray(array[:3].transpose(1, 2, 0))


def difference(change: Tensor, full: float) -> np.ndarray:
    """A change [C, H, W] around grey; ``full`` is drawn in full colour. Grey images: red is more ink, blue is less."""
    array = (change.numpy(force=True) / max(full, 1e-9)).clip(-1, 1)
    if len(array) == 1:
        import matplotlib

        return (matplotlib.colormaps["RdBu_r"](0.5 + array[0] / 2.8)[..., :3] * 255).astype(np.uint8)
    return np.ascontiguousarray((127.5 + 127.5 * array[:3]).round().astype(np.uint8).transpose(1, 2, 0))


def _figure(source: str, title: str, under: str, small: bool) -> str:
    few = ' class="bb-few"' if small else ""
    words = f"{escape(title)}<br><small>{escape(under)}</small>"
    return f'<figure><img src="{source}" alt="{escape(title)}"{few}><figcaption>{words}</figcaption></figure>'


def _equation(
    bench: Bench, clean: Tensor, image: Tensor, full: float, middle: str, last: str, under: str, name: str
) -> str:
    small = max(clean.shape[1:]) <= 64
    change = image - clean
    moved = f"at most {255 * float(change.abs().max()):.1f}/255"
    parts = [
        _figure(picture(pixels(clean)), "original", name, small),
        '<div class="bb-op">+</div>',
        _figure(picture(difference(change, full)), middle, moved, small),
        '<div class="bb-op">=</div>',
        _figure(picture(pixels(image)), last, under, small),
    ]
    high, wide = clean.shape[1:]
    return f'<div class="bb-pics" style="--ratio: {wide} / {high}">' + "".join(parts) + "</div>"


def card(bench: Bench, said: Said, role: str) -> str:
    """What one model says, before and after."""
    now, was = classname(bench, said.label), classname(bench, said.label_before)
    if not said.right:
        verdict = f"wrong before any change: “{was}”" + (f", now “{now}”" if now != was else "")
    elif said.fooled:
        verdict = f"“{was}” became “{now}”"
    else:
        verdict = f"still “{now}”"
    bars = []
    for k, p, q in said.bars():
        tick = f'<b style="left:calc({100 * p:.1f}% - 1px)"></b>' if p >= 0.005 else ""
        kind = "right" if k == said.leave else "wrong" if k == said.label else ""
        bars.append(
            f'<div class="bb-bar"><span title="{escape(classname(bench, k))}">{escape(classname(bench, k))}</span>'
            f'<div class="bb-track"><i class="{kind}" style="width:{100 * q:.1f}%"></i>{tick}</div>'
            f'<span class="bb-num">{100 * q:.1f} %</span></div>'
        )
    body = "".join(bars) or '<div class="bb-dim">This target shows its label, no probabilities.</div>'
    short = " short" if max(map(len, bench.classes)) <= 3 else ""
    state = " fooled" if said.fooled or not said.right else ""
    return (
        f'<div class="bb-card{state}"><h4>{escape(said.model)}</h4><small>{escape(role)}</small>'
        f'<div class="bb-verdict">{escape(verdict)}</div><div class="bb-bars{short}">{body}</div></div>'
    )


def frame(bench: Bench, made: Frame, name: str) -> str:
    """The slider's page: image + change = changed image, and both models' bars."""
    middle = f"eps {made.eps:.3f}" if made.eps else "nothing changed yet"
    cards = card(bench, made.surrogate, "surrogate: its gradients are known (white box)")
    cards += card(bench, made.target, "hidden target: sees the same image (transfer)")
    foot = (
        f"The change is drawn so that ±{bench.most:g} is full colour. Bars: blue-green the right class, red a wrong one that is named; "
        f"ticks: before the change. Computed in {1000 * made.seconds:.0f} ms. To draw this page the hidden target has been asked "
        f"about {made.asked:,} images so far; no attack pays for those."
    )
    says = f"{classname(bench, made.surrogate.label)} to one, {classname(bench, made.target.label)} to the other"
    if made.surrogate.label == made.target.label:
        says = f"{classname(bench, made.target.label)} to both"
    pics = _equation(bench, made.clean, made.image, bench.most, middle, "changed image", says, name)
    marks = f'data-eps="{made.eps:.4f}" data-ms="{1000 * made.seconds:.2f}" data-fooled="{int(made.target.fooled)}"'
    return (
        f'<div class="bb" id="bb-frame" {marks}>'
        f'{pics}<div class="bb-says">{cards}</div><p class="bb-dim">{foot}</p></div>'
    )


def meter(bench: Bench, made: Meter, name: str) -> str:
    """A query attack as it runs: the oracle's counter, what the best image so far looks like and is taken for."""
    share = min(1.0, made.spent / max(made.budget, 1))
    state = made.ended or "running"
    full = max(bench.most, made.eps)
    label = f"{classname(bench, made.said.label)} to the target" if made.said is not None else ""
    last = "its best image" if made.ended else "best question so far"
    pics = _equation(bench, made.clean, made.image, full, "change", last, label, name)
    cards = (
        card(bench, made.said, "hidden target, as the attack sees it: answers only") if made.said is not None else ""
    )
    mark = "bb-note" if made.said is None or not made.said.fooled else "bb-wrong"
    won = made.result is not None and bool(made.result.success[0])
    first = (
        f" First fooled at query {int(made.result.first_success_query[0]):,}."
        if won and made.result is not None
        else ""
    )
    return (
        f'<div class="bb" id="bb-meter" data-spent="{made.spent}" data-ended="{escape(made.ended)}">'
        f'<div class="bb-meter"><i style="width:{100 * share:.1f}%"></i><span>{made.spent:,} of at most {made.budget:,} queries'
        f" · {made.seconds:.1f} s</span></div>"
        f'<div class="{mark}">{escape(made.attack)}, eps {made.eps:g}: {escape(state)}.{first}</div>'
        f'<div style="margin-top:.8rem">{pics}</div><div class="bb-says">{cards}{_trail(made)}</div></div>'
    )


def _trail(made: Meter) -> str:
    """Probability of the right class against queries: a staircase that falls as better images are found."""
    if not made.trail:
        return ""
    wide, high = 300, 100
    last = max(made.spent, 1)
    points, level = [], made.trail[0][1]
    for query, p in [*made.trail, (last, made.trail[-1][1])]:
        x = wide * query / last
        points += [f"{x:.1f},{high * (1 - level):.1f}", f"{x:.1f},{high * (1 - p):.1f}"]
        level = p
    told = f"lowest so far, against queries (1 to {last:,}); now {100 * made.trail[-1][1]:.1f} %"
    return (
        f'<div class="bb-card trail"><h4>Probability of the right class</h4><small>{told}</small>'
        f'<svg class="bb-trail" viewBox="-2 -4 {wide + 4} {high + 8}" preserveAspectRatio="none">'
        f'<rect width="{wide}" height="{high}"/><polyline points="{" ".join(points)}"/></svg></div>'
    )


def run(made: Saved) -> str:
    """A saved run: its own words, its pictures, examples and raw outcomes."""
    out = [
        f'<div class="bb" id="bb-run"><h3>{escape(made.title)}</h3><div class="bb-dim">{escape(str(made.path))}</div>'
    ]
    if made.command:
        out.append(f'<pre class="bb-wrap">$ {escape(made.command)}</pre>')
    if made.summary:
        out.append(f"<pre>{escape(made.summary)}</pre>")
    for path in made.pictures:
        out.append(
            f'<p><img class="bb-full" alt="{escape(path.stem)}" src="{data_url(path.read_bytes(), "image/png")}"></p>'
        )
    if made.examples:
        out.append("<h4>What the attack ended with</h4><div class='bb-sheet'>")
        for image, caption in made.examples:
            out.append(_figure(picture(pixels(image)), caption, "", max(image.shape[1:]) <= 64))
        out.append("</div>")
    if made.galleries:
        out.append("<h4>What the targets were fooled by</h4>")
        out += [gallery.html() for gallery in made.galleries]
    out += [told(problem, wrong=True) for problem in made.problems]
    if made.rows:
        what = "Raw outcomes" if made.raw else "Rates"
        out.append(
            f"<h4>{what}, {len(made.rows):,} of {made.total:,}</h4><div class='bb-wide'>{table(made.head, made.rows)}</div>"
        )
    return "".join([*out, "</div>"])


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    top = "".join(f"<th>{escape(str(c))}</th>" for c in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def told(text: str, wrong: bool = False) -> str:
    """A sentence for the visitor."""
    return (
        f'<div class="bb"><div class="{"bb-wrong" if wrong else "bb-note"}">{escape(text)}</div></div>' if text else ""
    )
