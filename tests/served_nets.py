"""One small net, and a server for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
from blackbox.serving import Server, Service

SHAPE, CLASSES = (1, 8, 8), 4


def net() -> nn.Module:
    """With batch statistics and dropout, whose effect would show if anything ran in training mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(144, CLASSES)
        )
        made[1].running_mean.fill_(0.3)
    return made.eval()


def images(m: int, seed: int = 0) -> Tensor:
    return torch.rand(m, *SHAPE, generator=torch.Generator().manual_seed(seed))


class Counting:
    """The net behind a counter of its own, which may fail."""

    def __init__(self) -> None:
        self.net, self.seen, self.calls, self.fails = net(), 0, 0, 0
        self.changed: Any = None

    def __call__(self, x: Tensor) -> Tensor:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("out of memory")
        self.seen += len(x)
        self.calls += 1
        out: Tensor = self.net(x)
        return out if self.changed is None else self.changed(out)


@contextlib.contextmanager
def running(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def served(model: Any = None, access: str = "scores", k: int | None = None, **more: Any) -> Iterator[Server]:
    """The net (or another model) on a free port."""
    oracle = bb.Oracle(net() if model is None else model, access, CLASSES)
    with running(Server(Service(oracle, SHAPE, k=k, **more))) as server:
        yield server
