"""`Validation`: checks a target's answers, and reduces them to what the access level shows."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_tensor
from blackbox.oracle.any_form import AnyForm
from blackbox.oracle.reply import Reply
from blackbox.plain_text import exit_said
from blackbox.protocol import Access
from blackbox.targets.answer import Answer
from blackbox.targets.reading import Reader, Reading
from blackbox.targets.rejections import split
from blackbox.targets.words import as_numbers, check_names, in_words


class TargetError(RuntimeError):
    """The target raised an error, or its answer is invalid.

    row: the row of the call that caused it, if there is one.
    result: what had been reached and paid for until then (set by `blackbox.attack`).
    """

    row: int | None = None
    result: Any = None


_NO_STATUS = (
    " If it means that it rejected the query, it has to say so: blackbox.targets.Answer(labels, scores, rejected=mask), or a dict "
    "of the same."
)


def _no_status(row: np.ndarray) -> str:
    """A row with nothing in it may be a rejection, which has to be said."""
    return _NO_STATUS if np.isnan(row).all() else ""


class Validation:
    """Turns what a target returns into a `Reply`, or raises an error that says why it is invalid.

    Args:
        name: of the target.
        access: the most that is shown.
        classes: C.
        k: how many classes a top-k reply lists.
        decimals: shown scores are rounded to them.
        reading: how answers are read; None to decide it by the first one.
        names: the class words, if the target may answer in words.
    """

    def __init__(
        self,
        name: str,
        access: Access,
        classes: int,
        k: int,
        decimals: int | None,
        reading: Reading | None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.name, self.access, self.classes, self.k, self.decimals, self.names = name, access, classes, k, decimals, names
        check_names(names or ())
        if access is Access.ANSWERS and decimals is not None:
            raise ValueError("Expected no decimals with answers of any form, which are not rounded, but there were. Let the target round.")
        self.reader = Reader(name, reading)
        self._rows = AnyForm(name)

    def reply(self, out: Any, m: int) -> Reply:
        """Turn the answer ``out`` to ``m`` rows into what is shown of it.

        Raises:
            TargetError: the answer is invalid: a wrong number of rows or classes, scores that are not finite, no
                probabilities where there should be some, or less than the access level shows.
        """
        if self.access is Access.ANSWERS:
            try:
                rows, rejected = self._rows.read(out, m)
            except ValueError as error:
                raise self._of_row(str(error), getattr(error, "row", None)) from None
            return Reply(self.access, torch.full((m,), -1), None, None, self.classes, rejected, rows)
        if isinstance(out, Tensor):
            return self._answered(out, m)
        try:
            out, rejected = split(out)
        except ValueError as error:
            raise TargetError(f"{error} So it was with the target {self.name}.") from error
        if rejected is None:
            return self._answered(out, m)
        if len(rejected) != m:
            raise TargetError(
                f"Expected the target {self.name} to say of each of the {m} images of a call whether it rejected it, but it did of "
                f"{len(rejected)}."
            )
        kept = (~rejected).nonzero()[:, 0].tolist()
        try:
            answered = self._answered(out, len(kept)) if kept else None
        except TargetError as error:
            error.row = None if error.row is None else kept[error.row]
            raise
        return Reply.around(answered, rejected, self.access, self.classes, self.k)

    def _answered(self, out: Any, m: int) -> Reply:
        """The reply to ``m`` rows none of which was rejected."""
        named = None
        if isinstance(out, Answer):
            named, out = out.label, out.scores
        if not isinstance(out, Tensor):
            out = self._as_tensor(out, m)
        if out.is_complex():
            raise TargetError(
                f"Expected real scores from the target {self.name}, but they were complex. Say which part is meant: .real or .abs()."
            )
        fits = out.shape == (m, self.classes)
        if not fits:
            out = self._shaped(out, m)
            fits = out.shape == (m, self.classes)
        reading = self.reader.reading or self.reader.decide(out)
        if reading.returns == "labels":
            return self._labels(out, m)
        if not fits:
            raise self._wrong_shape(f"({m}, {self.classes}), a score for each class", out, m)
        values = reading.unscaled(out)
        shown = values.numpy(force=True)  # for a few rows numpy is much faster than torch
        self._check_finite(shown, named is None)
        try:
            self.reader.check(shown, m)
        except ValueError as error:
            raise TargetError(str(error)) from None
        label = torch.from_numpy(shown.argmax(1)).to(values.device) if named is None else named
        if self.access is Access.LABELS:
            return Reply(self.access, label, None, None, self.classes)
        if self.access is Access.LOGITS:
            if reading.returns != "logits":
                raise TargetError(
                    f"The target {self.name} returns {reading.returns}, but the oracle was asked to show logits. "
                    "Use access='scores'."
                )
            return Reply(self.access, label, self._rounded(values), None, self.classes)
        if not reading.probable:
            values = values.softmax(1)
        if self.access is Access.TOPK:
            values, classes = values.topk(self.k, dim=1)
            return Reply(self.access, label, self._rounded(values), classes, self.classes)
        return Reply(self.access, label, self._rounded(values), None, self.classes)

    def _as_tensor(self, out: Any, m: int) -> Tensor:
        if isinstance(out, tuple) and any(isinstance(v, (Tensor, np.ndarray)) and v.ndim for v in out):
            shapes = ", ".join(str(tuple(v.shape)) if isinstance(v, (Tensor, np.ndarray)) else type(v).__name__ for v in out)
            raise TargetError(
                f"Expected the target {self.name} to return one tensor or array, but it returned a tuple of {len(out)}: {shapes}. "
                "Take the one with the scores: lambda x: model(x)[0]."
            )
        try:
            if in_words(out):
                return as_numbers(out, m, self.names, self.name, self.classes)
            return as_tensor(out, "the answer")
        except ValueError as error:
            if isinstance(out, (list, np.ndarray, Mapping)) or in_words(out):
                said = str(error).replace("the answer", f"the answer of {self.name}")
                raise self._of_row(said, getattr(error, "row", None)) from error
            raise TargetError(
                f"Expected the target {self.name} to return a tensor or array, but it returned {type(out).__name__}. "
                "Wrap it in a function that returns the scores alone."
            ) from error

    def _shaped(self, out: Tensor, m: int) -> Tensor:
        """An answer without its row axis, with one column of labels, or with one number a row for two classes, as it is meant."""
        if m == 1 and out.shape in ((), (self.classes,)):
            return out[None]
        whole = not out.is_floating_point()
        if out.shape == (m, 1) and (whole or self.reader.said == "labels"):
            return out[:, 0]
        if self.classes == 2 and out.shape in ((m,), (m, 1)) and (said := self.reader.said) not in (None, "labels"):
            one = out.reshape(m).to(torch.float64)
            top = {"logits": 0.0, "probabilities": 1.0, "percent": 100.0}[str(said)]
            return torch.stack([top - one if top else torch.zeros_like(one), one], 1)
        return out

    def _labels(self, out: Tensor, m: int) -> Reply:
        if out.shape == (m,) and self.access is not Access.LABELS:
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
                + (_NO_STATUS if int(label.min()) == -1 else "")
            )
        return Reply(self.access, label, None, None, self.classes)

    def _check_finite(self, values: np.ndarray, alone: bool) -> None:
        """Check that each row's largest score is finite: -inf marks a masked class, but NaN and inf are errors.

        ``alone``: no label comes beside the scores, so that they must show one."""
        top = np.maximum.reduce(values, 1)
        if math.isfinite(np.add.reduce(top)):  # one test for all rows
            if alone and len(top) and (said := self.reader.nothing(values, top)):
                raise self._of_row(said, int(top.argmin()))
            return
        finite = np.isfinite(top)
        if finite.all():
            return
        row = int(finite.argmin())
        raise self._of_row(
            f"Expected finite scores, but the target {self.name} answered {values[row].tolist()[:10]} "
            f"for row {row} of a call with {len(values)} images.{_no_status(values[row])}",
            row,
        )

    def _of_row(self, said: str, row: int | None) -> TargetError:
        error = TargetError(said)
        error.row = row
        return error

    def _rounded(self, values: Tensor) -> Tensor:
        return values if self.decimals is None else values.round(decimals=self.decimals)

    def _wrong_shape(self, expected: str, out: Tensor, m: int) -> TargetError:
        came = f"but the target {self.name} returned shape {tuple(out.shape)}"
        if out.ndim and len(out) != m:
            more = " If a squeeze() drops the row axis where there is one image, name the axis: squeeze(1)." if m == 1 else ""
            return TargetError(
                f"Expected one answer for each of the {m} images of a call, {came}. It must not drop or merge rows.{more}"
            )
        count = out.shape[-1] if out.ndim == 2 else 1
        mend = "Wrap it in a function that gives a row of scores for each image, [m, classes], or labels alone, [m]."
        if out.shape in ((m,), (m, 1)) and self.classes == 2:
            mend = (
                "One number a row for two classes: say what it is, returns='probabilities' (of class 1) or returns='logits', on the "
                "command line --returns. Or give both: p -> [1 - p, p]."
            )
        elif out.shape == (m, 1):
            mend = "If these are labels, drop the axis: [:, 0]. If it is one score, give one for each class."
        elif out.ndim > 2 and out.numel() == m * self.classes:
            mend = "Drop the axes of length one: .flatten(1)."
        elif count > 1 and count != self.classes:
            mend = (
                f"If it has {count} classes, pass classes={count} (on the command line --classes {count}, or --class-names FILE where "
                "folders are the classes)."
            )
        return TargetError(f"Expected answers of shape {expected}, {came}. {mend}")


def raised(name: str, error: BaseException, rows: int, answered: int, sizes: Collection[int] = ()) -> TargetError:
    """The error for a target that raised ``error`` on a call with ``rows`` images, with how to mend it where that is known.

    answered: queries before. sizes: the numbers of rows of the calls that were answered before."""
    if isinstance(error, SystemExit):
        return TargetError(
            f"The target {name} {exit_said(error)} on a call with {rows} images, after {answered} answered queries. A target that "
            "cannot answer raises an error; nothing in it may end the process."
        )
    text = " ".join(str(error).split()).rstrip(".") + "."
    if "does not require grad" in text or "nference tensor" in text:
        text += (
            " The oracle lets no gradient pass: a target that takes gradients inside does so under "
            "torch.inference_mode(False) and torch.enable_grad(), of a clone of what it is given."
        )
    own = text.startswith("Expected")  # a sentence of ours says already how to mend it
    if not own and len(sizes) == 1 and rows not in sizes and next(iter(sizes)) > 1:
        (size,) = sizes
        text += (
            f" It has answered calls with {size} images only. If it takes exactly that many, say so, and shorter calls are filled up: "
            f"blackbox.targets.FunctionTarget(model, batch={size}), ModuleTarget(model, batch={size}), on the command line --batch {size}."
        )
    made = TargetError(
        f"The target {name} raised {type(error).__name__} on a call with {rows} images, after {answered} answered queries: {text}"
    )
    row = getattr(error, "row", None)
    made.row = row if isinstance(row, int) else None
    return made
