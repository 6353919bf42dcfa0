"""``blackbox sweep``: a study from a file, planned, run, kept, told."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from blackbox.cli import FAILED, Exit, run_folder
from blackbox.cli.progress import EVERY, say


def run(
    study: str, store: str | None, jobs: int, backend: str, dask: str | None, shards: int | None, plan_only: bool,
    out: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Check the whole study, plan, work off what is missing, save, tell."""
    from blackbox.sweep import Plan, Store, Study

    chosen = Study.load(study)
    plan = Plan.of(chosen)
    path = run_folder.create(out or f"runs/{chosen.name}", "sweep")
    where = Path(store) if store else path / "store.sqlite"
    with Store(where) as kept:
        say(plan.summary(kept.done()), quiet and not plan_only)
    if plan_only:
        return
    if Path(study).resolve() != (path / "study.toml").resolve():
        shutil.copyfile(study, path / "study.toml")
    run_folder.write_config(path, {"verb": "sweep", "store": str(where), "jobs": jobs, "backend": backend, "dask": dask,
                               "shards": shards, **chosen.model_dump()})  # fmt: skip
    table = chosen.run(where, jobs=jobs, backend=backend, dask=dask, shards=shards, progress=None if quiet else _line())
    table.save(path)
    say(str(table), quiet)
    say(f"saved            {path}/: rates.csv, summary.txt, study.toml, run.json; raw outcomes in {where}", quiet)
    if table.failures:
        reasons = Counter(table.failures.values()).most_common(5)
        lines = "\n".join(f"  {count:,} × {reason}" for reason, count in reasons)
        raise Exit(
            FAILED,
            f"{len(table.failures):,} of {table.total:,} cells failed; the same command tries them again:\n{lines}",
        )


def _line():  # type: ignore[no-untyped-def]
    """A line of progress every few seconds; rewritten in place on a terminal."""
    live, last, begin = sys.stderr.isatty(), time.perf_counter(), time.perf_counter()

    def line(done: int, total: int, failed: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < (0.2 if live else EVERY) and done < total:
            return
        last = now
        text = f"{done:,} of {total:,} cells" + (f", {failed:,} failed" if failed else "") + f", {now - begin:.0f} s"
        print(
            f"\r\x1b[K{text}" if live else text, end="" if live and done < total else "\n", file=sys.stderr, flush=True
        )

    return line
