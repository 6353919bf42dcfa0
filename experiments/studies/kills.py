"""Does the journal survive kill -9 at any moment, with nothing lost and nothing paid twice?

Attackers (Square, a few images) are killed at random moments and started again with the same journal until they end. The target
is a process of its own that survives, the reference server of `blackbox.serving`; it writes a line to disk for every row it
charges. This ledger is then held against the journal, and the result against that of a run left alone. Once per kind of target:

  keyed    told a name for each query, so that it charges a query once however often it is asked
  unkeyed  any other: the call that a kill interrupts may be charged again, and the journal shows its rows as in doubt
  rest     a JSON service that honours idempotency keys, asked over several connections; now and then it fails, or the connection
           is cut behind the charge

Of a keyed target nothing may be lost (charged, and not in the journal) or paid twice. Beside the counts stands the largest
chance of a fault a kill that they leave open (Clopper and Pearson, one-sided, 95 %). The committed results are of a time when the
keyed target stood in a process without a server, too (``keyed``; with it: ``http``).
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor

import blackbox as bb
from blackbox.serving import Server, Service
from blackbox.testing import Moderation
from experiments.runner import Book, run, says, tell

KINDS = ("keyed", "unkeyed", "rest")
FAULTS = ("lost", "twice", "keys_twice", "different")
CLASSES, SHAPE, IMAGES, BUDGET = 3, (1, 4, 4), 6, 40
WORDS = ("cat", "dog", "owl")
WEIGHT = np.random.default_rng(0).normal(size=(CLASSES, 16)).astype(np.float32)
IMAGE = np.random.default_rng(1).uniform(0.3, 0.7, (IMAGES, *SHAPE)).astype(np.float32)


def answer(rows: np.ndarray) -> np.ndarray:
    return np.stack([(WEIGHT * row.reshape(1, -1)).sum(1) for row in rows])


@dataclass(frozen=True)
class Settings:
    kills: int = says(200, "of each kind of target")
    kinds: tuple[str, ...] = says(KINDS, "of target, measured anew; the rest is kept from the last run", KINDS)


def serve(door: Path, ledger: Path, kind: str) -> None:
    """The target behind a server; its address is what the file ``door`` says.

    In the ledger stands a line for each row charged, and one for each key named.
    """

    def charged(x: Tensor) -> Tensor:  # only rows that the service does not remember
        book.write("row\n" * len(x))
        time.sleep(0.001)
        return torch.from_numpy(np.stack([(WEIGHT * row.reshape(1, -1)).sum(1) for row in x.numpy()]))

    class Booked(Service):
        def info(self) -> dict[str, Any]:
            return super().info() | {"keyed": kind == "keyed"}

        def answer(self, images: np.ndarray, keys: np.ndarray | None = None) -> Any:
            for key in keys if keys is not None else ():
                book.write(f"key {key}\n")
            return super().answer(images, keys)

    class Moderating(Moderation):
        def answer(self, token: str, key: str | None, body: bytes) -> Any:
            book.write(f"key {key}\n")
            return super().answer(token, key, body)

        def bill(self, image: str) -> None:
            book.write("row\n")
            time.sleep(0.001)

    def shares(x: np.ndarray) -> np.ndarray:
        return np.asarray(torch.from_numpy(answer(x)).softmax(1))

    torch.set_num_threads(1)
    with open(ledger, "a", buffering=1) as book:
        server: Any
        if kind == "rest":
            server = Moderating(shares, WORDS, keys=True, top=CLASSES, errors=0.02, lost=0.02)
        else:
            server = Server(Booked(bb.Oracle(charged, "logits", CLASSES, returns="logits"), SHAPE))
        door.with_suffix(".part").write_text(server.url)
        door.with_suffix(".part").replace(door)
        server.serve_forever()


def client(url: str, kind: str) -> Any:
    if kind != "rest":
        return bb.targets.HttpTarget(url)
    return bb.targets.Rest(
        url, headers={"Authorization": "Bearer secret"}, words="predictions[*].label", scores="predictions[*].score", classes=WORDS,
        key_header="Idempotency-Key", wait=0.001,
    )  # fmt: skip


def attack(folder: Path, run: str, journal: bool, kind: str) -> None:
    torch.set_num_threads(1)
    oracle = bb.Oracle(client((folder / "door").read_text(), kind), "scores", CLASSES, max_rows=8)
    y = torch.from_numpy((IMAGE.reshape(IMAGES, -1) @ WEIGHT.T).argmax(1))
    path = folder / f"{run}.journal" if journal else None
    r = bb.attack(oracle, IMAGE, y, "square", bb.Linf(0.02), BUDGET, journal=path, cohort=3)
    columns = {"x_adv": r.x_adv, "queries": r.queries, "first": r.first_success_query, "loss": r.loss}
    torch.save({**columns, "journal": r.config["journal"]}, folder / f"{run}.part")
    os.replace(folder / f"{run}.part", folder / f"{run}.result")


def fork(work: Callable[..., None], *words: Any) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work(*words)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def until_it_ends(folder: Path, run: str, took: float, draw: random.Random, most: int, kind: str) -> int:
    """Start an attacker again and again, kill it at random moments, at most ``most`` times; how often it was killed."""
    done = 0
    while True:
        child = fork(attack, folder, run, True, kind)
        if done < most:
            time.sleep(draw.uniform(0, took))
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                os.kill(child, signal.SIGKILL)
                done += 1
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0, f"the attacker ended with {status}"
            return done


def killed(folder: Path, kills: int, kind: str) -> dict[str, Any]:
    """The accounts after so many kills. Forks: to be run in a process that has done nothing yet."""
    ledger, door = folder / "charged", folder / "door"
    server = fork(serve, door, ledger, kind)
    while not door.exists():
        time.sleep(0.01)
    try:
        begin = time.perf_counter()
        assert os.waitpid(fork(attack, folder, "whole", False, kind), 0)[1] == 0
        took = time.perf_counter() - begin
        alone = ledger.read_text()
        whole, once = torch.load(folder / "whole.result", weights_only=True), alone.count("row")
        draw, done, runs, doubts, journalled, different = random.Random(0), 0, 0, 0, 0, 0
        while done < kills:
            run, runs = f"run{runs}", runs + 1
            done += until_it_ends(folder, run, took, draw, kills - done, kind)
            found = torch.load(folder / f"{run}.result", weights_only=True)
            different += not all(torch.equal(found[k], whole[k]) for k in ("x_adv", "queries", "first", "loss"))
            doubts += found["journal"]["in_doubt"]
            journalled += found["journal"]["paid"] + found["journal"]["replayed"]
        lines = ledger.read_text()[len(alone) :].splitlines()
        charged, keys = lines.count("row"), set(lines) - {"row"}
        return {
            "kills": done, "runs": runs, "rows_a_run": once, "charged": charged, "twice": charged - runs * once,
            "keys_twice": charged - len(keys) if keys else 0, "lost": runs * once - journalled, "different": different,
            "in_doubt": doubts, "seconds": round(time.perf_counter() - begin, 1),
        }  # fmt: skip
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


def kill(folder: Path, kills: int, kind: str = "keyed") -> dict[str, Any]:
    """`killed` in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(killed, folder, kills, kind).result(1800)


def measure(s: Settings) -> None:
    book = Book("kills", s)
    for kind in s.kinds:
        with tempfile.TemporaryDirectory() as folder:
            said = kill(Path(folder), s.kills, kind)
        tests = {name: binomtest(min(said[name], said["kills"]), said["kills"], alternative="less") for name in FAULTS}
        said["at_most"] = {name: round(float(test.proportion_ci(0.95, "exact").high), 5) for name, test in tests.items()}
        tell({"target": kind, **said})
        book.put(**{kind: said})


if __name__ == "__main__":
    run(Settings, measure)
