"""`Judge`: does an answer reach what a scenario wants? Host, player and whoever verifies judge the answers that the player is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from blackbox.goals.base import bound
from blackbox.league.account import Question, answers
from blackbox.league.material import Material
from blackbox.oracle import Oracle, Reply
from blackbox.protocol import Access
from blackbox.targets.answer import Answer
from blackbox.targets.info import Described, TargetInfo
from blackbox.targets.rejections import as_answer


class Told(NamedTuple):
    """What a player is told of m images. labels: [m], -1 where rejected. scores: [m, C] or None. rejected: [m]. answers: m of another form
    than classes, None for what was rejected; None where classes are shown."""

    labels: Sequence[int]
    scores: np.ndarray | None
    rejected: Sequence[bool]
    answers: list[Any] | None = None

    @classmethod
    def of(cls, reply: Reply) -> Told:
        """Of a reply of the host's own oracle."""
        values = None if reply.values is None else reply.values.numpy(force=True)
        return cls(reply.label.tolist(), values, reply.refused.tolist(), reply.answers)

    def returned(self, any_form: bool) -> Any:
        """The same as a target returns it to an `Oracle`."""
        if any_form:
            return [None] * len(self.labels) if self.answers is None else self.answers
        labels = torch.tensor(self.labels)
        scores = None if self.scores is None else torch.from_numpy(np.array(self.scores))
        if any(self.rejected):
            return as_answer({"labels": labels, "scores": scores, "rejected": np.array(self.rejected)})
        return labels if scores is None else Answer(labels, scores)


class _Repeats(Described):
    """A target that returns what it was told to."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.info, self.device, self.next = TargetInfo.announced(about, name="the target"), torch.device("cpu"), None

    def predict(self, x: Tensor) -> Any:
        return self.next


class Judge:
    """The goal of a scenario behind one target, as its player's engine has it. Of one session: not for several threads.

    Args:
        material: of the scenario. about: what the host announces of the target.

    Raises:
        ValueError: the goal does not fit the images or the classes.
    """

    def __init__(self, material: Material, about: dict[str, Any]) -> None:
        self.material, self.goal = material, None
        if material.goal is not None:
            self._target = _Repeats(about)
            self._oracle = Oracle(self._target, about["access"], about["classes"], k=about.get("k"))
            self.goal = bound(material.goal, self._oracle, len(material.ids))

    def __call__(self, told: Told, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss [m], and which answers, about the images in these ``rows`` [m], are what the goal wants, [m] bool.

        Raises:
            GoalError, TargetError: an answer has not the form that the goal needs.
        """
        m, labels = self.material, np.asarray(told.labels)
        if self.goal is None:
            reached = (labels >= 0) & (labels != m.labels[rows] if m.goals is None else labels == m.goals[rows])
            return np.where(reached, 1.0, -1.0), reached
        self._target.next = told.returned(self._oracle.access is Access.ANSWERS)
        return self.goal.verdict(self._oracle.submit(torch.zeros(len(rows), 1), "check"), rows)

    def clean(self, reply: Reply) -> list[bool] | None:
        """Of the reply to the clean images: which do not reach the goal, and were answered. None without a goal: their labels tell."""
        if self.goal is None:
            return None
        _, reached = self(Told.of(reply), np.arange(len(self.material.ids)))
        return (~reached & ~reply.refused).tolist()

    def agrees(self, asked: Sequence[Question], row: int) -> bool:
        """Do the answers in a journal about the image in this row reach the goal exactly where the journal says so?"""
        if not asked:
            return True
        _, reached = self(Told(**answers(asked)), np.full(len(asked), row))
        return reached.tolist() == [q.adversarial for q in asked]

    def words(self) -> dict[str, str]:
        """The goal in words, for whoever is told what an answer tells; nothing where a class is meant."""
        return {} if self.goal is None else {"goal": str(self.goal)}
