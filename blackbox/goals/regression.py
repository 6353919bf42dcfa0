"""`Regression`: move a predicted number."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.goals.base import Goal, Setting, numbers, per_sample
from blackbox.goals.twins import constant, output
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access

WAYS = ("either", "up", "down")


class Regression(Goal):
    """The target's number moves by at least ``by`` from a reference.

    Args:
        reference: the number to move from, for all samples or [N]: the true values, or what the target says of the clean inputs.
        by: how far, in the unit of the numbers; for all samples or [N].
        way: ``"up"``, ``"down"``, or ``"either"``.

    Raises:
        ValueError: by is not positive, or there is no such way.
    """

    needs = Access.ANSWERS

    def __init__(self, reference: Any, by: Any, way: str = "either") -> None:
        if way not in WAYS:
            raise ValueError(f"Expected way to be one of {', '.join(WAYS)}, but it was {way!r}.")
        try:
            positive = bool((np.asarray(by, dtype=np.float64) > 0).all())
        except (TypeError, ValueError):
            positive = False
        if not positive:
            raise ValueError(f"Expected by to be positive, in the unit of the target's numbers, but it was {by!r:.80}.")
        self.reference, self.by, self.way = reference, by, way

    def bind(self, setting: Setting) -> None:
        self.reference = per_sample(self.reference, "the reference", setting.samples)
        self.by = per_sample(self.by, "by", setting.samples)

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = numbers(reply, self, axes=0) - self.reference[who]
        moved = {"either": np.abs(moved), "up": moved, "down": -moved}[self.way]
        return moved - self.by[who], moved >= self.by[who]

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The same of numbers [m] or [m, 1]; see `Goal.twin`. At the reference itself either way is up."""
        found = output(out, self, axes=0)
        moved = found - constant(self.reference[who], found)
        if self.way != "up":
            moved = -moved if self.way == "down" else torch.where(moved >= 0, moved, -moved)
        return moved - constant(self.by[who], found)

    def describe(self) -> str:
        far = np.unique(np.asarray(self.by, dtype=np.float64))
        much = f"{far[0]:g}" if len(far) == 1 else "the amount given for each sample"
        return f"the number moves {'up or down' if self.way == 'either' else self.way} by {much}"
