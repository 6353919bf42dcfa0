"""What does a sweep cost beside its cells, and what do a second worker and a large store do to it?

overhead   a study of many tiny cells (one of the embedded digits, two queries), in one process and on one Dask worker: wall time
           less the seconds inside the cells, a cell; and less those of the same attacks in a bare loop, which is stricter.
waiting    a study of cells of about a second on one Dask worker process and on two, in turn, on a target that waits, as an
           endpoint does.
computing  the same on a net. It is bounded by the machine's cores, and by who else is using them: beside it stands how much
           faster the same net answers two processes without any sweep.
store      a store of 100,000 cells (one real cell's outcomes under every key, and one's images at every point): list it, resume
           the study when one cell is missing, and both as the whole command in a fresh process, of which importing torch and
           scikit-learn takes most.

Workers have loaded the target before the clock starts.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
import surrogates as sg
from benchmarks.clock import seconds, spread
from blackbox import specs
from blackbox.sweep import Plan, Store, Study

TARGET = """
import time, torch
import surrogates as sg

def waits(x):
    time.sleep({wait})
    return torch.eye(10)[torch.zeros(len(x), dtype=torch.int64)]

def net():
    return sg.build("resnet20", 10, (3, 32, 32), seed=0)
"""
LARGE = """
name = "large"
images = {{ data = "digits", n = 80 }}
block = 8
[attack]
targets = ["digits:logreg", "digits:knn", "digits:forest", "digits:cnn"]
attacks = ["square", "simba", "nes", "spsa", "signhunter"]
threats = ["linf:0.05", "linf:0.1", "linf:0.15", "linf:0.2", "linf:0.25"]
budgets = [50, 100, 200, 400, 800]
seeds = {seeds}
"""
Row = tuple[str, dict[str, Any]]


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    """The address of a Dask scheduler with so many worker processes of one thread."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0") as made:
        yield made.scheduler_address


def inside(path: Path) -> float:
    with Store(path, look=True) as kept:
        return sum(kept.done().values())


def overhead(s: Any, folder: Path) -> Iterator[Row]:
    grid = {"targets": "digits:logreg", "attacks": "square", "threats": "linf:0.05", "budgets": 2}
    shown = specs.images(specs.Images("digits", n=100))
    model = specs.models("digits:logreg", shown.data)[0]

    def loop(seeds: int) -> None:  # the study's attacks, one after the other, without a sweep
        for seed in range(seeds):
            for i in range(len(shown.index)):
                x, y = shown.data.images[i : i + 1], shown.data.labels[i : i + 1]
                bb.attack(specs.oracle(model, "scores", 10), x, y, "square", bb.Linf(0.05), 2, seed=seed, ids=shown.index[i : i + 1])

    with cluster(1) as address:
        for name, seeds, dask in (("one process", 1 if s.quick else 5, None), ("one Dask worker", 1 if s.quick else 2, address)):
            study = Study(name="tiny", images={"n": 100}, block=1, attack={**grid, "seeds": list(range(seeds))})
            study.run(folder / f"{name} warm", dask=dask)
            loop(1)
            beside, more = [], []
            for i in range(s.repeats):
                where = folder / f"{name} {i}"
                beside.append(seconds(partial(study.run, where, dask=dask)) - inside(where))
                again = partial(study.run, folder / f"{name} {i} again", dask=dask)
                more.append(seconds(again, process=True) - seconds(partial(loop, seeds), process=True))
            cells = 100 * seeds
            yield "ms a cell beside it", {"what": name, "cells": cells, **spread([1e3 * t / cells for t in beside])}
            if dask is None:
                yield "ms a cell more than a loop, CPU", {"what": name, "cells": cells, **spread([1e3 * t / cells for t in more])}


def ask(calls: int, ready: Any, go: Any) -> None:
    """A net alone in a process, asked one image a call."""
    torch.set_num_threads(1)
    net, x = sg.build("resnet20", 10, (3, 32, 32), seed=0).eval(), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        for i in range(20 + calls):
            if i == 20:
                ready.release()
                go.wait()
            net(x)


def alone(processes: int, calls: int) -> float:
    """Seconds until each of so many processes has asked its net so often."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    them = [context.Process(target=ask, args=(calls, ready, go)) for _ in range(processes)]
    for each in them:
        each.start()
    for _ in them:
        ready.acquire()
    begin = time.perf_counter()
    go.set()
    for each in them:
        each.join()
    return time.perf_counter() - begin


def workers(s: Any, folder: Path, name: str) -> Iterator[Row]:
    """A study on one worker and on two, in turn; ``name``: of the target's function."""
    long, count = (0.05, 4) if s.quick else (1.0, 16)
    (folder / "target.py").write_text(TARGET.format(wait=long / 10))
    images = np.random.default_rng(0).uniform(0.2, 0.8, (count, 3, 32, 32)).astype(np.float32)
    labels, budget = np.zeros(count, np.int64), 10
    if name == "net":
        net = sg.build("resnet20", 10, (3, 32, 32), seed=0).eval()
        labels, oracle = sg.predict(net, torch.from_numpy(images)).numpy(), bb.Oracle(net, "scores", 10)
        took = seconds(lambda: bb.attack(oracle, images[:4], labels[:4], "square", bb.Linf(1e-6), 50, cohort=1))
        budget = max(10, round(long * oracle.rows / took))
    np.savez(folder / f"{name}.npz", images=images, labels=labels)
    study = Study(
        name=name, images={"data": f"npz:{folder / name}.npz"}, block=1, classes=10,
        attack={"targets": f"{folder / 'target.py'}:{name}", "attacks": "square", "threats": "linf:1e-6", "budgets": budget},
    )  # fmt: skip
    with cluster(1) as one, cluster(2) as two:
        took: dict[str, list[float]] = {one: [], two: []}
        for i in range(s.repeats + 1):  # the first warms up
            for address in (one, two) if i % 2 == 0 else (two, one):
                found: list[Any] = []
                run = partial(study.run, folder / f"{i} {address[-5:]}", dask=address)
                took[address].append(seconds(lambda found=found, run=run: found.append(run())))
                assert not found[0].failures
    faster = [a / b for a, b in zip(took[one][1:], took[two][1:], strict=True)]
    about = {"what": name, "cells": count, "queries a cell": budget, "cores": os.cpu_count()}
    yield "times faster with two workers", {**about, **spread(faster)}
    if name == "net":
        machine = [2 * alone(1, 2 * budget) / alone(2, 2 * budget) for _ in range(s.repeats)]
        yield "times faster without a sweep", {**about, **spread(machine)}


def filled(study: Study, path: Path, folder: Path) -> Any:
    """A store in which one real cell's outcomes stand under every key but the first, with images at every point; that cell."""
    donor = Study(name="donor", images={"n": 8}, block=8,
                  attack={"targets": "digits:logreg", "attacks": "square", "threats": "linf:0.25", "budgets": 800})  # fmt: skip
    donor.run(folder / "donor.sqlite")
    first, *others = Plan.of(study).cells()
    with Store(path):
        pass  # makes the tables
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("ATTACH ? AS donor", (str(folder / "donor.sqlite"),))
        for table, cells in (("cells", others), ("shown", [c for c in others if not c.start])):
            names = [row[1] for row in db.execute(f"PRAGMA donor.table_info({table})")]
            held = ", ".join("?" if name == "key" else name for name in names)
            copy = f"INSERT INTO main.{table} ({', '.join(names)}) SELECT {held} FROM donor.{table} LIMIT 1"
            db.executemany(copy, [(cell.key,) for cell in cells])
    return first


def command(*words: str) -> float:
    """Processor seconds of a whole command in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "blackbox", "sweep", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def large(s: Any, folder: Path) -> Iterator[Row]:
    (folder / "study.toml").write_text(LARGE.format(seeds=list(range(1 if s.quick else 20))))
    study, path = Study.load(folder / "study.toml"), folder / "store.sqlite"
    first = filled(study, path, folder)
    calls: dict[str, Callable[[], object]] = {
        "list": lambda: listed(study, path), "resume with one cell missing": lambda: study.run(path),
        "resume when all is done": lambda: study.run(path),
    }  # fmt: skip
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(s.repeats):
        for name, call in calls.items():
            took[name].append(seconds(call))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("DELETE FROM cells WHERE key = ?", (first.key,))
    about = {"cells": 5000 * (1 if s.quick else 20), "megabytes": round(path.stat().st_size / 1e6, 1)}
    for name, values in took.items():
        yield "seconds", {"what": name, **about, **spread(values)}
    words = (str(folder / "study.toml"), "--out", str(folder), "--store", str(path), "--quiet")
    for name, more in (("the command with --plan, CPU", ("--plan",)), ("the command, CPU", ())):
        yield "seconds", {"what": name, **about, **spread([command(*words, *more) for _ in range(1 if s.quick else 3)])}


def listed(study: Study, path: Path) -> None:
    with Store(path, look=True) as kept:
        Plan.of(study).summary(kept.done())


def sweep(s: Any) -> Iterator[Row]:
    for part in (overhead, partial(workers, name="waits"), partial(workers, name="net"), large):
        with tempfile.TemporaryDirectory() as folder:
            yield from part(s, folder=Path(folder))
