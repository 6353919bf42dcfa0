"""Build the report on saved runs: one page of sections, and tables beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from blackbox.report import tables
from blackbox.report.pages import Page
from blackbox.report.runs import Run
from blackbox.report.sections import (
    accounts,
    comparison,
    evaluations,
    galleries,
    model,
    origin,
    queries,
    surrogates,
    sweeps,
    transfer,
)
from blackbox.report.sections.common import Item, items
from blackbox.results import incomplete


def write(runs: Sequence[Run], folder: Path, title: str = "", against: str = "") -> list[str]:
    """Write report.html (all in one file), report.md with its pictures, and the tables, into ``folder``.

    Args:
        runs: as `runs.read_all` gives them; at least one of which something could be read.
        against: the result that all others are compared with, by its label (``run`` or ``run/attack``) or its run; by
            default the first that was not cut off.

    Returns:
        The names of the tables' files.

    Raises:
        ValueError: nothing could be read, or no result is called ``against``.
    """
    good = [run for run in runs if not run.empty]
    if not good:
        raise ValueError("Expected at least one saved run that can be read, but there was none.")
    chosen = items(good)
    first = baseline(chosen, against)
    page = Page(title or _title(good), lead=_lead(good, chosen), nav=True, foot=_foot())
    problems = [line for run in runs for line in run.problems]
    if problems:
        page.note(["Could not be read, and is in no number below:", *problems])
    cut = [f"{said}." for i in chosen if (said := incomplete(i.result, i.label))]
    cut += [f"INCOMPLETE: {run.name}: {', '.join(run.not_run)} was not run: the run ended before." for run in good if run.not_run]
    if cut:
        page.note(cut)
    model.add(page, good)
    with_matrix = [run for run in good if run.matrix is not None]
    room = galleries.Room(sum(len(run.images) for run in good))
    evaluations.add(page, good, folder)
    queries.add(page, chosen, folder)
    accounts.add(page, chosen)
    galleries.add(page, chosen, folder, room)
    if with_matrix:
        page.head("Transfer")
    for run in with_matrix:
        assert run.matrix is not None
        transfer.add(page, run.name, run.matrix, run.given(), folder)
        galleries.transfer(page, run, folder, room)
    surrogates.add(page, good, folder)
    sweeps.add(page, good, folder, room)
    if room.without:
        page.text(f"Galleries left out, so that the page stays small: {', '.join(room.without)}. Report on fewer runs to see them.")
    comparison.add(page, good, chosen, first)
    origin.add(page, good)
    origin.reading(page)
    page.write(folder)
    return tables.write(good, folder)


def baseline(chosen: Sequence[Item], against: str) -> Item | None:
    """The result that others are compared with."""
    if not against:  # one that was cut off says little of the others
        return next((item for item in chosen if item.result.complete), chosen[0] if chosen else None)
    for item in chosen:
        if against in (item.label, item.run.name, str(item.run.path)):
            return item
    known = ", ".join(item.label for item in chosen) or "none"
    raise ValueError(f"Expected --against to be one of the query attacks ({known}), but it was {against!r}.")


def _title(runs: Sequence[Run]) -> str:
    return f"Robustness report: {runs[0].name}" if len(runs) == 1 else f"Robustness report on {len(runs)} runs"


def _lead(runs: Sequence[Run], chosen: Sequence[Item]) -> str:
    """The content in a sentence."""
    targets = Counter(str(i.result.config["target"]) for i in chosen)
    parts = []
    if chosen:
        parts.append(f"{_several(len(chosen), 'query attack')} on {', '.join(targets)}")
    for count, what in (
        (sum(run.evaluation is not None for run in runs), "evaluation"),
        (sum(run.matrix is not None for run in runs), "transfer matrix"),
        (sum(bool(run.surrogate) for run in runs), "surrogate"),
        (sum(run.sweep is not None for run in runs), "sweep"),
    ):
        if count:
            parts.append(_several(count, what))
    return "; ".join(parts) + "."


def _several(count: int, what: str) -> str:
    plural = "matrices" if what.endswith("matrix") else f"{what.split()[-1]}s"
    return f"{count} {what}" if count == 1 else f"{count} {' '.join([*what.split()[:-1], plural])}"


def _foot() -> str:
    import blackbox

    return f"Made by blackbox {blackbox.__version__}, blackbox report."
