"""A target that fails when it is told to, in this process or behind a service, and the book of what it answered.

It is a linear classifier of digits. `experiments.studies.faults` says which call goes wrong, and how.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import surrogates as sg
from blackbox.serving import Refused, Service

RAISED: dict[str, Callable[[], BaseException]] = {
    "429": lambda: ConnectionError("429 Too Many Requests"),
    "500": lambda: ValueError("500 Internal Server Error"),
    "cut": lambda: ConnectionResetError("the line was cut"),
    "ctrl-c": KeyboardInterrupt,
}
KINDS = (*RAISED, "nan", "rows", "kill before", "kill after")
CLASSES = 10


@cache
def data() -> tuple[np.ndarray, Any, Any]:
    """The weights of a linear classifier of digits, the images attacked, the images to learn from."""
    part = sg.split(sg.load("digits"), {"fit": 500, "attack": 30, "own": 60}, seed=0)
    x = part["fit"].images.flatten(1).numpy() - 0.5
    y = np.eye(CLASSES)[part["fit"].labels.numpy()]
    weight = np.linalg.solve(x.T @ x + 2 * np.eye(x.shape[1]), x.T @ y).T.astype(np.float32) * 8
    return weight, part["attack"], part["own"]


def answer(rows: np.ndarray) -> np.ndarray:
    """Logits, row by row."""
    weight = data()[0]
    return np.stack([(weight * (row.reshape(1, -1) - np.float32(0.5))).sum(1) for row in rows])


class Net(nn.Module):
    """A surrogate of sorts, and a white box: nearly the target."""

    def __init__(self, off: float = 0.3) -> None:
        super().__init__()
        moved = torch.from_numpy(data()[0]) + off * torch.randn(CLASSES, 64, generator=torch.Generator().manual_seed(1))
        self.weight = nn.Parameter(moved)

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - 0.5) @ self.weight.T


@dataclass
class Desk:
    """Where the faults come from, and the book of what was answered. faults: call -> kind."""

    book: Path
    faults: dict[int, str] = field(default_factory=dict)
    calls: int = 0
    victim: int = 0  # who is killed; 0: this process
    word: str = "row"
    said: Callable[[], int] = lambda: 0  # how many rows a doomed process has asked to make sure of its target

    def write(self, word: str, rows: np.ndarray) -> None:
        with open(self.book, "a") as file:
            file.write("".join(f"{word} {hashlib.sha256(row.tobytes()).hexdigest()[:16]}\n" for row in rows))

    def next(self) -> str:
        self.calls += 1
        kind = self.faults.pop(self.calls, "")
        if kind.startswith("kill"):
            self.book.with_name("checks").write_text(str(self.said()))
        return kind

    def kill(self) -> None:
        while not (who := self.victim):
            time.sleep(0.001)  # the parent has not said yet who it is
        os.kill(who, signal.SIGKILL)

    def read(self) -> Counter[str]:
        return Counter(self.book.read_text().splitlines()) if self.book.exists() else Counter()


DESK = Desk(Path(os.devnull))


def load() -> Callable[[Tensor], Tensor]:
    """The target of a study's file."""
    return ask


def ask(x: Tensor) -> Tensor:
    """The target in this process, with its faults."""
    kind, rows = DESK.next(), x.numpy()
    if kind in RAISED:
        raise RAISED[kind]()
    if kind == "kill before":
        DESK.kill()
    out = answer(rows)
    if kind in ("nan", "rows"):
        DESK.write("refused", rows)
        out[len(out) // 2] = np.nan
        return torch.from_numpy(out if kind == "nan" else out[:-1])
    DESK.write("doubt" if kind == "kill after" else "row", rows)
    if kind == "kill after":
        DESK.kill()
    return torch.from_numpy(out)


class Faulty(Service):
    """The target behind the reference server, with faults of requests. It charges a key once."""

    def answer(self, images: np.ndarray, keys: np.ndarray | None = None) -> dict[str, np.ndarray | None]:
        kind = DESK.next()
        if kind in ("429", "500"):
            raise Refused(int(kind), "not today")
        if kind == "kill before":
            DESK.kill()
        # will the client see the answer? NaN is none: it is asked for anew, under another key
        DESK.word = {"": "row", "kill before": "row", "nan": "refused"}.get(kind, "doubt")
        found = super().answer(images, keys)
        if kind == "kill after":
            DESK.kill()
        if kind in ("cut", "ctrl-c"):
            raise RuntimeError("the connection is closed without an answer")
        if kind == "rows":
            return {name: None if v is None else v[:-1] for name, v in found.items()}
        if kind == "nan":
            return {name: np.full_like(v, np.nan) if v is not None and v.dtype.kind == "f" else v for name, v in found.items()}
        return found


def booked(x: Tensor) -> Tensor:
    """The target of the service: only rows that it does not remember come here."""
    DESK.write(DESK.word, x.numpy())
    return torch.from_numpy(answer(x.numpy()))
