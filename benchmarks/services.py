"""What do the HTTP target, the journal, and many images cost?

target  rows a second of a net (64 a call) asked directly and through ``blackbox serve``'s server in a process of its own; of the
        identity, whose price is the protocol's alone, and of a ResNet-20. Seconds of an attack on a target that takes 10 ms a
        call, with the journal and without.
memory  is it bounded by cohort and micro-batch, whatever the number of images and directions? 10,000 images of 3x32x32, NES with 50
        directions, shared and own, behind a cheap net: the peak of the process's resident memory during the attack, over what
        it was before the images were made.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import blackbox as bb
import surrogates as sg
from benchmarks.clock import paired, seconds, spread
from blackbox.serving import Server, Service

SHAPE, CLASSES, ROWS = (3, 32, 32), 10, 64
Row = tuple[str, dict[str, Any]]


def net(name: str) -> Any:
    return sg.build("resnet20", CLASSES, SHAPE, seed=0) if name == "ResNet-20" else lambda x: x.flatten(1)[:, :CLASSES]


def serve(name: str, pipe: Any) -> None:
    torch.set_num_threads(1)
    server = Server(Service(bb.Oracle(net(name), "scores", CLASSES), SHAPE))
    pipe.send(server.url)
    server.serve_forever()


def http(name: str, pairs: int, calls: int) -> dict[str, Any]:
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=serve, args=(name, there), daemon=True)
    child.start()
    try:
        x = torch.rand(ROWS, *SHAPE, generator=torch.Generator().manual_seed(0))
        direct, far = (bb.Oracle(m, "scores", CLASSES, rows_per_call=ROWS) for m in (net(name), bb.targets.HttpTarget(here.recv())))

        def asked(oracle: bb.Oracle) -> None:
            for _ in range(calls):
                oracle(x)

        found = paired(lambda: seconds(partial(asked, direct)), lambda: seconds(partial(asked, far)), pairs)
    finally:
        child.terminate()
    added = spread([1e3 * (b - a) / calls for a, b in found])["median"]
    return {"target": name, "added ms a call": added, **spread([b / a for a, b in found])}


def journal(pairs: int, calls: int) -> dict[str, Any]:
    """A call sleeps until its 10 ms are over; the attack asks one image a call, as many calls as its budget."""

    def slow(x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.01)
        return torch.stack([1 + x.flatten(1).mean(1), torch.zeros(len(x))], 1)

    x = torch.full((1, *SHAPE), 0.5)

    def attack(path: Path | None) -> None:
        oracle = bb.Oracle(slow, "logits", 2, returns="logits")
        bb.attack(oracle, x, np.zeros(1, np.int64), "square", bb.Linf(0.1), calls, journal=path)

    with tempfile.TemporaryDirectory() as folder:
        names = iter(range(10**6))
        found = paired(
            lambda: seconds(partial(attack, None)), lambda: seconds(partial(attack, Path(folder) / f"{next(names)}")), pairs
        )
    return {"target": "10 ms a call", **spread([b / a for a, b in found])}


def target(s: Any) -> Iterator[Row]:
    pairs, calls = (2, 2) if s.quick else (10 * s.repeats, 20)
    for name in ("identity", "ResNet-20"):
        yield "http over direct", http(name, pairs, calls)
    yield "journal over none", journal(pairs, 5 * calls)


def peak() -> float:
    """The largest resident size so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def grown(own: bool, images: int, directions: int) -> float:
    """GB on top of the interpreter with the packages loaded."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    nes, threat, budget = bb.attacks.NES(samples=directions, own=own), bb.Linf(1e-4), 2 * directions + 10  # two steps
    warm = torch.rand(4, *SHAPE)
    bb.attack(bb.Oracle(model), warm, model(warm).argmax(1), nes, threat, budget)
    before = peak()
    x = torch.rand(images, *SHAPE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        y = model(x).argmax(1)
    result = bb.attack(bb.Oracle(model), x, y, nes, threat, budget)
    assert int(result.queries.sum()) > images * directions
    return peak() - before


def memory(s: Any) -> Iterator[Row]:
    images, directions = (20, 4) if s.quick else (10_000, 50)
    for kind in ("shared", "own"):  # a process each: the peak never falls
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            size = pool.submit(grown, kind == "own", images, directions).result()
        yield "gigabytes", {"what": f"{images:,} images, {directions} {kind} directions", **spread([size])}
