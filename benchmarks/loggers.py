"""What does logging cost an attack? Square on a ResNet-20 with random weights (nothing is fooled, so every budget is spent).

logged over none      processor seconds of the attack with a logger over those without one, in pairs whose order alternates
inside the logger, %  wall time inside the logger's own methods, in per cent of the attack's; its start and end included

Every backend has been loaded and used once before the clock starts: importing TensorBoard or MLflow takes seconds, once a process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

import blackbox as bb
import surrogates as sg
from benchmarks.clock import paired, seconds, spread
from blackbox.loggers import read

BACKENDS = ("csv", "tensorboard", "mlflow")
Row = tuple[str, dict[str, Any]]


class Timed:
    """Another logger, and the seconds spent in it."""

    def __init__(self, logger: Any) -> None:
        self.logger, self.inside = logger, 0.0

    def __getattr__(self, name: str) -> Callable[..., None]:
        method = getattr(self.logger, name)

        def call(*args: Any) -> None:
            begin = time.perf_counter()
            method(*args)
            self.inside += time.perf_counter() - begin

        return call


def logging(s: Any) -> Iterator[Row]:
    images, budget = (4, 50) if s.quick else (16, 1000)
    net = sg.build("resnet20", 10, (3, 32, 32), seed=0).eval().to(s.device)
    x = torch.rand(images, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(s.device)
    y = sg.predict(net, x)

    def attack(log: Any = None) -> None:
        bb.attack(bb.Oracle(net, "scores", 10), x, y, "square", bb.Linf(1e-6), budget, log=log)

    for name in BACKENDS:
        with tempfile.TemporaryDirectory() as folder:
            shares: list[float] = []

            def logged(name: str = name, folder: str = folder, shares: list[float] = shares) -> None:
                timed, begin = Timed(read(f"{name}:{folder}/{name}")), time.perf_counter()
                attack(timed)
                shares.append(100 * timed.inside / (time.perf_counter() - begin))

            found = paired(partial(seconds, attack, process=True), partial(seconds, logged, process=True), 2 if s.quick else 3 * s.repeats)
            about = {"what": name, "images": images, "budget": budget}
            yield "logged over none, CPU", {**about, **spread([b / a for a, b in found])}
            yield "inside the logger, %", {**about, **spread(shares[1:])}
