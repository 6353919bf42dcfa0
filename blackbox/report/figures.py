"""Pictures of query attacks: success against queries, and what the images look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox import statistics
from blackbox.report import marks, style
from blackbox.report.gallery import colours
from blackbox.results import words
from blackbox.sweep.pictures import spread

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox.results import AttackResult
    from blackbox.statistics import Estimate, Rate

__all__ = ["NO_CURVE", "QUERIES", "against_queries", "budgets", "choose", "curves", "examples", "gallery", "known_curve", "show", "spread"]


def budgets(most: int) -> np.ndarray:
    """Numbers of queries from 1 to ``most``, evenly on a logarithmic scale."""
    return np.unique(np.round(np.geomspace(1, max(most, 2), 160)).astype(int))


def known_curve(result: AttackResult) -> tuple[np.ndarray, list[Rate]]:
    """Numbers of queries from 1 to the budget, and the share fooled within each; see `blackbox.statistics.known_curve`."""
    return statistics.known_curve(result, budgets(int(result.config["budget"])))


QUERIES = "queries an image (logarithmic)"
NO_CURVE = "No curve of success against queries: of no image is it known whether the attack fools it."


def curves(results: Mapping[str, AttackResult], path: Path, title: str = "Success against queries") -> Path | None:
    """Share of the attacked images fooled within q queries, with 95 % Wilson bands; one line a result.

    A result of which nothing is known has no line. None, and no picture, where no result has one (`NO_CURVE` says so).
    """
    lines = {name: line for name, result in results.items() if len((line := known_curve(result))[0])}
    if not lines:
        return None
    shown = [results[name] for name in lines]
    most = max(int(r.config["budget"]) for r in shown)
    kind = words.kind_of(shown)
    threats = list(dict.fromkeys(str(r.threat) for r in shown))
    within = {1: threats[0], 2: " but for ".join(threats)}.get(len(threats), f"{len(threats)} different radii")
    counts = sorted({rates[0].n for _, rates in lines.values()})
    attacked = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    under = f"Of {words.of_inputs(words.among_all(shown, attacked), kind)}; {within}; bands are 95 % Wilson intervals."
    if any(not r.complete for r in shown):
        under += " A line ends where its run was cut off."
    return against_queries(lines, most, path, title, under, (words.of_inputs(QUERIES, kind), words.axis(shown)))


def against_queries(
    lines: Mapping[str, tuple[np.ndarray, Sequence[Rate | Estimate]]], most: int, path: Path, title: str, under: str,
    labels: tuple[str, str] = (QUERIES, "fooled, %"), thin: Sequence[str] = (),
) -> Path:  # fmt: skip
    """Draw shares with their bands within 1 to ``most`` queries.

    lines: by name the numbers of queries, and the share within each. thin: names of lines that are drawn thin. labels: of both axes.
    """
    made, axes, height = style.canvas(len(lines))
    for i, (name, (at, rates)) in enumerate(lines.items()):
        colour, dash = style.line(i)
        low, middle, high = 100 * np.array([(r.low, r.value, r.high) for r in rates]).T
        axes.fill_between(at, low, high, step="post", color=colour, alpha=style.band(len(lines)), linewidth=0)
        axes.step(at, middle, where="post", color=colour, linestyle=dash, linewidth=1.2 if name in thin else 2, label=name)
    axes.set_xscale("log")
    axes.set_xlim(1, max(most, 2))
    axes.set_ylim(0, 100)
    style.label(axes, *labels)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    style.clean(axes)
    style.legend(axes, "upper left")
    style.heading(made, title, under, height)
    return style.save(made, path)


def examples(result: AttackResult, images: Tensor, classes: Sequence[str], path: Path, columns: int = 6) -> Path | None:
    """Clean image, adversarial example and their difference, for images of different classes; None without a success."""
    chosen = choose(result, columns)
    if not len(chosen):
        return None
    if words.goal_of(result.config):
        return _with_answers(result, images, classes, chosen, path)
    pairs = [(images[i], result.x_adv[i]) for i in chosen]
    heads = [f"{_name(classes, int(result.y[i]))} → {_name(classes, int(result.adv_label[i]))}" for i in chosen]
    notes = [f"{int(result.first_success_query[i]):,} queries" for i in chosen]
    under = f"{result.config['attack']} on {result.config['target']}, {result.threat}; above: the class, and what the target says now."
    rows = [
        ("clean", [a for a, _ in pairs]),
        ("adversarial", [b for _, b in pairs]),
        ("difference", [b - a for a, b in pairs]),
    ]
    return gallery(rows, heads, notes, "What the target was fooled by", under, path)


def _with_answers(result: AttackResult, images: Tensor, classes: Sequence[str], chosen: np.ndarray, path: Path) -> Path:
    """The same with a goal that is not one class: what the target answered under each image, and over it where it can be drawn."""
    import torch

    from blackbox.report.sections.answers import before_after, changeable, head, said

    clean, changed = (v[chosen].numpy(force=True) for v in (images, result.x_adv))
    over = [before_after(result, int(k)) for k in chosen]

    def row(at: int, some: np.ndarray) -> list[Tensor]:
        edges = [changeable(result, int(k), b - a) for k, a, b in zip(chosen, clean, changed, strict=True)]
        made = [marks.drawn(colours(x), marks.of(pair[at], edge)) for x, pair, edge in zip(some, over, edges, strict=True)]
        return [torch.from_numpy(np.moveaxis(m.astype(np.float32) / 255, -1, 0)) for m in made]

    rows = [
        ("clean", row(0, clean)),
        ("adversarial", row(1, changed)),
        ("difference", list(torch.from_numpy(changed - clean))),
    ]
    notes = [[_cut(said(pair[at], list(map(str, classes)))) for pair in over] for at in (0, 1)]
    notes.append([f"{int(result.first_success_query[k]):,} queries" for k in chosen])
    under = f"{words.sentence(result.config)} {result.config['attack']} on {result.config['target']}, {result.threat}."
    return gallery(rows, [_cut(head(result, list(map(str, classes)), int(k))) for k in chosen], notes, "What reached the goal", under, path)


def _cut(text: str, most: int = 16) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def choose(result: AttackResult, count: int) -> np.ndarray:
    """Fooled images, one of each class first, in file order; those whose answers are kept, where some are."""
    found = np.flatnonzero(result.success.numpy())
    return spread(np.intersect1d(found, list(result.answers)) if result.answers else found, result.y.numpy(), count)


def gallery(
    rows: Sequence[tuple[str, Sequence[Tensor]]],
    heads: Sequence[str],
    notes: Sequence[str] | Sequence[Sequence[str]],
    title: str,
    under: str,
    path: Path,
) -> Path:
    """A grid of images. A row whose name starts with "difference" is drawn around grey, each image stretched to its
    largest entry. ``notes``: a line under each column, or for each row a line under each image."""
    across, down = len(heads), len(rows)
    nested = bool(notes) and not isinstance(notes[0], str)
    side, gap, left, head, foot = 1.0, 0.08, 1.35, 0.86, 0.34
    below = [(0.24 if any(notes[r]) else 0.14) if nested else 0.0 for r in range(down)]  # room for a row's notes
    width = max(left + across * (side + gap) + 0.15, 6.0)
    height = head + down * (side + gap) + sum(below) + foot
    made = style.figure(width, height)
    for r, (name, images) in enumerate(rows):
        y = height - head - (r + 1) * (side + gap) - sum(below[:r]) + gap
        made.text(
            (left - 0.12) / width, (y + side / 2) / height, name, fontsize=9, color=style.INK, ha="right", va="center"
        )
        for c, image in enumerate(images):
            axes = made.add_axes(((left + c * (side + gap)) / width, y / height, side / width, side / height))
            axes.set_xticks([])
            axes.set_yticks([])
            for edge in axes.spines.values():
                edge.set_color(style.GRID)
            show(axes, image, name.startswith("difference"))
            if r == 0:
                axes.set_title(heads[c], fontsize=9, color=style.INK, pad=4)
            note = notes[r][c] if nested else (notes[c] if notes and r == down - 1 else "")
            axes.set_xlabel(note, fontsize=8, color=style.PALE, labelpad=3)
    style.heading(made, title, under, height)
    return style.save(made, path)


def show(axes: Any, image: Tensor, difference: bool) -> None:
    """An image [C, H, W] of one or three channels, pixels as squares where there are few."""
    array = image.numpy(force=True)
    smooth = "nearest" if max(array.shape[-2:]) <= 64 else "antialiased"
    grey = array.shape[0] == 1
    if difference:
        largest = float(np.abs(array).max()) or 1.0
        if grey:
            axes.imshow(array[0], cmap="RdBu_r", vmin=-1.4 * largest, vmax=1.4 * largest, interpolation=smooth)
            return
        array = 0.5 + array / (2 * largest)
    if grey:
        axes.imshow(array[0], cmap="gray_r", vmin=0, vmax=1, interpolation=smooth)
    else:
        axes.imshow(np.moveaxis(array[:3], 0, -1).clip(0, 1), interpolation=smooth)


def _name(classes: Sequence[str], index: int) -> str:
    """A class's name, short enough to stand over a small picture."""
    name = str(classes[index]) if index < len(classes) else str(index)
    return name if len(name) <= 9 else name[:8] + "…"
