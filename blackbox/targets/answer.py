"""The forms of a target's answers, and how to tell them apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from blackbox.checks import as_tensor
from blackbox.targets.reading import recognise
from blackbox.targets.words import in_words

__all__ = ["Answer", "Part", "Parts", "label_of", "numbers", "part_of", "recognise"]


class Answer(NamedTuple):
    """An answer whose label is given separately, because rounding or a defence may have made the scores disagree with it.

    label: [m] int64. scores: [m, C]; None where labels alone are shown. rejected: [m] bool, the rows that got no answer, for
    a target that may refuse single ones (`blackbox.targets.rejections`); None for one that never does.
    """

    label: Tensor
    scores: Tensor | None
    rejected: Tensor | None = None


def numbers(out: Any, name: str) -> Tensor:
    """The answer of a target with this ``name`` as a tensor, for a channel, which does not know the class words.

    Raises:
        ValueError: it is in words, or no numbers.
    """
    if in_words(out):
        raise ValueError(
            f"Expected numbers from the target {name}, which stands behind a channel, but it answers in words. Tell it their order: "
            "FunctionTarget(model, class_names=['cat', 'dog', ...]) inside the channel."
        )
    return as_tensor(out, f"the answer of {name}")


def label_of(out: Any) -> Tensor:
    """The labels [m] int64 of an answer of any form."""
    if isinstance(out, Answer):
        return out.label
    out = numbers(out, "behind the channel")
    return out.to(torch.int64) if out.ndim == 1 else out.argmax(1)


class Part(NamedTuple):
    """What a call that failed got nevertheless: an error of a target may carry it, as ``error.part``.

    rows: the rows that were answered, in order. answer: to them, as `predict` gives it; None where there are none.
    doubtful: rows without an answer that may have been charged. sent: how many rows were sent at all; None for every one.
    """

    rows: list[int]
    answer: Any
    doubtful: list[int]
    sent: int | None = None


def sent_of(error: BaseException, rows: int) -> int:
    """How many of the ``rows`` of a failed call were sent."""
    part = part_of(error)
    return rows if part is None or part.sent is None else part.sent


def part_of(error: BaseException) -> Part | None:
    """What a failed call got nevertheless, by this error or the one behind it; None where the target does not say."""
    parts = (getattr(each, "part", None) for each in (error, error.__cause__))
    return next((part for part in parts if isinstance(part, Part)), None)


class Parts:
    """Puts the answers of several tries of a call with ``m`` rows together.

    Attributes:
        left: the rows that are not answered yet, which the next try asks for.
        lost: rows that the last try sent for nothing.
    """

    def __init__(self, m: int) -> None:
        self.left, self.lost = list(range(m)), 0
        self._got: list[tuple[list[int], Any]] = []
        self._doubtful: set[int] = set()

    def failed(self, error: BaseException) -> bool:
        """Take from a failed try what it got; False where nothing is known of any try."""
        part, self.lost = part_of(error), sent_of(error, len(self.left))
        if part is None:
            self._doubtful.update(self.left if self._got else ())
            return bool(self._got)
        self._doubtful.update(self.left[i] for i in part.doubtful)
        if part.rows:
            self._got.append(([self.left[i] for i in part.rows], part.answer))
            answered = set(part.rows)
            self.left = [row for i, row in enumerate(self.left) if i not in answered]
            self.lost -= len(part.rows)
        return True

    def part(self) -> Part:
        """What all tries together got, as of one call."""
        rows = sorted(row for some, _ in self._got for row in some)
        answer = self._joined() if rows else None
        return Part(rows, answer, sorted(self._doubtful.difference(rows)), len(rows) + self.lost)

    def whole(self, answer: Any) -> Any:
        """The answer to all rows, with that to the rows left."""
        self._got.append((self.left, answer))
        return self._joined()

    def _joined(self) -> Any:
        order = torch.tensor([row for some, _ in self._got for row in some]).argsort()
        answers = [answer for _, answer in self._got]
        if isinstance(answers[0], Answer):
            return _cat(answers, order)
        return torch.cat([torch.as_tensor(a) for a in answers])[order]


def _cat(answers: list[Answer], order: Tensor) -> Answer:
    """Answers one below the other; in some all rows may have been rejected, which have no scores then."""
    width = next((a.scores.shape[1:] for a in answers if a.scores is not None), None)
    masks = [torch.zeros(len(a.label), dtype=torch.bool) if a.rejected is None else a.rejected.cpu() for a in answers]
    scores = [torch.full((len(a.label), *width), torch.nan) if a.scores is None else a.scores for a in answers] if width else None
    return Answer(
        torch.cat([a.label for a in answers])[order],
        None if scores is None else torch.cat(scores)[order],
        None if all(a.rejected is None for a in answers) else torch.cat(masks)[order],
    )
