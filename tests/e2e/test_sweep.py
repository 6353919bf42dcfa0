"""Sweeps as they run: the same bits however the work is cut, and nothing done twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blackbox.sweep import Plan, Store, Study, Table, loading
from tests.commands import ROOT
from tests.studies import asked, same, study
from tests.unit.sweep import test_pictures as pictures
from tests.unit.sweep.test_pictures import right

__all__ = ["right"]


def test_bit_equal_for_any_shards_and_workers_and_nothing_is_done_twice(here: Path) -> None:
    whole = study().run("one", shards=1)
    assert whole.done == whole.total == 8 * 4 and not whole.failures
    first = asked(here)
    assert first == sum(int(o["queries"].sum()) for o in whole.outcomes.values()) + sum(
        int((o["verified"] >= 0).sum()) for o in whole.outcomes.values()
    )
    again = study().run("one")
    assert same(whole, again) and asked(here) == first
    for i, how in enumerate(({"shards": 3}, {"jobs": 2}, {"jobs": 3, "shards": 2})):
        assert same(whole, study().run(f"store{i}", **how)), how
    assert all(len(o["y"]) == 14 and o["ids"].tolist() == list(range(14)) for o in whole.outcomes.values())


def test_loky_workers_and_one_that_dies(here: Path) -> None:
    whole = study().run("one")
    assert same(whole, study().run("two", jobs=2, backend="loky"))
    table = study("target.py:dies").run("three", jobs=2, backend="loky")
    assert (here / "died").exists() and table.done == table.total and not table.failures
    for p, o in table.outcomes.items():
        np.testing.assert_array_equal(o["queries"], whole.outcomes[p._replace(target="target.py:linear")]["queries"])


def test_transfer(here: Path) -> None:
    grid = {
        "sources": "digits:mlp",
        "targets": ["digits:mlp", "digits:knn"],
        "presets": ["fgsm", "mim"],
        "threats": ["linf:0.1", "l2:0.5"],
    }
    values: dict[str, Any] = {"images": {"n": 12}, "block": 5, "transfer": grid}
    table = Study(**values).run("s", jobs=2)
    assert not table.failures and table.total == 2 * 2 * 2 * 3
    assert same(table, Study(**values).run("t", shards=1))
    for point, found in table.outcomes.items():
        assert len(found["y"]) == 12 and found["noise_target"].shape == (12, 2)
        assert table.noise(point) is not None
        if point.target == "digits:mlp":  # white box: what fools the source fools it
            np.testing.assert_array_equal(found["adv_source"], found["adv_target"])
    assert {p.what for p in table.outcomes} == {"fgsm", "mi-fgsm"}
    import surrogates as sg
    from blackbox.specs import digits

    shown = loading.images(Study(**values))
    import blackbox as bb

    alone = sg.transfer_matrix(
        {"a": digits.fit("mlp")}, {"b": digits.oracle("knn", "labels")}, shown.data.images, shown.data.labels, ["mi-fgsm"],
        [bb.Linf(0.1)], ids=shown.index,
    )  # fmt: skip
    point = next(p for p in table.outcomes if p[1:4] == ("digits:knn", "mi-fgsm", "linf:0.1"))
    assert table.rate(point) == alone.rate("a", "b", "mi-fgsm", bb.Linf(0.1))


SCRIPT = "from blackbox.sweep import Study; import sys; Study.load('study.toml').run('shared')"


def test_two_processes_share_a_store_and_one_is_killed(here: Path) -> None:
    whole = study().run("one")
    (here / "asked").unlink()
    toml = (
        'images = { data = "npz:data.npz" }\nblock = 4\nclasses = 3\n[attack]\ntargets = "target.py:linear"\n'
        'attacks = ["square", "simba"]\nthreats = "linf:0.05"\nbudgets = [10, 30]\nseeds = [0, 1]\n'
    )
    (here / "study.toml").write_text(toml)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "SLOW": "0.05"}
    two = [subprocess.Popen([sys.executable, "-c", SCRIPT], env=env) for _ in range(2)]
    store = Store("shared")
    end = time.monotonic() + 300
    while len(store.done()) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    two[0].send_signal(signal.SIGKILL)
    assert two[0].wait() == -9 and two[1].wait(timeout=300) == 0
    done = store.done()
    assert len(done) == 32
    table = Table.read(Plan.of(study()), store)
    assert same(whole, table)
    cost = sum(int(o["queries"].sum() + (o["verified"] >= 0).sum()) for o in table.outcomes.values())
    assert asked(here) - cost <= 4 * 31  # at most the cell in the dead one's hands was done again


@pytest.fixture(scope="module")
def scheduler() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    address = f"tcp://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": env}
    runs = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "distributed.cli.dask_scheduler",
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--no-dashboard",
            ],
            **quiet,
        )
    ]
    runs += [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "distributed.cli.dask_worker",
                address,
                "--nthreads",
                "1",
                "--no-nanny",
                "--nworkers",
                "1",
                "--no-dashboard",
            ],
            **quiet,
        )
        for _ in range(2)
    ]
    yield address, runs
    for run in runs:
        run.kill()
        run.wait()


def test_dask_workers_killed_and_restarted_find_the_same(here: Path, scheduler: tuple[str, list[Any]]) -> None:
    address, runs = scheduler
    values = study(str(here / "target.py") + ":linear").model_dump()
    values["images"]["data"] = f"npz:{here / 'data.npz'}"  # workers run in a folder of their own
    there = Study(**values)
    whole = there.run("one")
    killed = False

    def kill(done: int, total: int, failed: int) -> None:
        nonlocal killed
        if done >= 4 and not killed:
            killed = True
            runs[-1].kill()

    table = there.run("two", dask=address, progress=kill)
    assert killed and not table.failures and table.done == table.total
    assert same(whole, table)


def test_a_single_dask_worker_is_left_its_work(here: Path, scheduler: tuple[str, list[Any]]) -> None:
    address, runs = scheduler
    from distributed import Client

    runs[-1].kill()  # the second, which may not have joined yet; the test before may have killed it
    runs[-1].wait()
    with Client(address) as client:
        end = time.monotonic() + 60
        while len(client.ncores()) != 1 and time.monotonic() < end:
            time.sleep(0.05)
        assert len(client.ncores()) == 1
    values = study(str(here / "target.py") + ":linear").model_dump()
    values["images"]["data"] = f"npz:{here / 'data.npz'}"
    table = Study(**values).run("one", dask=address)
    assert table.done == table.total
    assert {int(p) for p in (here / "processes").read_text().split()} == {runs[1].pid}


def test_a_scheduler_that_is_not_there(here: Path) -> None:
    with pytest.raises(ValueError, match="Expected the address of a Dask scheduler such as"):
        study().run("s", dask="localhost:1")
    with pytest.raises(ValueError, match="threading, loky"):
        study().run("s", backend="spark")


def test_ray_workers_find_the_same(here: Path) -> None:
    import ray

    few = study().model_dump()
    few["attack"] |= {"attacks": ["square"], "budgets": [10]}
    whole = Study(**few).run("one")
    (here / "processes").unlink()
    table = Study(**few).run("two", jobs=2, backend="ray")
    assert same(whole, table) and table.done == table.total == 8 and not ray.is_initialized()
    assert os.getpid() not in {int(p) for p in (here / "processes").read_text().split()}


def test_images_are_bit_equal_for_any_shards_workers_and_restarts(right: Path) -> None:
    pictures.study().run("one", shards=1)
    whole = pictures.kept("one")
    assert 3 < len(whole) < 16 and set(whole) < set(Plan.of(pictures.study()).first.values())
    pictures.study(seeds=[0]).run("grown")
    pictures.study(seeds=[0], budgets=10, attacks="simba").run("grown")
    for name, how in (("two", {"shards": 3}), ("three", {"jobs": 3}), ("grown", {"jobs": 2, "shards": 2})):
        pictures.study().run(name, **how)
        assert pictures.kept(name) == whole, how
