"""``blackbox sweep``: plan and run a study from a file, and save its table."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from blackbox.cli import logs, options, run_folder
from blackbox.cli.exits import FAILED, Exit
from blackbox.cli.progress import Line, say


def run(
    study: str, store: str | None, jobs: int, backend: str, dask: str | None, shards: int | None, plan_only: bool,
    out: str | None, quiet: bool, keep: options.Keep, log: list[str] | None = None,
) -> None:  # fmt: skip
    """Check the whole study, plan, run the missing cells, save, print."""
    from blackbox.specs import goal
    from blackbox.sweep import Plan, Store, Study
    from blackbox.sweep.loading import images

    logs.opened(log)
    chosen = Study.load(study)
    plan = Plan.of(chosen)
    path = run_folder.create(out or f"runs/{chosen.name}", "sweep")
    where = Path(store) if store else path / "store.sqlite"
    with Store(where) as kept:
        say(plan.summary(kept.done()), quiet and not plan_only)
    for left in goal.said(next((grid.targeted for grid in (chosen.attack, chosen.transfer) if grid), None), images(chosen)):
        say(left, quiet and not plan_only)
    if plan_only:
        return
    if Path(study).resolve() != (path / "study.toml").resolve():
        shutil.copyfile(study, path / "study.toml")
    run_folder.write_config(path, {"verb": "sweep", "store": str(where), "jobs": jobs, "backend": backend, "dask": dask,
                               "shards": shards, **asdict(keep), **chosen.model_dump()})  # fmt: skip
    line = Line(quiet)

    def told(done: int, total: int, failed: int) -> None:
        failures = f", {failed:,} failed" if failed else ""
        line(f"{done:,} of {total:,} cells{failures}, {time.perf_counter() - line.begin:.0f} s", done == total)

    table = chosen.run(
        where, jobs=jobs, backend=backend, dask=dask, shards=shards, progress=told, log=logs.opened(log, path), **asdict(keep)
    )
    table.save(path)
    say(str(table), quiet)
    say(f"saved            {path}/: rates.csv, summary.txt, study.toml, run.json; raw outcomes in {where}", quiet)
    if table.failures:
        reasons = Counter(table.failures.values()).most_common(5)
        lines = "\n".join(f"  {count:,} × {reason}" for reason, count in reasons)
        summary = f"{len(table.failures):,} of {table.total:,} cells failed; the same command tries them again:"
        raise Exit(FAILED, f"{summary}\n{lines}")
