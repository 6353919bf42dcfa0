"""``python -m experiments.killed FOLDER KILLS [unkeyed|http]``: attack a paid target, kill -9 the attacker at random, until KILLS are done.

The target is a process of its own that survives, and writes a line to disk for every row it charges. Prints one line of
JSON: kills, runs, what was charged twice, what was lost. Torch is imported once; attackers are forks. With ``http`` the target
is the reference server of `blackbox.serving`, and the attacker's end is a `blackbox.targets.HttpTarget`.

The journal's tests and `experiments.kills` both run it, each time in a process of its own, because it forks.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb

CLASSES, SHAPE, IMAGES, BUDGET = 3, (1, 4, 4), 6, 40
WEIGHT = np.random.default_rng(0).normal(size=(CLASSES, 16)).astype(np.float32)
IMAGE = np.random.default_rng(1).uniform(0.3, 0.7, (IMAGES, *SHAPE)).astype(np.float32)


def serve(address: str, ledger: Path) -> None:
    """Answer rows for ever; one line a charged row: the run and the row's key."""
    answered: dict[str, np.ndarray] = {}
    with Listener(address, "AF_UNIX") as door, open(ledger, "a", buffering=1) as book:
        while True:
            with door.accept() as line:
                try:
                    talk(line, book, answered)
                except (EOFError, OSError):
                    continue  # the attacker was killed


def talk(line: Connection, book: Any, answered: dict[str, np.ndarray]) -> None:
    while True:
        run, rows, keys = line.recv()
        out = []
        for i, row in enumerate(rows):
            if keys is None or keys[i] not in answered:
                book.write(f"{run} {keys and keys[i]}\n")
                answer = (WEIGHT * row.reshape(1, -1)).sum(1)
                if keys is not None:
                    answered[keys[i]] = answer
            out.append(answer if keys is None else answered[keys[i]])
        time.sleep(0.001)
        line.send(np.stack(out))


class Paid:
    """The attacker's end of the line."""

    name, device, returns = "paid", torch.device("cpu"), "logits"

    def __init__(self, address: str, run: str, keyed: bool) -> None:
        self.keyed, self._run = keyed, run
        self._line = Client(address, "AF_UNIX")

    def predict(self, x: Tensor, keys: list[str] | None = None) -> np.ndarray:
        self._line.send((self._run, x.numpy(), keys))
        return self._line.recv()


def serve_http(door: str, ledger: Path) -> None:
    """The same target behind the reference server; its address is what the file ``door`` says."""
    from blackbox.serving import Server, Service

    def answer(x: Tensor) -> Tensor:
        return torch.from_numpy(np.stack([(WEIGHT * row.reshape(1, -1)).sum(1) for row in x.numpy()]))

    class Booked(Service):
        def _ask(self, x: Tensor, fresh: dict[str, int], prints: list[bytes]) -> Any:
            made = super()._ask(x, fresh, prints)
            for word in fresh:  # a journal's key is 32 letters; rows without one have their number
                book.write(f"{'run' if len(word) == 32 else 'whole'} {word}\n")
            time.sleep(0.001)
            return made

    torch.set_num_threads(1)
    with open(ledger, "a", buffering=1) as book:
        oracle = bb.Oracle(answer, "logits", CLASSES, returns="logits")
        server = Server(Booked(oracle, SHAPE))
        Path(f"{door}.part").write_text(server.url)
        os.replace(f"{door}.part", door)
        server.serve_forever()


def attack(folder: Path, run: str, keyed: bool, journal: bool) -> None:
    torch.set_num_threads(1)
    door = folder / "door"
    target = bb.targets.HttpTarget(door.read_text()) if door.is_file() else Paid(str(door), run, keyed)
    oracle = bb.Oracle(target, "scores", CLASSES, max_rows=8)
    y = torch.from_numpy((IMAGE.reshape(IMAGES, -1) @ WEIGHT.T).argmax(1))
    path = folder / f"{run}.journal" if journal else None
    result = bb.attack(oracle, IMAGE, y, "square", bb.Linf(0.02), BUDGET, journal=path, cohort=3)
    columns = {
        "x_adv": result.x_adv,
        "queries": result.queries,
        "first": result.first_success_query,
        "loss": result.loss,
    }
    torch.save({**columns, "journal": result.config["journal"]}, folder / f"{run}.part")
    os.replace(folder / f"{run}.part", folder / f"{run}.result")


def fork(work: Any, *words: Any) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work(*words)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def main(folder: Path, kills: int, keyed: bool, http: bool) -> None:
    ledger = folder / "charged"
    server = fork(serve_http if http else serve, str(folder / "door"), ledger)
    while not (folder / "door").exists():
        time.sleep(0.01)
    try:
        begin = time.perf_counter()
        assert os.waitpid(fork(attack, folder, "whole", False, False), 0)[1] == 0
        took = time.perf_counter() - begin
        whole = torch.load(folder / "whole.result", weights_only=True)
        draw, done, runs, doubts, journalled, different = random.Random(0), 0, 0, 0, 0, 0
        while done < kills:
            run, runs = f"run{runs}", runs + 1
            code = None
            while code is None:
                child = fork(attack, folder, run, keyed, True)
                if done < kills:
                    time.sleep(draw.uniform(0, took))
                    ended, status = os.waitpid(child, os.WNOHANG)
                    if not ended:
                        os.kill(child, signal.SIGKILL)
                        done += 1
                    code = status if ended else None
                if code is None:
                    _, status = os.waitpid(child, 0)
                    code = None if os.WIFSIGNALED(status) else status
            assert code == 0, f"the attacker ended with {code}"
            found = torch.load(folder / f"{run}.result", weights_only=True)
            different += not all(torch.equal(found[k], whole[k]) for k in ("x_adv", "queries", "first", "loss"))
            doubts += found["journal"]["in_doubt"]
            journalled += found["journal"]["paid"] + found["journal"]["replayed"]
        lines = ledger.read_text().split("\n")
        once = sum(line.startswith("whole ") for line in lines)
        charged = sum(line.startswith("run") for line in lines)
        keys = [line for line in lines if line.startswith("run") and not line.endswith("None")]
        print(
            json.dumps(
                {
                    "kills": done, "runs": runs, "rows_a_run": once, "charged": charged, "twice": charged - runs * once,
                    "keys_twice": len(keys) - len(set(keys)), "lost": runs * once - journalled, "different": different,
                    "in_doubt": doubts, "seconds": round(time.perf_counter() - begin, 1),
                }
            )
        )  # fmt: skip
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "unkeyed" not in sys.argv[3:], "http" in sys.argv[3:])
