"""`AnyOf` and `NoneOf`: sets of classes to reach, or to leave, among the first k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.goals import excerpt
from blackbox.goals.base import Goal, Setting
from blackbox.goals.twins import output
from blackbox.oracle.reply import Reply
from blackbox.protocol import Access
from blackbox.targets.rows import plain

_SMALLEST = np.float32(1e-30)


class _Classes(Goal):
    """Of a set of classes, whether some are among the first ``k``.

    Args:
        classes: numbers or words: one set for all samples, a list ``[3, 5]``, or one set for each, ``[N, j]`` numbers. An array of as many
            labels as samples would be either, and is refused.
        k: among how many first classes.
    """

    def __init__(self, classes: Any, k: int = 1) -> None:
        if isinstance(classes, str | int | np.integer):
            classes = [classes]
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"Expected k to be a whole number of at least 1, but it was {k!r}.")
        self.classes, self.k = classes, int(k)
        self.needs = Access.LABELS if k == 1 else Access.TOPK
        self._inside: np.ndarray = np.zeros((0, 0), bool)  # [N, C]
        self._names: tuple[str, ...] = ()
        self._least = _SMALLEST  # a probability's, before its logarithm is taken

    def name_classes(self, names: Sequence[str]) -> None:
        """What reports call the classes where the oracle has no words for them."""
        self._names = tuple(map(str, names))

    def bind(self, setting: Setting) -> None:
        self._least = max(np.float32(setting.resolution / 2), _SMALLEST)
        self._names = tuple(map(str, setting.names or self._names))
        numbers = _numbers(self.classes, setting)
        rows = numbers if numbers.ndim == 2 else numbers[None]
        repeats = len(set(numbers.flat)) < numbers.size
        if numbers.ndim == 1 and len(numbers) == setting.samples > 1 and (repeats or hasattr(self.classes, "dtype")):
            raise ValueError(
                f"Expected one set of classes for all samples, or one for each, but there were {len(numbers)} classes in a row, as many as "
                "samples. One for each: give them an axis, classes[:, None]. One set for all: give a list without repeats."
            )
        inside = np.zeros((len(rows), setting.classes), bool)
        np.put_along_axis(inside, rows, True, 1)
        if len(inside) not in (1, setting.samples):
            raise ValueError(
                f"Expected one set of classes for all {setting.samples} samples or one for each, but there were {len(inside)}."
            )
        self._inside = np.broadcast_to(inside, (setting.samples, setting.classes))
        if setting.access is Access.TOPK and self.k > setting.listed:
            raise ValueError(
                f"Expected k of at most {setting.listed}, the classes that an answer lists, but it was {self.k}. Let it list more: "
                f"Oracle(..., k={self.k})."
            )
        most = int(self._inside.sum(1).max())
        if most + self.k > setting.classes:
            raise ValueError(
                f"Expected at least k={self.k} classes outside the set, but {most} of the {setting.classes} classes are in it. "
                "Give fewer classes or a smaller k."
            )

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss and success of having some of the classes among the first k; see `Goal.judge`."""
        inside, at = self._inside[who], np.arange(len(who))
        if reply.values is None:
            held = inside[at, reply.label.numpy(force=True)]
            return np.where(held, np.float32(1), np.float32(-1)), held
        values = _logits(reply, self._least)
        own = np.where(inside, values, -np.inf).max(1)
        kth = -np.partition(-np.where(inside, -np.inf, values), self.k - 1, axis=1)[:, self.k - 1]
        loss = own - kth
        if self.k == 1:  # a label may stand apart from the scores
            return loss, inside[at, reply.label.numpy(force=True)]
        if reply.access is Access.TOPK:  # so may the list, where classes have the same score
            assert reply.classes is not None
            return loss, np.logical_or.reduce(np.take_along_axis(inside, reply.classes.numpy(force=True)[:, : self.k], 1), 1)
        return loss, loss > 0

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        """The same of logits [m, C]; see `Goal.twin`."""
        inside = torch.from_numpy(self._inside[who])
        values = output(out, self, axes=1, length=inside.shape[1])
        inside = inside.to(values.device)
        own = values.masked_fill(~inside, -torch.inf).amax(1)
        return own - values.masked_fill(inside, -torch.inf).topk(self.k, dim=1).values[:, -1]

    def excerpt(self, reply: Reply, row: int, sample: int) -> dict[str, Any]:
        return excerpt.classes(reply, row, self._names, self.k)

    def _told(self, which: str, one: str) -> str:
        """``none of the classes 3, 5 is the first``; of a single class ``one`` instead, ``class 3 is not the first``."""
        some = np.asarray(self.classes)
        each = some.ndim == 2
        where = "the first" if self.k == 1 else f"among the first {self.k}"
        named = [self._names[c] if self._names and some.dtype.kind in "iu" else str(c) for c in some.flat[:20].tolist()]
        if some.shape[-1] == 1:
            return f"{'the class given for each input' if each else f'class {named[0]}'} {one} {where}"
        more = f" and {len(some) - 20} more" if len(some) > 20 else ""
        return f"{which} of the classes {'given for each input' if each else ', '.join(named) + more} is {where}"


class AnyOf(_Classes):
    """Some class of a set is the first, or among the first k: any of these will do."""

    def describe(self) -> str:
        return self._told("one", "is")

    def unreached(self) -> str:
        return self._told("none", "is not")


class NoneOf(_Classes):
    """No class of a set is the first, or among the first k.

    ``NoneOf(y[:, None], k=5)`` drives the true class out of the first five; ``NoneOf(["drugs", "weapons"])`` gets past a filter.
    """

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss, held = super().judge(reply, who)
        return -loss, ~held if self.k == 1 or reply.access is Access.TOPK else -loss > 0

    def twin(self, out: Any, who: np.ndarray) -> Tensor:
        return -super().twin(out, who)

    def describe(self) -> str:
        return self._told("none", "is not")

    def unreached(self) -> str:
        return self._told("one", "is")


def _numbers(classes: Any, setting: Setting) -> np.ndarray:
    """Classes as numbers, [j] or [N, j].

    Raises:
        ValueError: no classes, or none that the target has.
    """
    try:
        array = np.asarray(plain(classes))
    except ValueError:
        raise ValueError(
            "Expected as many classes for each sample, [N, j], but the sets had different lengths. Fill short ones up: name a class twice."
        ) from None
    if array.dtype.kind in "US":
        names = list(map(str, setting.names or ()))
        if unknown := [str(word) for word in array.flat if str(word) not in names]:
            known = f"the classes {', '.join(names[:12])}" if names else "numbers, since the oracle knows no names of classes"
            mend = "" if names else " Name them: Oracle(..., classes=['cat', 'dog', ...])."
            raise ValueError(f"Expected {known}, but one was {unknown[0]!r}.{mend}")
        array = np.vectorize(names.index, otypes=[np.int64])(array)
    if array.ndim not in (1, 2) or not array.size or array.dtype.kind not in "iu":
        raise ValueError(
            f"Expected classes as numbers or words, [j] for all samples or [N, j], but they were {array.dtype} of shape {array.shape}."
        )
    if array.min() < 0 or array.max() >= setting.classes:
        wrong = int(array.min()) if array.min() < 0 else int(array.max())
        raise ValueError(f"Expected classes from 0 to {setting.classes - 1}, but one was {wrong}.")
    return array.astype(np.int64)


def _logits(reply: Reply, least: np.float32) -> np.ndarray:
    """The scores [m, C] as logits: probabilities by their logarithms; classes that a top-k answer does not list share the rest."""
    if reply.access is Access.LOGITS:
        assert reply.values is not None
        return reply.values.numpy(force=True).astype(np.float32)
    p = reply.probabilities().numpy(force=True).astype(np.float32)
    if reply.access is Access.TOPK:  # an unlisted class has no more than the last that is listed
        assert reply.values is not None
        listed = np.zeros_like(p, dtype=bool)
        assert reply.classes is not None
        np.put_along_axis(listed, reply.classes.numpy(force=True), True, 1)
        p = np.where(listed, p, np.minimum(p, reply.values.numpy(force=True)[:, -1:]))
    logs: np.ndarray = np.log(np.maximum(p, least))
    return logs
