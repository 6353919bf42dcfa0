"""A logger that keeps what it is told, one that fails, and an attack whose costs are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

import blackbox as bb
from tests.unit.evaluation.test_tuning import Border, Climb

X = torch.full((5, 1, 4, 4), 0.5) - torch.tensor([0.015, 0.025, 0.035, 0.2, -0.1]).view(5, 1, 1, 1)
Y = torch.zeros(5, dtype=torch.int64)
BUDGET = 20
# Climb(0.01) needs 3, 4 and 5 queries; the fourth image cannot be reached, the fifth is of class 1 from the start
CURVE = {1: 0.0, 2: 0.0, 3: 0.25, 4: 0.5, **dict.fromkeys(range(5, BUDGET + 1), 0.75)}


class Kept:
    """Keeps every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def start(self, settings: Mapping[str, Any]) -> None:
        self.calls.append(("start", dict(settings)))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.calls.append(("scalars", (step, dict(values))))

    def images(self, step: int, pictures: Mapping[str, torch.Tensor]) -> None:
        self.calls.append(("images", (step, dict(pictures))))

    def end(self, status: str) -> None:
        self.calls.append(("end", status))

    def points(self, name: str) -> list[tuple[int, float]]:
        return [(step, values[name]) for call, (step, values) in self._told() if name in values]

    def last(self, name: str) -> float:
        return self.points(name)[-1][1]

    def _told(self) -> list[tuple[str, Any]]:
        return [c for c in self.calls if c[0] == "scalars"]


class Full(Kept):
    """A disk that is full from some method on."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def __getattribute__(self, name: str) -> Any:
        if name in ("start", "scalars", "images", "end") and name == object.__getattribute__(self, "method"):
            return self.fail
        return object.__getattribute__(self, name)

    def fail(self, *_: Any) -> None:
        self.calls.append(("failed", None))
        raise OSError(28, "No space left on device")


def climb(log: Any, model: Any = None, **more: Any) -> bb.AttackResult:
    oracle = bb.Oracle(model or Border(), "scores", 2)
    return bb.attack(oracle, X, Y, Climb(0.01), bb.Linf(0.1), BUDGET, log=log, **more)
