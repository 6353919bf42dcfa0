"""Where the numbers come from: exact commands, versions, machines; and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blackbox.report.sections.comparison import flatten
from blackbox.results import words
from blackbox.statistics import few

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.report.runs import Run


def add(page: Page, runs: Sequence[Run]) -> None:
    """Commands, then versions: once for the runs that share them."""
    page.head("Commands and environment")
    commands = [f"{run.name}{_began(run)}".strip() + f"\n  {run.made['command']}" for run in runs if run.made.get("command")]
    if commands:
        page.pre("\n".join(commands))
    if silent := [run.name for run in runs if not run.made.get("command")]:
        page.text("Saved from Python, without a command" + (f": {', '.join(silent)}." if any(silent) else "."))
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in runs:
        for found in _environments(run):
            told = flatten(found.get("versions", {})) | flatten(found.get("machine", {}))
            mine = groups.setdefault(tuple(told.items()), [])
            if run.name not in mine:
                mine.append(run.name)
    if unknown := [run.name for run in runs if not any(run.name in mine for mine in groups.values())]:
        page.text(f"Without a note on versions and machine: {', '.join(unknown)}.")
    if not groups:
        return
    names = list(dict.fromkeys(name for group in groups for name, _ in group))
    heads = ["all runs"] if len(groups) == 1 and not unknown else [", ".join(mine) for mine in groups.values()]
    rows = [[name.replace("_", " "), *(dict(group).get(name, "–") for group in groups)] for name in names]
    page.table(["Version or machine", *heads], rows, left=len(heads) + 1)


def _began(run: Run) -> str:
    began = str(run.made.get("began", ""))
    return f"  (began {began.replace('T', ' ').replace('Z', ' UTC')})" if began else ""


def _environments(run: Run) -> list[dict[str, Any]]:
    if run.made.get("versions"):
        return [{"versions": run.made["versions"], "machine": run.made.get("machine", {})}]
    found = [result.config.get("environment") for result in run.attacks.values()]
    return [f for f in found if isinstance(f, dict)]


def reading(page: Page, least: int = 0, goals: bool = False, classes: bool = True) -> None:
    """How to read the numbers. least: images of the smallest run. goals: some run has another goal than one class; classes: some has
    not."""
    rates = []
    if classes:
        rates.append("Attack success is the share of images fooled within eps and budget, of those that the target had right.")
    if goals:
        rates.append(
            "With a goal that is not one class it is the share of inputs that reached the goal within eps and budget, of those "
            f"{words.OPEN}: an input that reaches it as it is was not attacked, and is in no rate of success."
        )
    page.head("How to read this")
    for text in (
        "Square brackets hold 95 % intervals: Wilson's for rates, bootstrap-t over images for means, exact order statistics for "
        "medians. They say what other images of the same kind may show. "
        "The number after a rate is its count and its denominator; the bar shows the rate, the whisker its interval.",
        f"{' '.join(rates)} A failure is charged at the whole budget in means and medians of queries. A transfer rate without its "
        "noise rows says little.".strip(),
        *([] if page.kind == "row" else [
            "In a gallery the difference is drawn around grey and stretched to its largest entry; for images of one channel red is more, "
            "blue less ink."
        ]),
        "What a target says of an example is what it said when the example was verified (not charged).",
        "Every number follows from the raw outcomes in the CSV files beside this page.",
    ):
        page.text(text)
    if warning := few(least):
        page.text(f"The smallest run has {warning}.")
