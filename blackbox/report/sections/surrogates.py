"""Surrogates: what they were trained on, the queries it took, and how far they agree with the target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blackbox.report.sections.common import count, number
from blackbox.statistics import Rate

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run

HEAD = ["Run", "Net", "Learned from", "Images shown", "Queries", "to measure", "Agreement, %", "Accuracy, %", "Epochs",
        "Learned, %", "Seconds"]  # fmt: skip


def add(page: Page, runs: Sequence[Run], folder: Path) -> None:
    """One line a surrogate; agreement against queries where it was taught in rounds."""
    mine = [run for run in runs if run.surrogate]
    if not mine:
        return
    page.head("Surrogates")
    rows = [_row(run) for run in mine]
    kept = [i for i in range(len(HEAD)) if any(row[i] not in ("–", "") and row[i] != Rate(0, 0) for row in rows)]
    caption = "Agreement: the surrogate names the target's class, of images it never asked about. Accuracy: the true class. "
    caption += "Learned: of the answers, as they were seen in the epoch kept."
    page.table([HEAD[i] for i in kept], [[row[i] for i in kept] for row in rows], caption, left=sum(i < 3 for i in kept))
    for run in mine:
        for note in run.surrogate["training"].get("notes", ()):
            page.text(f"{run.name}: {note}")
        if not run.surrogate["bill"] and run.surrogate.get("summary"):  # a version that wrote no bill
            page.pre(run.surrogate["summary"])
    curves = {run.name: c for run in mine if (c := run.surrogate.get("curve")) is not None and len(c.queries) > 1}
    if curves:
        from surrogates.acquisition.curve import plot

        path = folder / "agreement.svg"
        plot({f"{name}: {c.strategy}" if len(curves) > 1 else c.strategy: c for name, c in curves.items()}, path)
        page.picture("Agreement with the target against queries", path)


def _row(run: Run) -> list[Any]:
    bill, training = run.surrogate["bill"], run.surrogate["training"]
    kept = training.get("best", 0) - 1
    learned = training.get("accuracy") or []
    agreement, accuracy = (Rate(*bill[name]) if bill.get(name) else Rate(0, 0) for name in ("agreement", "accuracy"))
    shows = run.settings.get("access", "labels")
    target = bill.get("target") or run.settings.get("target", "a target")
    return [
        run.name, str(bill.get("arch") or run.settings.get("arch", "–")), f"{shows} of {target}",
        f"{training['images']:,}" if training.get("images") else "–", count(bill.get("queries", training.get("queries"))),
        count(bill.get("measured")), agreement, accuracy, count(training.get("best")),
        number(100 * learned[kept] if 0 <= kept < len(learned) else None, ".1f"), number(training.get("seconds"), ",.1f"),
    ]  # fmt: skip
