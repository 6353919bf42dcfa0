"""What does a sweep cost beside its cells, and what do a second worker and a large store do to it?

    python -m experiments.sweep_scaling

overhead  a study of many tiny cells (one of the embedded digits, two queries), in one process and on one Dask worker: wall time
          less the seconds inside the cells, a cell; and less those of the same attacks in a bare loop, which is stricter.
waiting   a study of cells of about a second on one Dask worker process and on two, in turn, on a target that waits, as an
          endpoint does.
computing the same on a net. It is bounded by the machine's cores, and by who else is using them: beside it stands how much
          faster the same net answers two processes without any sweep.
store     a store of 100,000 cells (one real cell's outcomes under every key, and one's images at every point): list it, resume the
          study when one cell is missing, and both as the whole command in a fresh process, of which importing torch and
          scikit-learn takes most.

Workers have loaded the target before the clock starts. Writes experiments/results/sweep_scaling.json: of each its median and range.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
from blackbox.specs import digits
from blackbox.sweep import Plan, Store, Study, work
from experiments.given import read, says
from experiments.stored import RESULTS, load, store

TARGET = """
import time, torch
import surrogates as sg

def waits(x):
    time.sleep({wait})
    return torch.eye(10)[torch.zeros(len(x), dtype=torch.int64)]

def net():
    return sg.build("resnet20", 10, (3, 32, 32), seed=0)
"""
STUDY = """
name = "large"
images = { data = "digits", n = 80 }
block = 8
[attack]
targets = ["digits:logreg", "digits:knn", "digits:forest", "digits:cnn"]
attacks = ["square", "simba", "nes", "spsa", "signhunter"]
threats = ["linf:0.05", "linf:0.1", "linf:0.15", "linf:0.2", "linf:0.25"]
budgets = [50, 100, 200, 400, 800]
"""


@dataclass(frozen=True)
class Settings:
    repeats: int = says(5, "of every measurement")
    tiny: int = says(500, "cells of the study that shows the overhead (200 of them on Dask)")
    seconds: float = says(1.0, "that a cell of the study on workers takes")
    cells: int = says(16, "of it")
    stored: int = says(100_000, "cells in the large store, a multiple of 5,000")
    only: tuple[str, ...] = says(("overhead", "waiting", "computing", "store"), "measured anew; the rest is kept from the last run")


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, range, and each."""
    rounded = [round(v, 3) for v in values]
    return {"median": round(statistics.median(values), 3), "low": min(rounded), "high": max(rounded), "each": rounded}


class Clock:
    """Wall seconds, and seconds that this process had a processor: on a busy machine only these are the code's own."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        begin = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - begin[0])
        self.cpu.append(time.process_time() - begin[1])

    def told(self) -> dict[str, Any]:
        return {"wall": spread(self.wall), "cpu": spread(self.cpu)}


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    """The address of a Dask scheduler with so many worker processes of one thread."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0") as made:
        yield made.scheduler_address


def tiny(cells: int) -> Study:
    grid = {"targets": "digits:logreg", "attacks": "square", "threats": "linf:0.05", "budgets": 2, "seeds": list(range(cells // 100))}
    return Study(name="tiny", images={"n": 100}, block=1, attack=grid)


def inside(path: Path) -> float:
    with Store(path, look=True) as kept:
        return sum(kept.done().values())


def loop(study: Study) -> None:
    """A study's attacks, one after the other, without a sweep."""
    shown, grid = work.images(study), study.attack
    assert grid is not None
    for seed in grid.seeds:
        for i in range(len(shown.index)):
            oracle = digits.oracle("logreg", "scores")
            x, y = shown.data.images[i : i + 1], shown.data.labels[i : i + 1]
            bb.attack(oracle, x, y, "square", bb.Linf(0.05), 2, seed=seed, ids=shown.index[i : i + 1])


def overhead(s: Settings, folder: Path) -> dict[str, Any]:
    out: dict[str, Any] = {"limit_ms": 10.0}
    with cluster(1) as address:
        for name, cells, dask in (("one process", s.tiny, None), ("one Dask worker", 200, address)):
            study, whole, alone, sums = tiny(cells), Clock(), Clock(), []
            study.run(folder / f"{name} warm", dask=dask)
            loop(study)
            for i in range(s.repeats):
                with whole():
                    study.run(folder / f"{name} {i}", dask=dask)
                sums.append(inside(folder / f"{name} {i}"))
                with alone():
                    loop(study)
            out[name] = {
                "cells": cells,
                "ms_a_cell_inside": spread([1e3 * t / cells for t in sums]),
                "ms_a_cell_beside": spread([1e3 * (w - t) / cells for w, t in zip(whole.wall, sums, strict=True)]),
            }
            if dask is None:
                more = [1e3 * (w - t) / cells for w, t in zip(whole.cpu, alone.cpu, strict=True)]
                out[name]["ms_a_cell_more_than_a_loop_cpu"] = spread(more)
    return out


def ask(calls: int, ready: Any, go: Any) -> None:
    """A net alone in a process, asked one image a call."""
    import surrogates as sg

    torch.set_num_threads(1)
    net, x = sg.build("resnet20", 10, (3, 32, 32), seed=0).eval(), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        for _ in range(20):
            net(x)
        ready.release()
        go.wait()
        for _ in range(calls):
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


def labelled(s: Settings, folder: Path) -> int:
    """Write targets and images; how many queries the net answers in a cell's time."""
    import surrogates as sg

    (folder / "target.py").write_text(TARGET.format(wait=s.seconds / 10))
    images = np.random.default_rng(0).uniform(0.2, 0.8, (s.cells, 3, 32, 32)).astype(np.float32)
    net = sg.build("resnet20", 10, (3, 32, 32), seed=0).eval()
    with torch.inference_mode():
        said = [int(net(torch.from_numpy(image[None])).argmax()) for image in images]
    np.savez(folder / "waits.npz", images=images, labels=np.zeros(s.cells, np.int64))
    np.savez(folder / "net.npz", images=images, labels=np.array(said))
    begin = time.perf_counter()
    oracle = bb.Oracle(net, "scores", 10)
    bb.attack(oracle, images[:4], np.array(said[:4]), "square", bb.Linf(1e-6), 50, cohort=1)
    return max(10, round(s.seconds * oracle.rows / (time.perf_counter() - begin)))


def workers(s: Settings, folder: Path, name: str, budget: int) -> dict[str, Any]:
    """A study on one worker and on two, in turn; ``name``: of the target's function."""
    study = Study(
        name=name, images={"data": f"npz:{folder / name}.npz"}, block=1, classes=10,
        attack={"targets": f"{folder / 'target.py'}:{name}", "attacks": "square", "threats": "linf:1e-6", "budgets": budget},
    )  # fmt: skip
    cells: list[float] = []
    with cluster(1) as one, cluster(2) as two:
        took = {one: Clock(), two: Clock()}
        for i in range(s.repeats + 1):  # the first warms up
            for address in (one, two) if i % 2 == 0 else (two, one):
                where = folder / f"{i} {address[-5:]}"
                with took[address]():
                    assert not study.run(where, dask=address).failures
                if address == one and i:
                    cells.append(inside(where) / s.cells)
    first, second = took[one].wall[1:], took[two].wall[1:]
    return {
        "limit": 1.8, "cores": os.cpu_count(), "cells": s.cells, "queries_a_cell": budget, "seconds_a_cell": spread(cells),
        "seconds_one": spread(first), "seconds_two": spread(second),
        "times_faster": spread([a / b for a, b in zip(first, second, strict=True)]),
    }  # fmt: skip


def waiting(s: Settings, folder: Path) -> dict[str, Any]:
    labelled(s, folder)
    return workers(s, folder, "waits", 10)


def computing(s: Settings, folder: Path) -> dict[str, Any]:
    budget = labelled(s, folder)
    found = workers(s, folder, "net", budget)
    machine = [2 * alone(1, 2 * budget) / alone(2, 2 * budget) for _ in range(s.repeats)]
    return {**found, "times_faster_without_a_sweep": spread(machine)}


def command(*words: str) -> float:
    """Processor seconds of a whole command in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "blackbox", "sweep", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def large(s: Settings, folder: Path) -> dict[str, Any]:
    text = f"{STUDY}seeds = {list(range(s.stored // 5000))}\n"
    (folder / "study.toml").write_text(text)
    study = Study.load(folder / "study.toml")
    plan = Plan.of(study)
    first, *others = plan.cells()
    path = folder / "store.sqlite"
    fooled = next(c for c in others if not c.start and c.point[3:] == ("linf:0.25", 0, 800, ""))
    result, seen = work.job(plan.job([first, fooled]))
    assert seen["images"] is not None
    with Store(path) as kept:
        kept.add({**result, "key": cell.key, "images": seen["images"] if not cell.start else None} for cell in others)
        pictured = len(kept.pictured())
    listed, resumed, whole = Clock(), Clock(), Clock()
    words = (str(folder / "study.toml"), "--out", str(folder), "--store", str(path), "--quiet")
    for _ in range(s.repeats):
        with listed(), Store(path, look=True) as kept:
            Plan.of(study).summary(kept.done())
        with resumed():
            table = study.run(path)
        assert table.done == table.total == len(others) + 1 and not table.failures
        with whole():
            study.run(path)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("DELETE FROM cells WHERE key = ?", (first.key,))
    planned, ran = zip(*((command(*words, "--plan"), command(*words)) for _ in range(3)), strict=True)
    return {
        "limit_seconds": 3.0, "cells": len(others) + 1, "points_with_images": pictured, "megabytes": round(path.stat().st_size / 1e6, 1),
        "seconds_to_list": listed.told(), "seconds_to_resume": resumed.told(), "seconds_when_all_is_done": whole.told(),
        "cpu_seconds_of_the_command_with_plan": spread(planned), "cpu_seconds_of_the_command": spread(ran),
    }  # fmt: skip


PARTS = {"overhead": overhead, "waiting": waiting, "computing": computing, "store": large}


def main() -> None:
    s = read(Settings, __doc__ or "")
    torch.set_num_threads(1)
    begin, before = time.perf_counter(), load("sweep_scaling") or {}
    found: dict[str, Any] = {name: before[name] for name in PARTS if name in before}
    for name in s.only:
        with tempfile.TemporaryDirectory() as folder:
            busy = [round(v, 1) for v in os.getloadavg()]
            found[name] = {"settings": asdict(s), "load_before": busy, **PARTS[name](s, Path(folder))}
        where = store(RESULTS / "sweep_scaling.json", s, found, time.perf_counter() - begin)
        print(f"{name} {found[name]}\nwrote {where}", flush=True)


if __name__ == "__main__":
    main()
