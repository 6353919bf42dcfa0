"""`MultiLabel`: hide some labels of several, and show others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.goals import excerpt
from blackbox.goals.base import Goal, GoalError, Setting, numbers
from blackbox.goals.twins import column, output
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access


class MultiLabel(Goal):
    """Every label of ``hide`` scores below the threshold, and every one of ``show`` at least as high.

    An answer is a row of one score a label, or a dict {label: score} of all labels.

    Args:
        hide, show: labels, by their number in the row or their name in the dict; in a row also by their word among the oracle's
            ``classes``.
        threshold: from which score on a label is said to be there.

    Raises:
        ValueError: no labels, or one that is to be hidden and shown.
    """

    needs = Access.ANSWERS

    def __init__(self, hide: Sequence[int | str] = (), show: Sequence[int | str] = (), threshold: float = 0.5) -> None:
        self.hide, self.show = (
            [each] if isinstance(each, int | str | np.integer) else list(() if each is None else each) for each in (hide, show)
        )
        if not self.hide and not self.show:
            raise ValueError("Expected labels to hide or to show, but there were none. Give hide=['nudity'], say, or show=[3].")
        if both := sorted(set(map(str, self.hide)) & set(map(str, self.show))):
            raise ValueError(f"Expected each label to be hidden or shown, but {both[0]} was to be both.")
        if not (isinstance(threshold, int | float | np.number) and np.isfinite(threshold)):
            raise ValueError(f"Expected threshold to be a finite number, but it was {threshold!r}.")
        self.threshold = float(threshold)
        self._names: tuple[str, ...] = ()

    def bind(self, setting: Setting) -> None:
        self._names = tuple(setting.names or ())

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hide, show = self._scores(reply, self.hide), self._scores(reply, self.show)
        parts = [self.threshold - hide, show - self.threshold]
        loss = np.concatenate(parts, 1).min(1)  # of labels one after the other: the one that is farthest from where it should be
        return loss, np.logical_and((hide < self.threshold).all(1), (show >= self.threshold).all(1))

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The same of scores [m, labels], or of a dict {label: [m]}; see `Goal.twin`."""

        def scores(labels: Sequence[Any]) -> list[Tensor]:
            if isinstance(out, Mapping):
                return [column(out, str(label), self) for label in labels]
            whole = output(out, self, axes=1)
            return [whole[:, label] for label in self._columns(labels, whole.shape[1])]

        parts = [self.threshold - each for each in scores(self.hide)] + [each - self.threshold for each in scores(self.show)]
        return torch.stack(parts, 1).amin(1)

    def _scores(self, reply: Reply, labels: Sequence[Any]) -> np.ndarray:
        """The scores of these labels, [m, len(labels)]."""
        answers: Any = reply.answers
        if isinstance(answers[0], dict):
            if wrong := [label for label in labels if str(label) not in answers[0]]:
                known = ", ".join(list(answers[0])[:12])
                raise GoalError(f"Expected labels that the target scores, {known}, but one was {wrong[0]!r}.", 0)
            found = np.zeros((len(answers), len(labels)))
            for row, answer in enumerate(answers):
                try:
                    found[row] = [float(answer[str(label)]) for label in labels]
                except (IndexError, KeyError, TypeError, ValueError):
                    raise GoalError(f"Expected a dict of scores for the goal ({self}), but it was {answer!r:.80}.", row) from None
            if np.isnan(found).any():
                raise GoalError(f"Expected numbers as scores for the goal ({self}), but one was NaN.", int(np.isnan(found).any(1).argmax()))
            return found
        whole = numbers(reply, self, axes=1)
        return whole[:, self._columns(labels, whole.shape[1])]

    def _columns(self, labels: Sequence[Any], count: int) -> list[int]:
        """The places of labels in a row of ``count`` scores."""
        made = [self._names.index(label) if label in self._names else label for label in labels]
        if wrong := [label for label in made if not isinstance(label, int | np.integer) or not 0 <= label < count]:
            raise GoalError(
                f"Expected labels by number, from 0 to {count - 1}, or words of Oracle(..., classes=[...]), since an answer is a row of "
                f"scores, but one was {wrong[0]!r}.",
                0,
            )
        return list(map(int, made))

    def describe(self) -> str:
        told = [f"{what} {', '.join(map(str, some))}" for what, some in (("hide", self.hide), ("show", self.show)) if some]
        return f"{' and '.join(told)} (threshold {self.threshold:g})"

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        answers: Any = reply.answers
        shown, answer = [*self.hide, *self.show], answers[row]
        keys = list(map(str, shown)) if isinstance(answer, dict) else self._columns(shown, len(answer))
        said = [float(answer[key]) for key in keys]
        marks = ["" if value < self.threshold else " ✓" for value in said]  # the target says that the label is there
        return excerpt.text(", ".join(f"{label} {value:.2g}{mark}" for label, value, mark in zip(shown, said, marks, strict=True)))

    def unreached(self) -> str:
        hidden, shown = "a label to hide is there", "a label to show is not there"
        return f"{hidden}, or {shown}" if self.hide and self.show else hidden if self.hide else shown
