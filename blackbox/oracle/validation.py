"""`Validation`: checks a target's answers, and reduces them to what the access level shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.oracle.reply import Reply
from blackbox.protocol import Access
from blackbox.targets.answer import Answer, recognise


class TargetError(RuntimeError):
    """The target raised an error, or its answer is invalid.

    row: the row of the call that caused it, if there is one.
    result: what had been reached and paid for until then (set by `blackbox.attack`).
    """

    row: int | None = None
    result: Any = None


@dataclass
class Validation:
    """Turns what a target returns into a `Reply`, or raises an error that says why it is invalid.

    Attributes:
        name: of the target.
        access: the most that is shown.
        classes: C.
        k: how many classes a top-k reply lists.
        decimals: shown scores are rounded to them.
        returns: what the target returns; None until the first answer shows it.
        announced: whether ``returns`` was given beforehand.
    """

    name: str
    access: Access
    classes: int
    k: int
    decimals: int | None
    returns: str | None

    def __post_init__(self) -> None:
        self.announced = self.returns is not None

    def reply(self, out: Any, m: int) -> Reply:
        """Turn the answer ``out`` to ``m`` rows into what is shown of it.

        Raises:
            TargetError: the answer is invalid: a wrong number of rows or classes, scores that are not finite, no
                probabilities where there should be some, or less than the access level shows.
        """
        named = None
        if isinstance(out, Answer):
            named, out = out.label, out.scores
        out = self._as_tensor(out)
        if self.returns is None:
            self.returns = recognise(out)
        if self.returns == "labels":
            return self._labels(out, m)
        if out.shape != (m, self.classes):
            raise self._wrong_shape(f"({m}, {self.classes}), a score for each class", out, m)
        values = out.to(torch.float32)
        shown = values.numpy(force=True)  # for a few rows numpy is much faster than torch
        self._check_finite(shown)
        if self.returns == "probabilities":
            self._check_probabilities(shown)
        label = torch.from_numpy(shown.argmax(1)).to(values.device) if named is None else named
        if self.access is Access.LABELS:
            return Reply(self.access, label, None, None, self.classes)
        if self.access is Access.LOGITS:
            if self.returns != "logits":
                raise TargetError(
                    f"The target {self.name} returns {self.returns}, but the oracle was asked to show logits. "
                    "Use access='scores'."
                )
            return Reply(self.access, label, self._rounded(values), None, self.classes)
        if self.returns == "logits":
            values = values.softmax(1)
        if self.access is Access.TOPK:
            values, classes = values.topk(self.k, dim=1)
            return Reply(self.access, label, self._rounded(values), classes, self.classes)
        return Reply(self.access, label, self._rounded(values), None, self.classes)

    def _as_tensor(self, out: Any) -> Tensor:
        if isinstance(out, Tensor):
            return out
        try:
            return torch.from_numpy(np.ascontiguousarray(out))
        except (TypeError, ValueError) as error:
            raise TargetError(
                f"Expected the target {self.name} to return a tensor or array, but it returned {type(out).__name__}. "
                "Wrap it in a function that returns the scores alone."
            ) from error

    def _labels(self, out: Tensor, m: int) -> Reply:
        if self.access is not Access.LABELS:
            raise TargetError(
                f"The target {self.name} returns labels only, but the oracle was asked to show "
                f"{self.access.name.lower()}. Use Oracle(..., access='labels')."
            )
        if out.shape != (m,):
            raise self._wrong_shape(f"({m},), a label a row", out, m)
        label = out.to(torch.int64)
        if out.is_floating_point() and bool((label != out).any()):
            raise TargetError(
                f"Expected labels, whole numbers, from the target {self.name}, but it answered one number a row such as "
                f"{float(out[label != out][0]):g}. A target that shows scores gives one for each class."
            )
        if m and not (0 <= int(label.min()) and int(label.max()) < self.classes):
            raise TargetError(
                f"Expected labels from 0 to {self.classes - 1} (classes={self.classes}), but the target "
                f"{self.name} answered {int(label.max()) if int(label.min()) >= 0 else int(label.min())}."
            )
        return Reply(self.access, label, None, None, self.classes)

    def _check_probabilities(self, values: np.ndarray) -> None:
        """Check that values are probabilities: logits taken for them would silently give wrong losses."""
        low, high = float(values.min()), float(values.max())
        if not -1e-3 <= low <= high <= 1 + 1e-3:
            raise TargetError(
                f"Expected probabilities from the target {self.name}, as {'announced' if self.announced else 'before'}, but a call "
                f"with {len(values)} images got scores from {low:g} to {high:g}. Say what it gives: Oracle(..., returns='logits')."
            )

    def _check_finite(self, values: np.ndarray) -> None:
        """Check that each row's largest score is finite: -inf marks a masked class, but NaN and inf are errors."""
        top = np.maximum.reduce(values, 1)
        if math.isfinite(np.add.reduce(top)):  # one test for all rows
            return
        finite = np.isfinite(top)
        if finite.all():
            return
        row = int(finite.argmin())
        error = TargetError(
            f"Expected finite scores, but the target {self.name} answered {values[row].tolist()[:10]} "
            f"for row {row} of a call with {len(values)} images."
        )
        error.row = row
        raise error

    def _rounded(self, values: Tensor) -> Tensor:
        return values if self.decimals is None else values.round(decimals=self.decimals)

    def _wrong_shape(self, expected: str, out: Tensor, m: int) -> TargetError:
        came = f"but the target {self.name} returned shape {tuple(out.shape)}"
        if out.ndim and len(out) != m:
            return TargetError(f"Expected one answer for each of the {m} images of a call, {came}. It must not drop or merge rows.")
        count = out.shape[-1] if out.ndim == 2 else 1
        mend = "Wrap it in a function that gives a row of scores for each image, [m, classes], or labels alone, [m]."
        if count > 1 and count != self.classes:
            mend = f"If it has {count} classes, pass classes={count} (on the command line --classes {count})."
        return TargetError(f"Expected answers of shape {expected}, {came}. {mend}")


def raised(name: str, error: Exception, rows: int, answered: int) -> TargetError:
    """The error for a target that raised ``error`` on a call with ``rows`` images, with how to mend it where that is known.

    answered: queries before."""
    text = " ".join(str(error).split()).rstrip(".") + "."
    if "does not require grad" in text or "nference tensor" in text:
        text += (
            " The oracle lets no gradient pass: a target that takes gradients inside does so under "
            "torch.inference_mode(False) and torch.enable_grad(), of a clone of what it is given."
        )
    return TargetError(
        f"The target {name} raised {type(error).__name__} on a call with {rows} images, after {answered} answered queries: {text}"
    )
