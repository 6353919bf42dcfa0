"""``python -m experiments.studies.killed FOLDER KILLS [unkeyed]``: attack a paid target, kill -9 the attacker at random, until
KILLS are done.

The target is a process of its own that survives, the reference server of `blackbox.serving`; it writes a line to disk for
every row it charges. Prints one line of JSON: kills, runs, what was charged twice, what was lost. Torch is imported once;
attackers are forks, so `experiments.studies.kills` runs this in a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
from blackbox.serving import Server, Service

CLASSES, SHAPE, IMAGES, BUDGET = 3, (1, 4, 4), 6, 40
WEIGHT = np.random.default_rng(0).normal(size=(CLASSES, 16)).astype(np.float32)
IMAGE = np.random.default_rng(1).uniform(0.3, 0.7, (IMAGES, *SHAPE)).astype(np.float32)


def answer(rows: np.ndarray) -> np.ndarray:
    return np.stack([(WEIGHT * row.reshape(1, -1)).sum(1) for row in rows])


def serve(door: Path, ledger: Path, keyed: bool) -> None:
    """The target behind the reference server; its address is what the file ``door`` says.

    In the ledger stands a line for each row charged, and one for each key named.
    """

    def charged(x: Tensor) -> Tensor:  # only rows that the service does not remember
        book.write("row\n" * len(x))
        time.sleep(0.001)
        return torch.from_numpy(np.stack([(WEIGHT * row.reshape(1, -1)).sum(1) for row in x.numpy()]))

    class Booked(Service):
        def info(self) -> dict[str, Any]:
            return super().info() | {"keyed": keyed}

        def answer(self, images: np.ndarray, keys: np.ndarray | None = None) -> Any:
            for key in keys if keys is not None else ():
                book.write(f"key {key}\n")
            return super().answer(images, keys)

    torch.set_num_threads(1)
    with open(ledger, "a", buffering=1) as book:
        server = Server(Booked(bb.Oracle(charged, "logits", CLASSES, returns="logits"), SHAPE))
        door.with_suffix(".part").write_text(server.url)
        door.with_suffix(".part").replace(door)
        server.serve_forever()


def attack(folder: Path, run: str, journal: bool) -> None:
    torch.set_num_threads(1)
    oracle = bb.Oracle(bb.targets.HttpTarget((folder / "door").read_text()), "scores", CLASSES, max_rows=8)
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


def until_it_ends(folder: Path, run: str, took: float, draw: random.Random, most: int) -> int:
    """Start an attacker again and again, kill it at random moments, at most ``most`` times; how often it was killed."""
    done = 0
    while True:
        child = fork(attack, folder, run, True)
        if done < most:
            time.sleep(draw.uniform(0, took))
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                os.kill(child, signal.SIGKILL)
                done += 1
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0, f"the attacker ended with {status}"
            return done


def main(folder: Path, kills: int, keyed: bool) -> None:
    ledger, door = folder / "charged", folder / "door"
    server = fork(serve, door, ledger, keyed)
    while not door.exists():
        time.sleep(0.01)
    try:
        begin = time.perf_counter()
        assert os.waitpid(fork(attack, folder, "whole", False), 0)[1] == 0
        took = time.perf_counter() - begin
        whole, once = torch.load(folder / "whole.result", weights_only=True), ledger.read_text().count("row")
        draw, done, runs, doubts, journalled, different = random.Random(0), 0, 0, 0, 0, 0
        while done < kills:
            run, runs = f"run{runs}", runs + 1
            done += until_it_ends(folder, run, took, draw, kills - done)
            found = torch.load(folder / f"{run}.result", weights_only=True)
            different += not all(torch.equal(found[k], whole[k]) for k in ("x_adv", "queries", "first", "loss"))
            doubts += found["journal"]["in_doubt"]
            journalled += found["journal"]["paid"] + found["journal"]["replayed"]
        lines = ledger.read_text().splitlines()
        charged, keys = lines.count("row") - once, set(lines) - {"row"}
        print(json.dumps({
            "kills": done, "runs": runs, "rows_a_run": once, "charged": charged, "twice": charged - runs * once,
            "keys_twice": charged - len(keys) if keys else 0, "lost": runs * once - journalled, "different": different,
            "in_doubt": doubts, "seconds": round(time.perf_counter() - begin, 1),
        }))  # fmt: skip
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "unkeyed" not in sys.argv[3:])
