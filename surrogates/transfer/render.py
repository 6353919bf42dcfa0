"""A TransferMatrix as text, as records and as a heat map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.plain_text import lay
from blackbox.results import ended
from blackbox.statistics import Rate, TwoLevel, few
from surrogates.transfer.conditions import GIVEN, among, check_given, told
from surrogates.transfer.noise import KINDS

if TYPE_CHECKING:
    from blackbox.threat import Threat
    from surrogates.transfer.matrix import TransferMatrix

NOISE = {"linf": "uniform, same Linf", "rms": "Gaussian, same RMS"}
_NOISE = {"linf": "noise, same Linf", "rms": "noise, same RMS"}
_INK, _PALE = "#1b2a3a", "#7a8794"


def cell(rate: Rate | TwoLevel) -> str:
    """Format a rate as ``74 % [69, 78]``, or as a dash where there are no images; then how many are unknown, if any are."""
    unknown = rate.unknown if isinstance(rate, Rate) else 0
    if not rate.n:
        return "unknown" if unknown else "–"
    text = f"{100 * rate.value:.0f} % [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
    return f"{text}, {unknown} unknown" if unknown else text


def incomplete(matrix: TransferMatrix) -> str:
    """The sentence for a matrix that lacks answers: how many, and why; empty where none is missing."""
    if matrix.complete:
        return ""
    why = ended.told(matrix.stopped, sum(matrix.queries.values()))
    return f"INCOMPLETE: {matrix.missing:,} of {matrix.whole:,} answers are missing, and their images unknown: {why}"


def noise_given(given: str) -> str:
    """The condition of noise rows, which have no source."""
    return "all" if given == "all" else "target-correct"


def noise_kinds(matrix: TransferMatrix, e: int) -> Iterator[int]:
    """The kinds of noise measured for threat ``e``."""
    return (k for k in range(len(KINDS)) if matrix.has_noise(e, k))


def size(values: np.ndarray, d: int) -> float:
    """Mean RMS in units of 1/255, from lengths [N]; of those known, NaN where none is."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) / math.sqrt(d) * 255 if len(known) else float("nan")


def _rms(values: np.ndarray, d: int) -> str:
    mean = size(values, d)
    return "–" if math.isnan(mean) else f"{mean:.1f}"


def table(matrix: TransferMatrix, given: str) -> str:
    """See `TransferMatrix.table`."""
    check_given(given)
    head = ["threat", "source", "attack", "G", "RMS", *matrix.targets]
    word = "clean accuracy" if matrix.goal is None else "clean, not reached"
    clean = ["", "", word, "", "", *(cell(matrix.clean_accuracy(t)) for t in matrix.targets)]
    blocks: list[list[list[str]]] = [[clean]]
    for e, threat in enumerate(matrix.threats):
        block = []
        for k in noise_kinds(matrix, e):
            rates = [cell(matrix.noise_rate(t, threat, KINDS[k], noise_given(given))) for t in matrix.targets]
            rms = _rms(matrix.noise_l2[e, k], matrix.d)
            block.append([str(threat), "noise", NOISE[KINDS[k]], "0", rms, *rates])
        for (s, source), (a, attack) in product(enumerate(matrix.sources), enumerate(matrix.attacks)):
            rates = [cell(matrix.rate(source, t, attack, threat, given)) for t in matrix.targets]
            rms = _rms(matrix.l2[s, a, e], matrix.d)
            block.append([str(threat), source, attack, str(matrix.cost[s, a]), rms, *rates])
        for name in dict.fromkeys(run.source for run in matrix.runs):
            if len(rows := matrix.rows_of(name)) > 1:
                block += _means(matrix, name, rows, e, given)
        blocks.append(block)
    first, *lines = lay([head, *(line for block in blocks for line in block)], left=3).split("\n")
    body = [text for block in blocks for text in ("-" * len(first), *(lines.pop(0) for _ in block))]
    goal = " Wrong means: named the goal." if matrix.goals is not None else ""
    repeated = len(matrix.runs) > len({r.source for r in matrix.runs})
    means = " (means over trainings: for other trainings and images)" if repeated else ""
    note = f" Noise rows: {among(noise_given(given), matrix.goal)}." if noise_given(given) != given else ""
    cut = incomplete(matrix)
    return "\n".join(
        [
            *([f"{cut}."] if cut else []),
            *([] if matrix.goal is None else [f"Goal: {matrix.goal}."]),
            f"Transfer rate ({among(given, matrix.goal)}): {told(given, matrix.goal)}.{goal}{note}",
            f"{len(matrix)} images; 95 % Wilson intervals{means}; G gradients an image; RMS of the change in units of 1/255.",
            first,
            *body,
            *_unchanged(matrix),
            *([f"{warning}."] if (warning := few(len(matrix))) else []),
        ]
    )


def _unchanged(matrix: TransferMatrix) -> list[str]:
    """A line for each source and attack that returned some images as they were."""
    same = (matrix.linf == 0).sum(3).max(2)  # over the threats: a gradient of zero has no radius
    return [
        f"{same[s, a]} of {len(matrix)} images have no gradient on {source} with {attack}: returned unchanged, counted as not transferred."
        for (s, source), (a, attack) in product(enumerate(matrix.sources), enumerate(matrix.attacks))
        if same[s, a]
    ]


def _means(matrix: TransferMatrix, name: str, rows: list[int], e: int, given: str) -> list[list[str]]:
    """The table's lines with the mean over the runs of a source, one an attack, with intervals over both (`two_level`)."""
    out = []
    for a, attack in enumerate(matrix.attacks):
        found = [matrix.estimate(name, t, attack, matrix.threats[e], given) for t in matrix.targets]
        rms = _rms(matrix.l2[rows, a, e], matrix.d)
        label = f"{name}: mean of {len(rows)}"
        out.append([str(matrix.threats[e]), label, attack, str(matrix.cost[rows[0], a]), rms, *map(cell, found)])
    return out


def records(matrix: TransferMatrix) -> list[dict[str, Any]]:
    """See `TransferMatrix.records`."""
    out: list[dict[str, Any]] = []
    nothing = float("nan")

    def add(
        threat: Threat, target: str, rate: Rate, given: str, lengths: np.ndarray, linf: np.ndarray, **rest: Any
    ) -> None:
        known = {"target": target, "threat": str(threat), "norm": threat.norm, "eps": threat.eps, "given": given}
        found = {"k": rate.k, "n": rate.n, "rate": rate.value, "low": rate.low, "high": rate.high}
        found["unknown"] = rate.unknown
        sizes = {"rms": size(lengths, matrix.d) / 255, "linf": size(linf, 1) / 255}
        out.append(rest | sizes | known | found)

    for e, threat in enumerate(matrix.threats):
        for target in matrix.targets:
            for k in noise_kinds(matrix, e):
                row = {"source": "noise", "attack": KINDS[k], "steps": 0, "cost": 0, "same": nothing, "other": nothing}
                for given in ("all", "target-correct"):
                    rate = matrix.noise_rate(target, threat, KINDS[k], given)
                    add(threat, target, rate, given, matrix.noise_l2[e, k], matrix.noise_linf[e, k], **row)
            for (s, source), (a, attack) in product(enumerate(matrix.sources), enumerate(matrix.attacks)):
                row = {
                    "source": source,
                    "attack": attack,
                    "steps": int(matrix.steps[a]),
                    "cost": int(matrix.cost[s, a]),
                }
                for given in GIVEN:
                    rate = matrix.rate(source, target, attack, threat, given)
                    split = matrix.split(source, target, attack, threat, given)
                    shares = {"same": split.same.value, "other": split.other.value}
                    add(threat, target, rate, given, matrix.l2[s, a, e], matrix.linf[s, a, e], **row, **shares)
    return out


def plot(matrix: TransferMatrix, path: Path, given: str) -> Path:
    """See `TransferMatrix.plot`. One panel a threat, one row for each noise and each source x attack, one column a target."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.figure import Figure

    shades = LinearSegmentedColormap.from_list("transfer", ["#f6f4ef", "#f3cf9b", "#e2804f", "#b23a48", "#5a1846"])
    kinds = sorted({k for e in range(len(matrix.threats)) for k in noise_kinds(matrix, e)})
    panels = [_rows(matrix, threat, given, kinds) for threat in matrix.threats]
    height, width = max(len(rows) for rows in panels), len(matrix.targets)
    label = max(len(name) for rows in panels for name, _, _ in rows)
    left, cell_w, cell_h = 0.35 + 0.078 * label, max(1.18, 0.08 * max(map(len, matrix.targets)) + 0.2), 0.52
    head, foot, gap = 1.34, 0.48, 0.3
    goal = " Wrong: names the goal." if matrix.goals is not None else "" if matrix.goal is None else f" Goal: {matrix.goal}."
    under = fill(
        (said := told(given, matrix.goal))[0].upper() + said[1:] + "." + goal, max(60, int(len(panels) * width * cell_w * 14))
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
        clean = [(t, matrix.clean_accuracy(t)) for t in matrix.targets]
        word = "clean" if matrix.goal is None else "clean, not reached:"
        names = [f"{t}\n{word} {f'{100 * rate.value:.0f} %' if rate.n else 'unknown'}" for t, rate in clean]
        axes.set_xticks(range(width), names, fontsize=8.5, color=_INK)
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(rows)), [name if p == 0 else "" for name, _, _ in rows], fontsize=9, color=_INK)
        axes.tick_params(length=0, pad=4)
        axes.set_title(str(threat), fontsize=10, fontweight="bold", color=_INK, pad=7)
        for side in axes.spines.values():
            side.set_visible(False)
    note = f"{len(matrix)} images · rows: crafted on (source · attack) · columns: target · 95 % Wilson intervals"
    if noise_given(given) != given:
        note += f" · noise rows: {among(noise_given(given), matrix.goal)}"
    edge = 0.14 / total_w
    figure.text(
        edge, 1 - 0.12 / total_h, f"Transfer rate ({among(given, matrix.goal)})", fontsize=12, weight="bold", color=_INK, va="top"
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
                said = "unknown" if rate.unknown else "–"
                axes.text(j, i, said, ha="center", va="center", fontsize=10 - 2 * bool(rate.unknown), color=_PALE)
                continue
            middle = {"ha": "center", "va": "center", "color": colour}
            axes.text(j, i - 0.13, f"{100 * rate.value:.0f} %", fontsize=10.5, weight="bold", **middle)
            under = f"{100 * rate.low:.0f}–{100 * rate.high:.0f}" + (f" · {rate.unknown} unknown" if rate.unknown else "")
            axes.text(j, i + 0.24, under, fontsize=7.5, alpha=0.85, **middle)
        if i:
            axes.axhline(i - 0.5, color="white", lw=5 if group != rows[i - 1][1] else 1.2)
    for j in range(1, count):
        axes.axvline(j - 0.5, color="white", lw=1.2)
