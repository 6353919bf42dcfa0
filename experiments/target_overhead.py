"""What do the HTTP target and the journal cost beside the target itself?

``python -m experiments.target_overhead`` asks two questions, each in pairs of blocks that alternate, so that the machine's mood
meets both sides; the ratio of a pair is one observation, and its median has a bootstrap interval (BCa, 95 %).

* rows a second of a small net (ResNet-20, colour images of 32×32, 64 a call), asked directly and through ``blackbox serve``'s
  server in a process of its own (npy, keys off).
* seconds of an attack on a target that takes 10 ms a call, with the journal and without.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap

import blackbox as bb
import surrogates as sg
from blackbox.serving import Server, Service

SHAPE, CLASSES = (3, 32, 32), 10


@dataclass(frozen=True)
class Settings:
    pairs: int = 30
    calls: int = 20
    rows: int = 64
    call_ms: float = 10.0
    attack_calls: int = 100
    out: str = "experiments/results/target_overhead.json"


def net(name: str) -> Any:
    """The identity's price is the protocol's alone; the ResNet shows it beside a net's."""
    return sg.build("resnet20", CLASSES, SHAPE, seed=0) if name == "resnet20" else lambda x: x.flatten(1)[:, :CLASSES]


def serve(name: str, pipe: Any) -> None:
    torch.set_num_threads(1)
    server = Server(Service(bb.Oracle(net(name), "scores", CLASSES), SHAPE))
    pipe.send(server.url)
    server.serve_forever()


def paired(a: Callable[[], float], b: Callable[[], float], pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of either, in pairs whose order alternates; the first of each is thrown away."""
    a(), b()
    out = []
    for i in range(pairs):
        first, second = (a, b) if i % 2 == 0 else (b, a)
        one, two = first(), second()
        out.append((one, two) if i % 2 == 0 else (two, one))
    seconds = np.array(out)
    return seconds[:, 0], seconds[:, 1]


def median(values: np.ndarray) -> list[float]:
    """[median, low, high]"""
    found = bootstrap((values,), np.median, n_resamples=2000, rng=np.random.default_rng(0)).confidence_interval
    return [round(float(v), 4) for v in (np.median(values), found.low, found.high)]


def http(name: str, s: Settings) -> dict[str, Any]:
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(name, there), daemon=True)
    child.start()
    try:
        x = torch.rand(s.rows, *SHAPE, generator=torch.Generator().manual_seed(0))
        oracles = [bb.Oracle(m, "scores", CLASSES, rows_per_call=s.rows) for m in (net(name), bb.targets.HttpTarget(here.recv()))]

        def seconds(oracle: bb.Oracle) -> float:
            begin = time.perf_counter()
            for _ in range(s.calls):
                oracle(x)
            return time.perf_counter() - begin

        direct, over = paired(lambda: seconds(oracles[0]), lambda: seconds(oracles[1]), s.pairs)
    finally:
        child.terminate()
    rows = s.rows * s.calls
    return {
        "target": name, "rows_per_second_direct": median(rows / direct), "rows_per_second_http": median(rows / over),
        "ratio_http_to_direct": median(over / direct), "added_ms_per_call": median((over - direct) / s.calls * 1e3),
    }  # fmt: skip


def journal(s: Settings) -> dict[str, Any]:
    """A call sleeps until its 10 ms are over; the attack asks one image a call, as many calls as its budget."""

    def slow(x: torch.Tensor) -> torch.Tensor:
        time.sleep(s.call_ms / 1e3)
        scores = torch.zeros(len(x), 2)
        scores[:, 0] = 1 + x.flatten(1).mean(1)
        return scores

    x = torch.full((1, *SHAPE), 0.5)

    def seconds(path: Path | None) -> float:
        oracle = bb.Oracle(slow, "logits", 2, returns="logits")
        begin = time.perf_counter()
        bb.attack(oracle, x, np.zeros(1, np.int64), "square", bb.Linf(0.1), s.attack_calls, journal=path)
        return time.perf_counter() - begin

    with tempfile.TemporaryDirectory() as folder:
        number = iter(range(10**6))
        off, on = paired(lambda: seconds(None), lambda: seconds(Path(folder) / f"{next(number)}"), s.pairs)
    return {"call_ms": s.call_ms, "seconds_off": median(off), "ratio_on_to_off": median(on / off)}


def main() -> None:
    known = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in asdict(Settings()).items():
        known.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    s = Settings(**vars(known.parse_args()))
    torch.set_num_threads(1)
    found = {
        "settings": asdict(s),
        "machine": f"{platform.machine()}, torch {torch.__version__}",
        "http": [http(name, s) for name in ("identity", "resnet20")],
        "journal": journal(s),
    }
    Path(s.out).parent.mkdir(parents=True, exist_ok=True)
    Path(s.out).write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
