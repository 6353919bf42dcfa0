"""Sweeps: every point of the grid, and the pictures of single runs over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox.report.sections import galleries, queries, transfer
from blackbox.report.sections.common import Item, number, once, target_names
from blackbox.report.sections.seeds import percent
from blackbox.results.words import OPEN

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run
    from blackbox.report.sections.galleries import Room
    from blackbox.statistics import Rate
    from blackbox.sweep.table import Table

ROWS = 60  # of one table; the rest is in sweep.csv


def add(page: Page, runs: Sequence[Run], folder: Path, room: Room) -> None:
    """Each study under a heading of its own."""
    mine = [(run, run.sweep) for run in runs if run.sweep is not None]
    if not mine:
        return
    page.head("Sweeps")
    for run, table in mine:
        study = table.plan.study
        page.head(run.name, 3)
        page.text(
            f"{study.name}: {len(table.outcomes):,} points, {table.done:,} of {table.total:,} cells done, blocks of {study.block} of "
            f"{table.plan.count:,} images, calls of {study.rows}."
        )
        _attacks(page, run, table, folder)
        _transfers(page, run, table, folder)
        galleries.points(page, run, table, folder, room)


def _attacks(page: Page, run: Run, table: Table, folder: Path) -> None:
    from blackbox.specs import read_threat
    from blackbox.sweep.views import result

    points = [p for p in table.outcomes if p.kind == "attack"]
    if not points:
        return
    first = min(p.seed for p in points)
    head = ["Target", "Attack", "Within", "Budget", "Reached, %" if table.goal else "Fooled, %", "Mean queries", "Median"]
    groups: dict[tuple[str, str, str, str], list] = {}
    for p in points:
        groups.setdefault((p.target, p.what, str(read_threat(p.threat)), f"{p.budget:,}"), []).append(p)
    seeds = max(map(len, groups.values()))
    head += ["pooled over seeds, %", "by seed, %"] if seeds > 1 else []
    rows: list[list[str | Rate]] = []
    names = target_names(p.target for p in points)
    for known, some in groups.items():
        one = next((p for p in some if p.seed == first), some[0])
        mean, median = table.queries(one)
        spread = [percent(table.pooled(some)), table.by_seed(some)] if seeds > 1 else []
        rows.append([names[known[0]], *known[1:], table.rate(one), number(mean, ",.1f"), number(median), *spread])
    head, rows, left, said = once(head, rows, 4, keep=0)
    more = f" {len(rows) - ROWS:,} more rows are in sweep.csv." if len(rows) > ROWS else ""
    pooled = "an image's seeds are averaged first, and the interval is over images"
    over = f" Rates and queries are of seed {first}; pooled: {pooled}." if seeds > 1 else ""
    what = f"Goal: {table.goal}. Reached: of the inputs {OPEN}" if table.goal else "Fooled: of the images that the target had right"
    caption = f"{what}, with 95 % Wilson interval.{over} {said}{more}".strip()
    page.table(head, rows[:ROWS], caption, left)
    found = [(p, result(table, p)) for p in points if p.seed == first]
    for p, r in found:
        if r is not None:
            r.config["target"] = names[p.target]
    made = [Item(run, p.what, r) for p, r in found if r is not None]
    queries.pictures(page, made, folder, f"{run.name}-")


def _transfers(page: Page, run: Run, table: Table, folder: Path) -> None:
    from blackbox.sweep.views import matrix

    seeds = sorted({p.seed for p in table.outcomes if p.kind == "transfer"})
    for seed in seeds[:1]:
        found = matrix(table, seed)
        if found is not None:
            name = f"{run.name}, transfer" + (f", seed {seed}" if len(seeds) > 1 else "")
            transfer.add(page, name, found, "target-correct", folder)
    if len(seeds) > 1:
        page.text(f"Shown is seed {seeds[0]}; the others ({', '.join(map(str, seeds[1:]))}) are in sweep.csv.")
