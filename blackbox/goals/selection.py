"""`Selection`: a goal of many samples, for some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from torch import Tensor

from blackbox.goals.base import Goal, Setting
from blackbox.goals.identity import Print
from blackbox.oracle.reply import Reply


class Selection(Goal):
    """A goal that was made for ``samples`` inputs, for those in the places ``index`` [m]: each keeps its own reference.

    An evaluation attacks with a larger budget only what smaller ones left standing.
    """

    def __init__(self, goal: Goal, index: np.ndarray, samples: int) -> None:
        self.goal, self.index, self.samples = goal, np.asarray(index, dtype=np.int64), samples
        self.needs, self.graded = goal.needs, goal.graded

    def level(self, access: Any) -> Any:
        return self.goal.level(access)

    def bound(self, setting: Setting) -> Self:
        if setting.samples != len(self.index):
            raise ValueError(f"Expected a goal for {setting.samples} samples, but {len(self.index)} were selected.")
        return type(self)(self.goal.bound(setting._replace(samples=self.samples)), self.index, self.samples)  # type: ignore[return-value]

    def check(self, reply: Reply) -> None:
        self.goal.check(reply)

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[Any, Any]:
        return self.goal.judge(reply, self.index[who])

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        return self.goal.twin(out, self.index[who])

    @property
    def differentiable(self) -> bool:
        return self.goal.differentiable

    def seen_by(self, net: Callable[[Any], np.ndarray]) -> Goal:
        return Selection(self.goal.seen_by(net), self.index, self.samples)

    def alike(self, samples: int) -> np.ndarray:
        whole = self.goal.alike(self.samples)[self.index]
        first: dict[int, int] = {}
        return np.array([first.setdefault(int(of), i) for i, of in enumerate(whole)], np.int64)

    def describe(self) -> str:
        return self.goal.describe()

    def unreached(self) -> str:
        return self.goal.unreached()

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        return self.goal.excerpt(reply, row, int(self.index[sample]))

    def picture(self, sample: int) -> np.ndarray | None:
        return self.goal.picture(int(self.index[sample]))

    def identity(self) -> str:
        whole = len(self.index) == self.samples and bool((self.index == np.arange(self.samples)).all())
        return self.goal.identity() if whole else f"{self.goal.identity()}, of the samples {Print().add(self.index).text()}"
