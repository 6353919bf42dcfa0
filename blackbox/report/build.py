"""Build the report on saved runs: one page of sections, and tables beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from blackbox.report import headline, latex, tables
from blackbox.report.pages import Page
from blackbox.report.runs import Run
from blackbox.report.sections import (
    accounts,
    columns,
    comparison,
    evaluations,
    galleries,
    model,
    origin,
    queries,
    seeds,
    surrogates,
    sweeps,
    transfer,
)
from blackbox.report.sections.common import Item, items
from blackbox.results import incomplete, words


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
    page = compose(runs, folder, title, against)
    page.write(folder)
    return tables.write([run for run in runs if not run.empty], folder) + latex.write(page, folder)


def compose(
    runs: Sequence[Run], folder: Path, title: str = "", against: str = "", own: bool = False, also: Callable[[Page], None] | None = None
) -> Page:
    """The page on saved runs; its pictures are written into ``folder``.

    own: it is the page of the one run itself, in its folder; its pictures have short names, such as curve.png. also: puts more on
    the page, before commands and versions.

    Raises:
        ValueError: as `write`.
    """
    good = [run for run in runs if not run.empty]
    if not good:
        raise ValueError("Expected at least one saved run that can be read, but there was none.")
    chosen = items(good)
    first = baseline(chosen, against)
    page = Page(title or _title(good), nav=True, foot=_foot(own), kind=words.one_kind(_kinds(good)))
    page.lead = page.of_inputs(_about(good[0], chosen) if own else _lead(good, chosen))
    page.first = [page.of_inputs(line) for line in _unknown(runs, good, chosen)]
    page.headline = [page.of_inputs(line) for line in headline.lines(good, chosen)]
    model.add(page, good)
    with_matrix = [run for run in good if run.matrix is not None]
    room = galleries.Room(sum(len(run.images) for run in good))
    evaluations.add(page, good, folder, own)
    seeds.add(page, good, folder, own)
    queries.add(page, chosen, folder, own and not any(run.pooled for run in good))
    accounts.add(page, chosen)
    one = [i for i in chosen if not i.run.again(i.name)]  # the first seed of each
    columns.add(page, one)
    galleries.add(page, one, folder, room)
    if with_matrix:
        page.head("Transfer")
    for run in with_matrix:
        assert run.matrix is not None
        transfer.add(page, run.name, run.matrix, run.given(), folder, own)
        galleries.transfer(page, run, folder, room)
    surrogates.add(page, good, folder)
    sweeps.add(page, good, folder, room)
    if room.without:
        page.text(f"Galleries left out, so that the page stays small: {', '.join(room.without)}. Report on fewer runs to see them.")
    comparison.add(page, good, one, first if first in one else None)
    if also is not None:
        also(page)
    origin.add(page, good)
    others = [bool(words.goal_of(i.result.config)) for i in chosen]
    others += [bool(run.evaluation.goal) for run in good if run.evaluation is not None]
    more = any(run.matrix is not None or run.sweep is not None or run.surrogate for run in good)
    origin.reading(page, _least(good, chosen), any(others), more or not all(others) or not others)
    return page


def write_own(run: Run, title: str, summary: str, also: Callable[[Page], None] | None = None) -> None:
    """Write report.html and report.md of a run into its folder; its summary as text is folded on the page.

    also: puts more on the page, before commands and versions.
    """

    def more(page: Page) -> None:
        if also is not None:
            also(page)
        page.pre(summary, "The summary as text")

    compose([run], run.path, title, own=True, also=more).write(run.path)


def _kinds(runs: Sequence[Run]) -> Iterator[str]:
    """What the inputs of each part are called."""
    for run in runs:
        yield from (words.kind_of([result]) for result in run.attacks.values())
        if run.evaluation is not None:
            yield run.evaluation.kind
        if run.matrix is not None:
            yield "image"
        if run.sweep is not None:
            yield run.sweep.kind


def _least(runs: Sequence[Run], chosen: Sequence[Item]) -> int:
    """The images of the smallest run, 0 where there is none."""
    counts = [int(i.result.attacked.sum()) for i in chosen]
    counts += [len(found.ids) for run in runs for found in (run.evaluation, run.matrix) if found is not None]
    counts += [run.sweep.plan.count for run in runs if run.sweep is not None]
    return min(counts, default=0)


def _unknown(runs: Sequence[Run], good: Sequence[Run], chosen: Sequence[Item]) -> list[str]:
    """What could not be read, and of which runs images are unknown."""
    problems = [line for run in runs for line in run.problems]
    lines = ["Could not be read, and is in no number below:", *problems] if problems else []
    lines += [f"{said}." for i in chosen if (said := incomplete(i.result, i.label if len(chosen) > 1 else ""))]
    for run in good:
        lines += [f"INCOMPLETE: {run.name}: {', '.join(run.not_run)} was not run: the run ended before."] if run.not_run else []
        which = f"{run.name}: " if len(good) > 1 else ""
        lines += [f"INCOMPLETE: {which}{said.removeprefix('INCOMPLETE: ')}." for said in _parts_unknown(run) if said]
    return lines


def _parts_unknown(run: Run) -> Iterator[str]:
    if run.evaluation is not None:
        yield run.evaluation.incomplete()
    if run.matrix is not None:
        from surrogates.transfer.render import incomplete as missing

        yield missing(run.matrix)
    if run.sweep is not None:
        yield run.sweep.incomplete


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


def _about(run: Run, chosen: Sequence[Item]) -> str:
    """What was run, of a page on one run."""
    if run.evaluation is not None:
        e = run.evaluation
        return f"{e.threat}; {len(e.ids):,} images, seed {e.seed}."
    if run.matrix is not None and not chosen:
        m = run.matrix
        return f"{', '.join(map(str, m.threats))}; {len(m):,} images, seed {m.seed}."
    if not chosen:
        return ""
    r = chosen[0].result
    every = list(dict.fromkeys(str(i.result.config.get("seed")) for i in chosen))
    seeded = f"seed{'s'[: len(every) > 1]} {', '.join(every)}"
    c, alike = r.config, len({str(i.result.threat) for i in chosen}) == 1
    return (
        f"{f'{r.threat}, at' if alike else 'At'} most {int(c['budget']):,} queries an image; the target shows {c.get('access')}; "
        f"{len(r):,} images, {seeded}."
    )


def _several(count: int, what: str) -> str:
    plural = "matrices" if what.endswith("matrix") else f"{what.split()[-1]}s"
    return f"{count} {what}" if count == 1 else f"{count} {' '.join([*what.split()[:-1], plural])}"


def _foot(own: bool) -> str:
    import blackbox

    return f"Made by blackbox {blackbox.__version__}{'' if own else ', blackbox report'}."
