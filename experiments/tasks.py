"""What studies of goals beyond one class have in common: nets that answer anything, the noise that any search must beat, rows.

A task is an entry of ``[tasks]`` in ``ground.toml``: a net, images, a threat. Its rows are attacks; all have the same images and the same
budget, the clean check is an image's first query, and a failure is charged the budget.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

import blackbox as bb
from experiments import ground
from experiments.cases import spread_over
from experiments.rows import code, commit
from experiments.runner import Book, Real, says

FOLDER = "goals"
NOISE = "noise"


@dataclass(frozen=True)
class Noise(bb.Attack):
    """The floor: a corner of the ball, each query another, without a look at what was answered."""

    access: ClassVar[bb.Access] = bb.Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)

    def init(self, t: bb.Task) -> Tensor:
        return t.loss0

    def step(self, t: bb.Task, s: Tensor, k: int) -> bb.Steps[Tensor]:
        yield bb.Ask(t.x0 + t.eps * (2 * t.rng.uniform(k, "corner", t.d).round() - 1).view_as(t.x0))
        return s


@dataclass(frozen=True)
class Line:
    """A row of the table. access: what the service shows, in words. images: so many of the task's, spread over them; 0: all."""

    attack: str
    access: str
    oracle: Callable[[], bb.Oracle]
    goal: Callable[[Tensor], bb.goals.Goal]  # of the places of its images among the task's
    images: int = 0
    start: Tensor | None = None  # [n, *shape] where walks begin
    prior: Any = None  # surrogates, of an attack that takes some


@dataclass(frozen=True)
class Ready:
    """A task with its images, those that do not reach the goal unchanged. ids: their places in their file."""

    name: str
    images: Tensor
    ids: Tensor
    more: dict[str, Any]  # what the file says besides


@dataclass(frozen=True)
class Settings(Real):
    packages: str = says("../packages", "where packages of others are unpacked, see experiments/packaged.py")
    attacks: tuple[str, ...] = says((), "names of attacks [all]")
    budget: int = says(1000, "queries an image")
    draws: int = says(20, "queries an image that noise has, after the clean check")
    few: int = says(30, "images of walks that see labels alone, which cost the most")

    def budget_of(self, attack: str) -> int:
        return self.draws + 1 if attack == NOISE else self.budget

    @property
    def unpacked(self) -> Path:
        return Path(self.packages)


def fast(net: nn.Module, example: Tensor) -> Callable[[Tensor], np.ndarray]:
    """The net in onnxruntime, on one thread, which takes a half of torch's time on these."""
    import onnxruntime

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), (example[:2],), file, input_names=["x"], output_names=["y"],
                          dynamic_axes={"x": {0: "n"}}, dynamo=False, opset_version=17)  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])

    def answer(x: Tensor) -> np.ndarray:
        return np.concatenate([session.run(None, {"x": part.numpy()})[0] for part in x.split(16)])

    return answer


def decided(wrong: Callable[[Any, int], bool], name: str) -> Callable[[Tensor], bb.goals.Goal]:
    """A goal whose search learns *yes* or *no* of each answer: ``wrong(answer, place)``, the place among the task's images."""

    def make(places: Tensor) -> bb.goals.Goal:
        at = places.tolist()
        return bb.goal(lambda answer, i: 1.0 if wrong(answer, at[i]) else -1.0, name=name, graded=False)

    return make


def measured(task: Ready, line: Line, s: Settings, threat: bb.Threat, seed: int) -> dict[str, Any]:
    """What a file keeps of a row: of each image the queries it was charged until it was fooled, or in all, and whether it was."""
    begun = time.perf_counter()
    some = spread_over(len(task.ids), line.images)
    attack, budget = Noise() if line.attack == NOISE else line.attack, s.budget_of(line.attack)
    oracle = line.oracle()
    more: dict[str, Any] = {} if line.start is None else {"start": line.start[some]}
    more |= {} if line.prior is None else {"prior": line.prior}
    result = bb.attack(
        oracle, task.images[some], None, attack, threat, budget, goal=line.goal(some), seed=seed, ids=task.ids[some], **more
    )
    if bool((result.clean_loss > 0).any()):
        raise ValueError(f"Expected images that do not reach the goal unchanged, but of {task.name} some do.")
    spent = torch.where(result.success, result.first_success_query, result.queries)
    stamp = {} if line.attack == NOISE else {"code": code(line.attack)}
    return {
        "goal": str(line.goal(some)), "commit": commit(), **stamp, "seconds": round(time.perf_counter() - begun, 1),
        "ids": task.ids[some].tolist(), "queries": spent.tolist(), "found": result.success.int().tolist(),
        "rows": oracle.rows,
    }  # fmt: skip


def measure(s: Settings, task: Ready, lines: Iterable[Line]) -> None:
    """Measure the lines that the settings name, and keep each as it comes."""
    about = ground.entry("tasks", task.name)
    images = ground.entry("images", about["images"])
    book = Book(f"{FOLDER}/{task.name}", s, same=("budget", "draws", "few", "photographs"))
    book.put(
        command=f"python -m {about['by']}",
        task={"name": task.name, **{key: about[key] for key in ("use", "title", "net", "goal", "threat")}},
        images={"among": about["images"], "what": images["what"], "n": len(task.ids)},
        ids=task.ids.tolist(),
        **task.more,
    )
    threat, seed = ground.threat(about["threat"]), ground.seeds("reporting")[0]
    for line in lines:
        if not s.attacks or line.attack in s.attacks:
            key = {"attack": line.attack, "access": line.access, "seed": seed, "budget": s.budget_of(line.attack)}
            book.row(partial(measured, task, line, s, threat, seed), **key)


def outside(reached: np.ndarray) -> Tensor:
    """Places of the images that do not reach the goal unchanged."""
    return torch.from_numpy(np.flatnonzero(~np.asarray(reached)))
