"""``blackbox report``: make a page and tables from saved runs."""

from __future__ import annotations

import sys
from pathlib import Path

from blackbox.cli import run_folder
from blackbox.cli.exits import USAGE, Exit
from blackbox.cli.progress import say


def run(paths: list[str], out: str | None, title: str | None, against: str | None, figures: str | None, quiet: bool) -> None:
    """Read every run and write the report; exit code 2 when something could not be read."""
    from blackbox.report import style
    from blackbox.specs import parse

    with style.formats(parse.words(figures or "")):  # a format that cannot be is told before anything is read
        _write(paths, out, title, against, quiet)


def _write(paths: list[str], out: str | None, title: str | None, against: str | None, quiet: bool) -> None:
    from blackbox.report import build, runs

    found = runs.read_all(paths)
    problems = [line for run in found for line in run.problems]
    good = [run for run in found if not run.empty]
    if not good:
        raise Exit(USAGE, "\n".join(problems) or "Expected at least one run to report on, but there was none.")
    build.baseline(build.items(good), against or "")
    path = run_folder.create(out, "report", *[good[0].name][: len(good) == 1])
    inside = next((run for run in found if path.resolve() == run.path.resolve() or _holds_run(path)), None)
    if inside is not None:
        raise ValueError(f"Expected --out to be a folder of its own, but {path} holds a run, whose files would be overwritten.")
    run_folder.write_config(path, {"verb": "report", "runs": [str(run.path) for run in found], "title": title, "against": against})
    tables = build.write(found, path, title or "", against or "")
    for line in problems:
        print(line, file=sys.stderr)
    size = (path / "report.html").stat().st_size / 1e6
    say(f"report           {len(good)} of {len(found)} runs: {path}/report.html, {size:.1f} MB in one file", quiet)
    say(f"saved            {path}/: report.html, {', '.join(['report.md with pictures', *tables])}", quiet)
    if problems:
        raise Exit(USAGE, f"{len(problems)} of the parts could not be read, see above; the rest is reported.")


def _holds_run(path: Path) -> bool:
    from blackbox.report import runs

    return any((path / mark).exists() for mark in runs.MARKS) and not runs.is_report(path)
