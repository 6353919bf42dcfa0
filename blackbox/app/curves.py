"""The drawing and the words of the tab that tells why an example transfers. Numbers: `blackbox.app.why`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.app import draw, plots, verdict
from blackbox.app.why import AUTOGRAD, CHANCE, DIFFERENCES, LABELS, averaged
from blackbox.report import style
from blackbox.report.gallery import amplified

if TYPE_CHECKING:
    from blackbox.app.bench import Bench, Shot
    from blackbox.app.compute import Said
    from blackbox.app.why import Curves, Slope, Why

_HILL = 0.05  # of a loss: a smaller rise is none


def tab(bench: Bench, shot: Shot, made: Why, name: str) -> str:
    """The tab as HTML."""
    high, wide = shot.image.shape[1:]
    alt = "Loss of the surrogate and of the target against eps: along the surrogate's gradient, and along random directions"
    drawing = plots.svg(lambda narrow: losses(bench, made, narrow), "bb-losses", alt, "Both losses, uphill and by chance", level=3)
    note = "The target's gradient is exact because its net is on this machine; an attacker would have to estimate it from queries."
    return draw.render(
        "why.html", made=made, headline=headline(made), transfers=not made.same and made.cosine > made.usual,
        ratio=f"{wide} / {high}", small=draw.small(shot.image), original=draw.picture(draw.pixels(shot.image)), name=name,
        pictures=pictures(made), drawing=drawing, sentences=told(bench, shot, made),
        note=note if made.target.how == AUTOGRAD and not made.same else "", labels=made.target.how == LABELS,
    )  # fmt: skip


def losses(bench: Bench, made: Why, narrow: bool = False) -> Any:
    """Both models' losses along the surrogate's gradient and along random signs: two panels, on phones one above the other."""
    height = 5.4 if narrow else 3.3
    width = plots.NARROW if narrow else plots.WIDE
    figure = style.figure(width, height)
    for i, (name, curves, how) in enumerate((("surrogate", made.own, AUTOGRAD), ("hidden target", made.other, made.target.how))):
        each, tall = ((width - 0.75) / width, 1.95 / height) if narrow else ((width / 2 - 0.75) / width, (height - 0.85) / height)
        left = 0.55 / width + (0 if narrow else i / 2)
        bottom = 0.5 / height + ((1 - i) * 0.5 if narrow else 0)
        _panel(figure.add_axes((left, bottom, each, tall)), bench, made.eps, curves, name, how == LABELS)
    return figure


def _panel(axes: Any, bench: Bench, eps: np.ndarray, curves: Curves, name: str, labels: bool) -> None:
    x, how = bench.unit * eps, "steps-post" if labels else "default"
    for k, each in enumerate(curves.chance):
        name_of = "_" if k else f"{CHANCE} random directions"
        axes.plot(x, each, color=style.PALE, linewidth=1.4, linestyle="--", drawstyle=how, label=name_of)
    axes.plot(x, curves.uphill, color=style.COLOURS[0], linewidth=2.6, drawstyle=how, label="surrogate's gradient")
    low = min(0.0, float(curves.chance.min()), float(curves.uphill.min()))
    top = max(float(curves.chance.max()), float(curves.uphill.max()), low + 0.1)
    axes.set_xlim(0, x[-1])
    axes.set_ylim(low - 0.03 * (top - low), top + 0.12 * (top - low))
    flips = np.flatnonzero(curves.label[1:] != curves.label[:-1])
    if len(flips):
        i = int(flips[0]) + 1
        axes.plot([x[i]], [curves.uphill[i]], "o", color=style.COLOURS[0], markersize=6)
        word = draw.classname(bench, int(curves.label[i]))
        at, side = ((-6, 6), "right") if x[i] > 0.3 * x[-1] else ((7, -9), "left")  # not over the axis
        axes.annotate(
            f"now “{word[:14]}”", (x[i], curves.uphill[i]), xytext=at, textcoords="offset points", ha=side,
            fontsize=plots.LETTERS, color=style.INK,
        )  # fmt: skip
    axes.locator_params(axis="x", nbins=4)
    style.label(axes, f"eps{plots.in_units(bench)}", "1: another label" if labels else "loss")
    axes.set_title(name, fontsize=10, weight="bold", color=style.INK, loc="left")
    style.clean(axes)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], names[::-1], loc="best", fontsize=plots.LETTERS, frameon=True, framealpha=0.9, edgecolor="none",
        labelcolor=style.INK, title="loss along", title_fontsize=plots.LETTERS, alignment="left", handlelength=2.4,
    )  # fmt: skip


def pictures(made: Why) -> list[tuple[str, str, str]]:
    """(source, title, line below) of each gradient there is; both in blocks where the target was probed in blocks. No source: it is
    zero."""
    out, blocks = [], made.target.blocks
    for name, slope in (("surrogate's gradient", made.surrogate), ("target's gradient", made.target)):
        if slope.gradient is not None:
            shown = slope.gradient if blocks == 1 else averaged(slope.gradient, blocks)
            more = f", averaged over {blocks}×{blocks} pixels" if slope.how != DIFFERENCES and blocks > 1 else ""
            source = "" if slope.zero else draw.picture(amplified(shown.float().numpy(force=True)))
            out.append((source, name, how(slope) + more))
    return out


def how(slope: Slope) -> str:
    """By which way a gradient was found."""
    if slope.how != DIFFERENCES:
        return "computed exactly (autograd)"
    each = "pixel by pixel" if slope.blocks == 1 else f"in blocks of {slope.blocks}×{slope.blocks} pixels"
    return f"estimated {each} from {slope.queries:,} queries"


def headline(made: Why) -> str:
    """What the gradients say, in a few words."""
    if made.same:
        return "The same model on both sides: a white-box attack, not transfer"
    if made.target.how == LABELS:
        return "This target shows its label only: no gradient can be estimated from it"
    if math.isnan(made.cosine):
        return f"{_flat(made)} zero here: there is nothing to compare"
    if abs(made.cosine) <= made.usual:
        return f"The two gradients agree no more than chance would have it: cosine {made.cosine:.2f}"
    if made.cosine < 0:
        return f"The two gradients point partly against each other: cosine {made.cosine:.2f}"
    return f"The two gradients point partly the same way: cosine {made.cosine:.2f}"


def _flat(made: Why) -> str:
    """Whose gradient is zero, as the beginning of a sentence."""
    if made.surrogate.zero and made.target.zero:
        return "Both gradients are"
    return f"The {'surrogate' if made.surrogate.zero else 'target'}'s gradient is"


def told(bench: Bench, shot: Shot, made: Why) -> list[str]:
    """A paragraph for a class, as sentences."""
    colour = "grey where nothing does, coloured by the channel that does"
    if shot.image.shape[0] < 3:
        colour = "red where more ink does so, blue where less ink does"
    elif made.target.blocks > 1:
        colour = "red where brighter pixels do so, blue where darker ones do"
    said = [
        f"A gradient says for every pixel which way to nudge it so that a model's error (its loss) grows fastest: {colour}, paler where "
        "a pixel matters less."
    ]
    return [*said, *_agreement(made), *_walk(bench, shot, made)]


def _agreement(made: Why) -> list[str]:
    if made.same:
        return ["Both pictures show the same model, so they are equal and the cosine is 1. Choose another target to see transfer."]
    if made.target.how == LABELS:
        return ["This target shows its label only, so only its walk can be compared."]
    if math.isnan(made.cosine):
        why = "no small nudge of a pixel changes the target's answer" if made.target.zero else "at this image the surrogate's loss is flat"
        return [f"{_flat(made)} zero: {why}, so only the walk can be compared."]
    scale = (
        f"the cosine is {made.cosine:.2f} (1 would be the same direction, 0 nothing in common, −1 the opposite; two random "
        f"directions stay within ±{made.usual:.2f} in 95 of 100 draws)."
    )
    if made.cosine > made.usual:
        return [
            "Both models learned to tell the same classes apart, so they rely on many of the same pixels, and their gradients point "
            f"partly the same way: {scale}"
        ]
    if made.cosine < -made.usual:
        return [f"At this image a small nudge that raises the one model's error tends to lower the other's: {scale}"]
    return [f"At this image the two gradients have no more in common than two random directions: {scale}"]


def _walk(bench: Bench, shot: Shot, made: Why) -> list[str]:
    """What the curves show at the end of the page's slider; the verdict is the slider's own."""
    (ours, ours_by_chance), (theirs, theirs_by_chance) = made.own.rise(made.end), made.other.rise(made.end)
    size = draw.eps_words(bench, made.eps[made.end])
    a, b, c, d = (f"{round(v, 2) + 0.0:.2f}" for v in (ours, theirs, ours_by_chance, theirs_by_chance))
    said = [
        f"Now take a step of {size} along the surrogate's gradient: the surrogate's loss changes by {a}, the target's by {b}. "
        f"Along random directions of the same length they change by {c} and {d}."
    ]
    if made.same:
        return said
    own, other = made.at_the_end(shot)
    names = {k: draw.classname(bench, k) for each in (own, other) for k in (each.label, each.label_before)}
    said.append(f"{verdict.between(own, other, size, names)[1]}.")
    return [*said, *_hill(made, own, other), *(["This target's scores jump, so its curve is a staircase."] if made.other.jumps else [])]


def _hill(made: Why, own: Said, other: Said) -> list[str]:
    """Whether what is uphill for the surrogate is uphill for the target. Nothing is said where the surrogate hardly climbs."""
    (ours, _), (theirs, by_chance) = made.own.rise(made.end), made.other.rise(made.end)
    if made.target.how == LABELS or ours < _HILL or not (own.right and other.right):
        return []
    if theirs < _HILL:
        return ["The target's loss hardly rises." if theirs > -_HILL else "The target's loss falls."]
    rises = "The target's loss rises too"
    if not other.fooled:
        rises += ", not far enough to change its label"
    if made.other.best_by_chance(made.end) < _HILL:
        rises += "; chance finds no hill" if made.own.best_by_chance(made.end) < _HILL else "; along random directions it does not"
    elif by_chance >= theirs / 2:
        rises += "; but it rises along random directions as well"
    if not made.cosine > made.usual and not math.isnan(made.cosine):
        rises += ". The gradients do not show it: they speak of small steps, and this one is long"
    return [f"{rises}."]
