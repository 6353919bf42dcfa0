"""`Ranking`: push an item out of the first k that a search finds, or into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.goals import excerpt
from blackbox.goals.base import Goal, GoalError, Setting, labelled
from blackbox.goals.twins import column, output
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access


class Ranking(Goal):
    """An item is no longer among the first ``k`` of a list that is retrieved for an input, or it is now.

    An answer is a list of ids (whole numbers or words), the best first; a score for each item, as floats [n] (its id is its place) or
    ``{id: score}``; or a list of the best with their scores, pairs ``(id, score)`` or dicts with ``id`` and ``score``. An empty list is an
    answer: nothing found. Of a plain list of numbers, floats are scores and whole numbers are ids, unless ``scores`` says what they are.

    Args:
        displace: the id of an item that is to leave the first k; for all samples or [N].
        push: the id of one that is to come among them. One of the two is given.
        k: how many are the first.
        scores: of a plain list of numbers, True: each is a score, and its place the id; False: each is an id.

    With scores the loss is the k-th best other score less the item's, or the reverse; an item that a list leaves out has the lowest score
    listed. Of ids alone it is by how many places the item is short of the goal, as a part of the list. A tie reaches nothing.

    Raises:
        ValueError: both or none of displace and push, or a k below 1.
    """

    needs = Access.ANSWERS

    def __init__(self, *, displace: Any = None, push: Any = None, k: int = 10, scores: bool | None = None) -> None:
        if (displace is None) == (push is None):
            raise ValueError("Expected either an item to displace or one to push, but there were both or none.")
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"Expected k to be a whole number of at least 1, but it was {k!r}.")
        if scores not in (None, True, False):
            raise ValueError(f"Expected scores to be True, False or None, but it was {scores!r}.")
        self.displace, self.push, self.k = displace, push, int(k)
        self.scores = scores
        self._items: list[str] = []

    def bind(self, setting: Setting) -> None:
        what, given = ("the item to push", self.push) if self.displace is None else ("the item to displace", self.displace)
        self._items = list(map(str, labelled(given, what, setting.samples)))

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        judged = [self._one(answer, self._items[i], row) for row, (answer, i) in enumerate(zip(reply.answers or (), who, strict=True))]
        return np.array([loss for loss, _ in judged]), np.array([reached for _, reached in judged], bool)

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The same of scores for all items, [m, n] or {id: [m]}; see `Goal.twin`."""
        if isinstance(out, Mapping):
            ids, scores = list(map(str, out)), torch.stack([column(out, str(key), self) for key in out], 1)
        else:
            scores = output(out, self, axes=1)
            ids = list(map(str, range(scores.shape[1])))
        items = [self._items[i] for i in who]
        if unknown := [item for item in items if item not in ids]:
            raise ValueError(f"Expected a net that scores item {unknown[0]} for the goal ({self}), but it scores {', '.join(ids[:12])}.")
        if len(ids) <= self.k:
            raise ValueError(f"Expected a net that scores more than k={self.k} items for the goal ({self}), but it scores {len(ids)}.")
        own = torch.tensor([[item == each for each in ids] for item in items], device=scores.device)
        item = scores.masked_fill(~own, -torch.inf).amax(1)
        loss = scores.masked_fill(own, -torch.inf).topk(self.k, dim=1).values[:, -1] - item
        return -loss if self.displace is None else loss

    def _one(self, answer: Any, item: str, row: int) -> tuple[float, bool]:
        ids, scores, whole = self._read(answer, row)
        if len(set(ids)) < len(ids):
            mend = "" if scores is not None or not all(each.lstrip("-").isdigit() for each in ids) else (
                " If these whole numbers are scores, one for each item, say so: Ranking(..., scores=True)."
            )  # fmt: skip
            said = f"Expected each item once in a list for the goal ({self}), but one was there twice: {answer!r:.80}.{mend}"
            raise GoalError(said, row)
        if whole and (item not in ids or len(ids) <= self.k):
            fault = f"item {item} is not one of these" if item not in ids else "it is always among the first"
            raise GoalError(f"Expected scores of more than k={self.k} items for the goal ({self}), but of {len(ids)} {fault}.", row)
        sign = -1 if self.displace is None else 1
        if scores is None:
            place = ids.index(item) if item in ids else max(len(ids), self.k)
            out = place >= self.k
            return sign * (place + 0.5 - self.k) / max(len(ids), 1), out if sign > 0 else not out
        lowest = float(scores.min()) if len(scores) else 0.0
        others = -np.sort(-scores[[each != item for each in ids]])
        kth = float(others[self.k - 1]) if len(others) >= self.k else lowest  # on a short list it is from there that it falls out
        loss = sign * (kth - (float(scores[ids.index(item)]) if item in ids else lowest))
        if item not in ids or len(others) < self.k:
            return loss, (sign > 0) is (item not in ids)
        return loss, loss > 0

    def _read(self, answer: Any, row: int) -> tuple[list[str], np.ndarray | None, bool]:
        """The ids of an answer, their scores, if it has any, and whether these are all items."""
        try:
            if isinstance(answer, Mapping):
                return self._scored(list(answer), list(answer.values()), row, True)
            every = answer.tolist() if isinstance(answer, np.ndarray) else list(answer)
            plain_numbers = bool(every) and all(isinstance(each, int | float) for each in every)
            if plain_numbers and (self.scores or (self.scores is None and all(isinstance(each, float) for each in every))):
                return self._scored(list(range(len(every))), every, row, True)
            if every and all(isinstance(each, Mapping) for each in every):
                return self._scored([each["id"] for each in every], [each["score"] for each in every], row, False)
            if every and all(isinstance(each, list | tuple) and len(each) == 2 for each in every):
                return self._scored([each[0] for each in every], [each[1] for each in every], row, False)
            if plain_numbers and self.scores is False and all(float(each).is_integer() for each in every):
                return list(map(str, map(int, every))), None, False
            if not isinstance(answer, str) and all(isinstance(each, int | str) for each in every):
                return list(map(str, every)), None, False
        except GoalError:
            raise
        except (KeyError, TypeError, ValueError):
            pass
        raise GoalError(
            f"Expected a list of ids, a score for each item, or pairs of both, for the goal ({self}), but it was {answer!r:.80}.", row
        )

    def _scored(self, ids: list[Any], scores: list[Any], row: int, whole: bool) -> tuple[list[str], np.ndarray, bool]:
        values = np.array([float(each) for each in scores])
        if np.isnan(values).any():
            raise GoalError(f"Expected numbers as scores for the goal ({self}), but one was NaN.", row)
        return list(map(str, ids)), values, whole

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        answers: Any = reply.answers
        ids, scores, _ = self._read(answers[row], row)
        if scores is not None:
            ids = [ids[i] for i in np.argsort(-scores, kind="stable")]
        item = self._items[sample]
        place = f"item {item} in place {ids.index(item) + 1}" if item in ids else f"item {item} not listed"
        return excerpt.text(f"{place}; first {', '.join(ids[: excerpt.SHOWN])}")

    def unreached(self) -> str:
        return f"the item is {'not ' if self.displace is None else ''}among the first {self.k}"

    def describe(self) -> str:
        given = self.push if self.displace is None else self.displace
        item = f"item {given}" if isinstance(given, int | str) else "the item given for each image"
        return f"{item} is {'among' if self.displace is None else 'no longer among'} the first {self.k}"
