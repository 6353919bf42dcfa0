"""Run a study: the missing cells go through joblib, and every result is stored as it comes."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from blackbox.loggers.read import opened
from blackbox.oracle.kept import Kept, forget
from blackbox.sweep import work
from blackbox.sweep.logged import SweepLog
from blackbox.sweep.plan import Cell, Plan
from blackbox.sweep.store import Store
from blackbox.sweep.study import Point, Study
from blackbox.sweep.table import Table

BACKENDS = ("threading", "loky", "ray")
DEATHS = 3
"""Times in a row that workers may die without a cell being finished in between."""

Say = Callable[[int, int, int], None]


def run(
    study: Study,
    store: str | os.PathLike[str],
    *,
    jobs: int = 1,
    backend: str = "threading",
    dask: str | None = None,
    shards: int | None = None,
    progress: Say | None = None,
    log: Any = None,
    retries: int = 0,
    journal: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Table:
    """Run the cells that the store does not hold yet.

    Args:
        store: a SQLite file; what is in it is not done again, and other processes may work on the same at once.
        jobs: workers. backend: "threading" (nets and scikit-learn leave the interpreter free while they work), or "loky":
            processes, for targets that do not; "ray": workers of the Ray cluster at RAY_ADDRESS, else of one on this machine.
        dask: the address of a Dask scheduler, tcp://host:8786; its workers need this package, and the files that the
            study names under the same paths. They are sent paths and numbers, never models.
        shards: into how many jobs the cells of a point are cut; by default one for each block. Of no influence on results.
        progress: called with (cells done, cells in all, failed) after each job.
        log: loggers as in `blackbox.attack`: each point of the grid is a run of its own, logged when its last cell is done;
            a study that was finished before is logged as a whole.
        retries: how often a call that fails on the way is tried again.
        journal, checkpoint: as in `blackbox.attack`: a cell at work keeps its answers in a file of its own beside the one named,
            under the same path for all workers, until the store has the cell. A cell that failed then goes on where it was.

    Returns:
        The table. Cells that failed are in ``table.failures``; the next run tries them again.

    Raises:
        ValueError: the study, its data or the way to run it is wrong; nothing has been asked.
        StoreError: the store cannot be used, or the disk is full. RuntimeError: workers keep dying.
    """
    if backend not in BACKENDS:
        raise ValueError(f"Expected backend to be one of {', '.join(BACKENDS)}, but it was {backend!r}.")
    if jobs < 1 or (shards is not None and shards < 1):
        raise ValueError(f"Expected jobs and shards to be at least 1, but they were {jobs} and {shards}.")
    files = Kept(*(None if path is None else os.path.abspath(path) for path in (journal, checkpoint)))
    keep = {"retries": retries, "journal": files.journal, "checkpoint": files.checkpoint}
    loggers, plan, failures = opened(log), Plan.of(study), dict[str, str]()
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(Store(store))
        stack.callback(kept.release)
        parallel = stack.enter_context(_parallel(jobs, backend, dask))
        points = None if loggers is None else SweepLog(loggers, plan, kept, kept.done())
        idle = deaths = 0
        while left := _left(plan, kept, failures):
            moved = False
            try:
                for _ in _work_off(plan, left, kept, shards, parallel, failures, progress, keep, points):
                    moved = True
            except Exception as error:
                if not _died(error):
                    raise
                deaths = 1 if moved else deaths + 1
                if deaths >= DEATHS:
                    raise RuntimeError(
                        f"Expected workers that live, but they died {deaths} times without finishing a cell ({error}). "
                        "Is memory short? What is done is kept."
                    ) from error
                kept.release()
                continue
            if not moved:  # nothing was free: another process has the rest in hand
                idle += 1
                time.sleep(min(0.05 * 2**idle, 2.0))
        return Table.read(plan, kept, failures)


def _left(plan: Plan, kept: Store, failures: dict[str, str]) -> list[Cell]:
    """The cells that are neither done nor failed."""
    done = kept.done()
    return [cell for cell in plan.cells() if cell.key not in done and cell.key not in failures]


def _work_off(
    plan: Plan, left: list[Cell], kept: Store, shards: int | None, parallel: Callable[[Iterator[Any]], Iterator[Any]],
    failures: dict[str, str], progress: Say | None, keep: dict[str, Any], points: SweepLog | None = None,
) -> Iterator[None]:  # fmt: skip
    """Run the cells that are left and store each job's results as they come; yields after each job."""
    files = Kept(keep["journal"], keep["checkpoint"])
    total = len(plan.cells())
    count = total - len(left) - len(failures)
    for results in parallel(_offers(plan, left, kept, shards, keep)):
        kept.add(results)
        for result in results:
            if result["columns"] is not None:  # the store has it: its journal is done with
                for path in files.of(result["key"]).values():
                    forget(path)
        kept.beat()
        failures |= {r["key"]: r["error"] for r in results if r["error"]}
        count += sum(not r["error"] for r in results)
        if points is not None:
            points.add(r["key"] for r in results if not r["error"])
        if progress:
            progress(count, total, len(failures))
        yield


def _offers(plan: Plan, left: list[Cell], kept: Store, shards: int | None, keep: dict[str, Any]) -> Iterator[Any]:
    """Jobs, each claimed when a worker is about to take it.

    The cells of a transfer that differ in the target alone go together, block by block: what is crafted once is shown to
    all of them.
    """
    from joblib import delayed

    for offered in shares(left, shards):
        mine = set(kept.claim([c.key for c in offered]))
        if mine:
            yield delayed(work.job)({**plan.job([c for c in offered if c.key in mine]), "keep": keep})


def shares(left: list[Cell], shards: int | None) -> Iterator[list[Cell]]:
    groups: dict[Point, dict[int, list[Cell]]] = {}
    for cell in left:
        point = cell.point._replace(target="") if cell.point.kind == "transfer" else cell.point
        groups.setdefault(point, {}).setdefault(cell.start, []).append(cell)
    for group in groups.values():
        blocks = [group[start] for start in sorted(group)]
        size = 1 if shards is None else -(-len(blocks) // shards)
        for i in range(0, len(blocks), size):
            yield [cell for block in blocks[i : i + size] for cell in block]


@contextlib.contextmanager
def _parallel(jobs: int, backend: str, dask: str | None) -> Iterator[Callable[[Iterator[Any]], Iterator[Any]]]:
    """joblib.Parallel, set up for one of the ways to run, giving results in the order in which they come."""
    import joblib
    import torch

    threads = torch.get_num_threads()
    how: dict[str, Any] = {"n_jobs": jobs, "backend": backend}
    client: Any = None
    stop: Callable[[], Any] = contextlib.nullcontext
    if dask is not None:
        client = _client(dask)
        how = {"n_jobs": -1, "backend": "dask", "client": client, "wait_for_workers_timeout": 30}
    elif backend == "loky" and jobs > 1:
        how |= {"initializer": work.ready, "initargs": (os.getcwd(),)}
    elif backend == "ray":
        stop = _ray(jobs)

    def go(offers: Iterator[Any]) -> Iterator[Any]:
        if backend == "ray" and client is None:
            return _in_turns(offers, how)
        with joblib.parallel_config(**how):
            if client is not None:
                _leave_to_workers(joblib.parallel.get_active_backend()[0])
            parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
        return parallel(offers)

    try:
        yield go
    except TimeoutError as error:
        if client is None:
            raise
        raise ValueError(
            f"Expected workers at the Dask scheduler {dask}, but none came within 30 s. Start dask worker {dask}."
        ) from error
    finally:
        torch.set_num_threads(threads)
        stop()
        if client is not None:
            client.close()


def _in_turns(offers: Iterator[Any], how: dict[str, Any]) -> Iterator[Any]:
    """As joblib's generators, for a backend without them: a few jobs for each worker at a time, all stored before the next."""
    import joblib

    with joblib.parallel_config(**how), joblib.Parallel(batch_size=1) as parallel:
        while some := list(itertools.islice(offers, 2 * how["n_jobs"])):
            yield from parallel(some)


def _ray(jobs: int) -> Callable[[], Any]:
    """Make joblib know Ray, and start it where it is not; returns what ends it."""
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise ValueError("Expected the extra [ray] to be installed, but it is not. pip install -e '.[ray]'") from None
    register_ray()
    if ray.is_initialized():
        return contextlib.nullcontext
    here: dict[str, Any] = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": jobs, "include_dashboard": False}
    ray.init(log_to_driver=False, configure_logging=False, **here)
    return ray.shutdown


def _leave_to_workers(backend: Any) -> None:
    """Make joblib use a single worker too, instead of running the cells in this process."""
    workers = backend.effective_n_jobs
    backend.effective_n_jobs = lambda n_jobs: max(2, workers(n_jobs))


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            "Expected the extra [dask] to be installed, but it is not. pip install -e '.[dask]'"
        ) from None
    if not address.startswith(("tcp://", "tls://")):
        raise ValueError(
            f"Expected the address of a Dask scheduler such as tcp://127.0.0.1:8786, but it was {address!r}."
        )
    try:
        return Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"Expected a Dask scheduler at {address}, but none answered within 10 s: {error}") from None


def _died(error: BaseException) -> bool:
    """Did a worker die?"""
    return type(error).__name__ in (
        "TerminatedWorkerError",
        "BrokenProcessPool",
        "KilledWorker",
        "ShutdownExecutorError",
        "RayActorError",
        "ActorDiedError",
    )
