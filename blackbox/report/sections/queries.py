"""Query attacks: rates, curves, eps, distances."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox import statistics
from blackbox.report import distances, figures, radii
from blackbox.report.sections.common import Item, between, number, once, parts, safe, short, without_run
from blackbox.results import words

if TYPE_CHECKING:
    from blackbox.report.pages import Page

AT = (10, 100, 1_000)  # numbers of queries that a table has room for
LINES = 10  # in one picture; more are divided by threat


def add(page: Page, chosen: Sequence[Item], folder: Path, own: bool = False) -> None:
    """Tables, then pictures: each target by itself. own: on the page of the run itself, where files have short names."""
    if not chosen:
        return
    page.head("Attacks by queries")
    within = [i for i in chosen if math.isfinite(i.result.threat.eps)]
    for some in filter(None, _kinds(within)):
        _rates(page, some)
    walks = [i for i in chosen if not math.isfinite(i.result.threat.eps)]
    if walks:
        _distances(page, walks)
    if within:
        pictures(page, [i for i in within if i.run.seeds(i.name) is None], folder, own=own)
    near = [i for i in chosen if walked(i)]
    for target, group in _by_target(near).items():
        path = folder / ("distance.png" if own else f"distance-{safe(target)}.svg")
        lines = {name: i.result for name, i in zip(short(group), group, strict=True)}
        norms = {i.result.threat.norm for i in group}
        if len(norms) == 1 and distances.distances(lines, path, f"Distance against queries on {target}") is not None:
            page.picture("Median distance against queries", path)


def _kinds(chosen: Sequence[Item]) -> list[list[Item]]:
    """Those that leave or reach a class, and those with another goal: their numbers are of other things."""
    return [[i for i in chosen if bool(words.goal_of(i.result.config)) is other] for other in (False, True)]


def walked(item: Item) -> bool:
    """Did its examples come nearer after the first success? Then a curve of distance against queries is worth showing."""
    trace = item.result.trace
    return len(trace) > 1.5 * int(item.result.success_float.sum()) > 0


def _by_target(chosen: Sequence[Item]) -> dict[str, list[Item]]:
    out: dict[str, list[Item]] = defaultdict(list)
    for item in chosen:
        out[str(item.result.config["target"])].append(item)
    return out


def _rates(page: Page, chosen: Sequence[Item]) -> None:
    most = max(int(i.result.config["budget"]) for i in chosen)
    at = [q for q in AT if q < most]
    other = bool(words.goal_of(chosen[0].result.config))
    head = ["Run", "Attack", "Target", "Shows", "Within", "Budget", "Seed", *(["Goal"] if other else []),
            "Reached, %" if other else "Fooled, %", *(f"by {q:,}" for q in at),
            "Mean queries", "Median", "Distance", "Attacked" if other else "Clean right"]  # fmt: skip
    rows: list[list[object]] = []
    for i in chosen:
        r, c = i.result, i.result.config
        early, far = statistics.success_at(r, at), r.distance[r.success]
        rows.append([
            i.run.name, i.attack, str(c["target"]), str(c.get("access", "–")), str(r.threat), f"{int(c['budget']):,}",
            str(c.get("seed", "–")), *([words.goal_of(c)] if other else []), r.success_rate,
            *(f"{100 * early[q].value:.0f}" if q in early and early[q].n else "–" for q in at),
            statistics.restricted_mean(r), number(r.median_queries),
            number(float(far.median()) if len(far) else None, ".3g"),
            f"{r.clean_accuracy.k}/{r.clean_accuracy.n}" + (f", {n} unknown" if (n := r.clean_accuracy.unknown) else ""),
        ])  # fmt: skip
    head, rows, left, said = once(head, rows, 7 + other, keep=2)  # type: ignore[arg-type, assignment]
    caption = f"{'Reached' if other else 'Fooled'}: within eps and budget, of the {words.among(chosen[0].result.config)}, with 95 % "
    caption += "Wilson interval. A failure is charged the whole budget; the distance is the median of the successes."
    if other:
        caption += f" Attacked: how many inputs {words.OPEN}, of all."
        meant = list(dict.fromkeys(m for i in chosen if (m := words.meaning(i.result.config))))
        caption += f" These are inputs of which this holds: {'; '.join(m.strip(' ()') for m in meant)}." if meant else ""
    head, rows, left = without_run(head, rows, left)  # type: ignore[arg-type]
    page.table(head, rows, f"{caption} {said}".strip(), left)  # type: ignore[arg-type]


def _distances(page: Page, chosen: Sequence[Item]) -> None:
    at = sorted({q for q in (*AT, 10_000) for i in chosen if q < int(i.result.config["budget"])})
    at += sorted({int(i.result.config["budget"]) for i in chosen} - set(at))
    head = ["Run", "Attack", "Target", "Norm", *(f"by {q:,}" for q in at)]
    rows: list[list[str]] = []
    for i in chosen:
        found = statistics.median_distance(i.result, at)
        cells = [between(found[q], ".3g") if q in found else "–" for q in at]
        rows.append([i.run.name, i.attack, str(i.result.config["target"]), i.result.threat.norm, *cells])
    head, rows, left, said = once(head, rows, 4, keep=2)
    head, rows, left = without_run(head, rows, left)
    page.table(head, rows, f"Median distance of the nearest example within so many queries, exact 95 % interval. {said}", left)


def pictures(page: Page, chosen: Sequence[Item], folder: Path, prefix: str = "", own: bool = False) -> None:
    """Success against queries, and against eps where there are several: a picture a target. ``prefix``: of the files."""
    for target, group in ((t, g) for some in _kinds(chosen) for t, g in _by_target(some).items()):
        first = f"{prefix}goal-" if words.goal_of(group[0].result.config) else prefix
        for k, part in enumerate(parts(group, LINES)):
            path = folder / ("curve.png" if own and not k else f"{first}queries-{safe(target)}{f'-{k + 1}' if k else ''}.svg")
            lines = {name: i.result for name, i in zip(short(part), part, strict=True)}
            curve = figures.curves(lines, path, f"Success against queries on {target}")
            if curve is not None:
                page.picture("Success against queries", curve)
            if none := [name for name, r in lines.items() if not len(figures.known_curve(r)[0])]:
                page.text(f"{', '.join(none)}: {figures.NO_CURVE[0].lower()}{figures.NO_CURVE[1:]}")
        for norm, found in _radii(group).items():
            path = folder / f"{first}eps-{safe(target)}-{norm}.svg"
            count = sorted({rate.n for points in found.values() for _, rate in points})
            under = f"Of {words.among(group[0].result.config, ' to '.join(map(str, sorted({count[0], count[-1]}))))}"
            title = f"Success against eps on {target}"
            label = words.axis([i.result for i in group])
            made = radii.eps_curves(found, path, norm, title, f"{under}; 95 % Wilson intervals.", label)
            if made is not None:
                page.picture(title, made)


def _radii(chosen: Sequence[Item]) -> dict[str, dict[str, list[tuple[float, statistics.Rate]]]]:
    """Norm -> name -> points, for what was run at several eps with the same access, budget and seed.

    A run that was cut off while it attacked is left out: of its images those that were fooled are known first."""
    found: dict[tuple[object, ...], dict[float, Item]] = defaultdict(dict)
    for i in chosen:
        c, (at, _) = i.result.config, figures.known_curve(i.result)
        if not len(at) or at[-1] < int(c["budget"]):
            continue
        known: tuple[object, ...] = (i.attack, i.result.threat.norm, c.get("access"), int(c["budget"]), c.get("seed"), words.kind(c))
        found[known].setdefault(i.result.threat.eps, i)  # a run that repeats another adds nothing
    several = {known: points for known, points in found.items() if len(points) > 1}
    named = dict(zip(several, short([next(iter(points.values())) for points in several.values()]), strict=True))
    out: dict[str, dict[str, list[tuple[float, statistics.Rate]]]] = defaultdict(dict)
    for known, points in several.items():
        out[str(known[1])][named[known]] = [(eps, i.result.success_rate) for eps, i in points.items()]
    return out
