"""Evaluations: robust accuracy for each attacker, as saved by `blackbox evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox.report.robustness import NO_ROBUSTNESS, robustness
from blackbox.report.sections.common import evaluated, safe

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run
    from blackbox.statistics import Rate

HEAD = ["The attacker sees", "Attack", "Queries an image", "Robust accuracy, %", "Queries in all"]
OPEN = ["The attacker sees", "Attack", "Queries an input", "Withstood, %", "Queries in all"]  # with a goal

NEAR = ["The attacker sees", "Queries an image", "Of what gradients fool, also fooled, %", "Fooled beside"]
NEARNESS = (
    "Nearness to the limit: of the images that the white-box ensemble fools, those that queries fool too; 95 % Wilson. Fooled beside: "
    "images that queries fool and the ensemble does not. With any, the gradients mislead, and the ensemble is no limit."
)


def add(page: Page, runs: Sequence[Run], folder: Path, own: bool = False) -> None:
    """Each under a heading of its own. Its single attacks stand in no other table: a larger budget runs only on the images
    that are still robust, so that alone it has another denominator."""
    mine = [(run, run.evaluation) for run in runs if run.evaluation is not None]
    if not mine:
        return
    page.head("Evaluation" if own else "Evaluations")
    if not all(found.goal for _, found in mine):
        page.text("An image is robust against an attack when the model is right on it and neither this attack nor the same with fewer "
                  "queries found an example.")  # fmt: skip
    for run, found in mine:
        if not own:
            page.head(run.name, 3)
        if found.goal:
            page.text(f"Goal: {found.goal}. {found.meaning().capitalize()}.")
        rows: list[list[str | Rate]] = [
            [r.sees, found.called(r), f"{r.budget:,}" if r.budget else "–", r.robust, f"{r.queries:,}"] for r in found.rows
        ]
        caption = f"{evaluated(run)}, {found.threat}, {len(found.ids):,} images, seed {found.seed}; 95 % Wilson."
        page.table(OPEN if found.goal else HEAD, rows, caption, 2)
        if near := found.nearness():
            page.table(NEAR, [[r.sees, f"{r.budget:,}", rate, str(beyond)] for r, rate, beyond in near], NEARNESS, 1)
        if found.notes:
            page.note([note if own else f"{run.name}: {note}" for note in found.notes])
        picture = robustness(found, folder / ("robustness.png" if own else f"robustness-{safe(run.name)}.svg"))
        if picture is not None:
            page.picture(f"{found.kept.capitalize()} against queries", picture)
        else:
            page.text(NO_ROBUSTNESS)
