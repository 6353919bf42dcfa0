"""Compare several query attacks on the same images: one table, one figure, one page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox import statistics
from blackbox.plain_text import cell, lay
from blackbox.results import incomplete, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blackbox.report.pages import Page
    from blackbox.results import AttackResult

AT = (100, 1_000, 10_000)  # columns of success within so many queries


def table(results: Mapping[str, AttackResult]) -> str:
    """One line an attack, then the first against each of the others, image by image."""
    first = next(iter(results.values()))
    budget = int(first.config["budget"])
    unlimited = first.threat.eps == math.inf
    cut = [f"{said}." for name, r in results.items() if (said := incomplete(r, name))]
    text = [*cut, _head(results), lay(_distances(results, budget) if unlimited else _successes(results, budget))]
    if not unlimited:
        best = statistics.virtual_best(results)
        text += [_best(best, bool(words.goal_of(first.config)))] * (len(results) > 1)
        name, *others = results
        against = statistics.corrected([statistics.paired(first, results[other]) for other in others])
        text += [""] * bool(others) + [f"{name} against {other}: {found}" for other, found in zip(others, against, strict=True)]
    warning = statistics.few(max(int(r.attacked.sum()) for r in results.values()))
    return "\n".join([*text, *([f"{warning}."] if warning else [])])


def _best(best: statistics.VirtualBest, goal: bool = False) -> str:
    says = f"virtual best (each image by its quickest attack): {best.success} {'reach the goal' if goal else 'fooled'}"
    if not best.success.n:
        return says
    quickest = ", ".join(f"{name} {rate.k}" for name, rate in best.share.items())
    mean = f"mean {best.queries.value:,.1f} [{best.queries.low:,.1f}, {best.queries.high:,.1f}] queries"
    return f"{says}, {mean}; quickest: {quickest}"


def _head(results: Mapping[str, AttackResult]) -> str:
    """What the results share; how many images were attacked, by the one that knows most of it."""
    result = max(results.values(), key=lambda r: int(r.clean_known.sum()))
    c, unknown = result.config, int((~result.clean_known).sum())
    which = f"inputs {words.OPEN}" if words.goal_of(c) else "images right and attacked"
    more = f" ({unknown} unknown)" if unknown else ""
    return (
        f"{c['target']} · shows {c['access']} · {result.threat} · {words.kind(c)} · budget {c['budget']:,} · seed {c['seed']} · "
        f"{int(result.attacked.sum())} of {len(result)} {which}{more}"
    )


def _successes(results: Mapping[str, AttackResult], budget: int) -> list[list[str]]:
    at = [q for q in AT if q < budget]
    rows = [["attack", words.axis(list(results.values())), *(f"by {q:,}" for q in at), "mean queries", "median", "distance"]]
    for name, r in results.items():
        early = statistics.success_at(r, at)
        mean = statistics.restricted_mean(r)
        far = f"{float(r.distance[r.success].median()):.3g}" if r.success.any() else "–"
        rows.append(
            [name, cell(r.success_rate), *(f"{100 * early[q].value:.0f}" if early[q].n else "–" for q in at),
             f"{mean.value:,.1f} [{mean.low:,.1f}, {mean.high:,.1f}]{'' if r.complete else f' of {mean.n}'}" if mean.n else "–",
             f"{r.median_queries:g}" if mean.n else "–", far]
        )  # fmt: skip
    return rows


def _distances(results: Mapping[str, AttackResult], budget: int) -> list[list[str]]:
    """Without a radius what counts is the distance of the examples."""
    at = sorted({q for q in AT if q < budget} | {budget})
    rows = [["attack", *(f"median distance by {q:,}" for q in at)]]
    for name, r in results.items():
        found = statistics.median_distance(r, at)
        rows.append([name, *(f"{e.value:.3g} [{e.low:.3g}, {e.high:.3g}]" if e.n else "–" for e in found.values())])
    return rows


def save(results: Mapping[str, AttackResult], path: Path, target: str) -> str:
    """Write table, figures and page into ``path``; returns the table."""
    from blackbox.report import build, raw, runs
    from blackbox.report import shown as kept

    text = words.of_inputs(table(results), words.kind_of([*results.values()]))
    (path / "summary.txt").write_text(text + "\n")
    raw.write_queries(results, path / "outcomes.csv")

    def more(page: Page) -> None:
        if len(results) > 1 and all(math.isfinite(r.threat.eps) for r in results.values()):
            page.head("All together", 3)
            goal = any(words.goal_of(r.config) for r in results.values())
            page.text(f"{(said := _best(statistics.virtual_best(results), goal))[0].upper()}{said[1:]}.")
        page.head("Files")
        page.text(
            f"Raw outcomes: outcomes.csv, one line an image and attack. Each attack's own page: {', '.join(f'{n}/' for n in results)}."
        )

    images = {name: looked for name in results if (looked := kept.read(path / name)) is not None}
    build.write_own(runs.own(path, attacks=dict(results), images=images), f"{', '.join(results)} on {target}", text, more)
    return text
