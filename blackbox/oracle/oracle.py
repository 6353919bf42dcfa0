"""`Oracle`: the only place where a target is called. It shows what its access level allows and counts every query."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.channels.channel import Channel
from blackbox.checks import as_images, check_int
from blackbox.defences.adaptive import defences_of
from blackbox.defences.stateful import unwatched
from blackbox.oracle.announced import check_announced, told_form
from blackbox.oracle.asking import LockedOut
from blackbox.oracle.call_size import CallSize
from blackbox.oracle.calls import in_calls
from blackbox.oracle.journal import Journal, JournalError
from blackbox.oracle.reply import Reply
from blackbox.oracle.same import weights_of
from blackbox.oracle.validation import TargetError, Validation, raised
from blackbox.protocol import Access
from blackbox.targets.adapted import Adapted
from blackbox.targets.answer import sent_of
from blackbox.targets.batches import filled_up
from blackbox.targets.info import busy_of, flags_of, info_of, retried_of
from blackbox.targets.reading import Reading, check_returns
from blackbox.targets.target import Target, as_target

__all__ = ["Oracle", "Reply", "TargetError"]

UNCHARGED = ("verify", "check")
"""Purposes that are sent to the target without a charge to the run."""


class Oracle:
    """Wraps a target, counts the queries to it, and shows only what the access level allows.

    Args:
        model: a torch module, a callable on [m, \\*shape] floats in [0, 1], a fitted scikit-learn classifier, or a
            `blackbox.targets.Target`. Normalising and resizing belong to it, behind the oracle.
        access: ``"labels"``, ``"topk"``, ``"scores"`` (probabilities) or ``"logits"``: the most that is ever shown. ``"answers"``:
            anything with an entry a row (boxes, embeddings, text), which a goal reads (`blackbox.goals`); classes mean nothing then.
        classes: C, the number of classes; or their words in index order, for a target that answers in words.
        k: how many classes a ``"topk"`` answer lists; by default 5, or all where there are fewer.
        returns: what the model returns: ``"logits"``, ``"probabilities"``, ``"percent"``, ``"labels"``, or ``"auto"``: decided
            once, by the first answer (see `reading` and `blackbox.targets.reading`). One number a row for two classes has to be
            said: it is the probability, or the logit, of class 1.
        device: where the target runs; by default where its parameters are.
        max_rows: the most rows of a call.
        rows_per_call: a fixed number of rows a call instead of the one that the oracle finds by itself; makes runs on a
            target that is not row-exact reproducible to the last bit.
        probe: the smallest change of an input entry that the target can see (1/255 for 8-bit input).
        decimals: the number of decimals to which scores are rounded before they are shown.
        noise: standard deviation of a score that is shown.
        randomised: the same image may get different answers. By default, probe, noise and randomised are those that the
            target announces (as the channels of `blackbox.targets` do). name: of the target in reports; by default its own.

    Raises:
        ValueError: an invalid setting, or classes or k other than the target announces. AccessError: it shows less.

    Attributes:
        rows: queries charged.
        counts: queries by purpose ("verify" and "check", whether a resumed run has the same target, are not charged).
        failed, filled: rows of calls that raised or whose answer was refused; copies that filled up calls of a fixed size.
        calls, sizes: calls made, by their number of rows.
        seconds: time inside the target.
        replayed, cached: queries by purpose that a journal answered from an earlier run, or from this one. Not charged.
        max_rows: the most rows that the target takes at once, if it announces it.

    A torch target is put in eval mode and called under inference mode: no gradient passes through, and no public attribute
    gives access to it.
    """

    def __init__(
        self,
        model: Any,
        access: str | Access = "scores",
        classes: int | Sequence[str] = 10,
        *,
        k: int | None = None,
        returns: str = "auto",
        device: torch.device | str | None = None,
        max_rows: int = 1024,
        rows_per_call: int | None = None,
        probe: float | None = None,
        decimals: int | None = None,
        noise: float | None = None,
        randomised: bool | None = None,
        name: str | None = None,
    ) -> None:
        self.access = Access.parse(access)
        self.class_names = tuple(map(str, classes)) if isinstance(classes, (list, tuple)) else None
        self.classes = check_int(classes if self.class_names is None else len(self.class_names), "classes", 2)
        self.k = min(5, self.classes) if k is None else check_int(k, "k")
        self._check_settings(returns, probe, decimals, noise)
        max_rows = check_int(max_rows, "max_rows", 1)
        rows_per_call = None if rows_per_call is None else check_int(rows_per_call, "rows_per_call", 1)
        self.decimals = decimals
        target = told_form(as_target(model, device, any_form=self.access is Access.ANSWERS), self.access is Access.ANSWERS)
        worded = self.class_names is not None and self.access is not Access.ANSWERS and not isinstance(target, Channel)
        self.__target: Target = Adapted(target, class_names=self.class_names) if worded else target
        self.device = self.__target.device
        behind = info_of(self.__target)
        self.__info = info = replace(behind, name=name or behind.name)
        check_announced(info, self.access, self.classes, self.k, returns)
        self.probe = info.probe if probe is None else float(probe)
        self.noise = info.noise if noise is None else float(noise)
        self.randomised = info.randomised if randomised is None else bool(randomised)
        said = Reading.said(returns, "as given by returns=") if returns != "auto" else None
        if said is None and info.returns is not None:
            said = Reading.said(info.returns, f"announced by {info.name}")
        self.__validation = Validation(info.name, self.access, self.classes, self.k, decimals, said, self.class_names)
        self.max_rows = info.max_rows  # of one request, which is answered as a whole or not at all
        self.__size = CallSize(min(max_rows, self.max_rows or max_rows))
        self.__fixed = None if rows_per_call is None else min(rows_per_call, self.max_rows or rows_per_call)
        self.__journal: Journal | None = None
        self.__lock = threading.Lock()
        self.counts, self.sizes = Counter[str](), Counter[int]()
        self.replayed, self.cached = Counter[str](), Counter[str]()
        self.failed, self.filled, self.seconds = 0, 0, 0.0

    def _check_settings(self, returns: str, probe: float | None, decimals: int | None, noise: float | None) -> None:
        if self.access is Access.TOPK and not 1 <= self.k <= self.classes:
            raise ValueError(f"Expected k between 1 and {self.classes} (the number of classes), but it was {self.k}.")
        check_returns(returns)
        if probe is not None and not 0 <= probe < 1:
            raise ValueError(f"Expected probe in [0, 1), in units of the image range, but it was {probe}.")
        if decimals is not None and decimals < 1:
            raise ValueError(f"Expected decimals to be at least 1, but it was {decimals}; use access='labels' to hide scores.")
        if noise is not None and not (math.isfinite(noise) and noise >= 0):
            raise ValueError(f"Expected noise to be a standard deviation, at least 0, but it was {noise}.")

    @property
    def rows(self) -> int:
        """Queries charged so far: rows the target has answered for any purpose, except uncharged checks."""
        return sum(count for purpose, count in self.counts.items() if purpose not in UNCHARGED)

    @property
    def spent(self) -> int:
        """The same with the queries that a journal answered, which were charged in an earlier run."""
        return self.rows + sum(n for purpose, n in self.replayed.items() if purpose not in UNCHARGED)

    @property
    def calls(self) -> int:
        """Calls of the target, uncharged checks included."""
        return sum(self.sizes.values())

    @property
    def reading(self) -> Reading | None:
        """How the target's answers are read, and why; None before the first answer, where that decides it. Its ``returns`` is
        "logits", "probabilities", "percent" or "labels", and its text says all: "percent (recognised: ...)"."""
        return getattr(self.__target, "reading", None) or self.__validation.reader.reading

    @property
    def returns(self) -> str | None:
        """What the target returns, as its answers are read; None before the first answer, where that decides it."""
        return None if self.reading is None else self.reading.returns

    @property
    def rounding(self) -> float:
        """The step to which shown scores are rounded; 0 when they are not rounded."""
        return max(0.0 if self.decimals is None else 10.0**-self.decimals, self.__info.resolution)

    @property
    def precision(self) -> float:
        """The step of the target's scores relative to their size, where it is coarse (half precision), else 0."""
        return self.__info.precision

    @property
    def resolution(self) -> float:
        """The step of a loss that the target shows: that of rounded scores, or that of half precision; 0 when there is none."""
        return max(self.rounding, self.precision)

    @property
    def flags(self) -> np.ndarray | None:
        """Which of the queries answered so far a stateful detector flagged as an attack, [rows] bool; None without one."""
        return flags_of(self.__target)

    @property
    def retried(self) -> int:
        """Rows of calls that failed and were repeated (`blackbox.targets.Retrying`); each is charged once."""
        return retried_of(self.__target)

    @property
    def told_busy(self) -> tuple[int, float | None]:
        """Those of them that a service was too busy for, and the requests a second at which it was not."""
        return busy_of(self.__target)

    @property
    def defences(self) -> list[str]:
        """The defences before the target for which an adaptive attacker is known, by class, the outermost first."""
        return defences_of(self.__target)

    def unwatched(self) -> contextlib.AbstractContextManager[None]:
        """In this context stateful detectors neither flag nor remember what the target's owner asks (`UNCHARGED` purposes)."""
        return unwatched(self.__target)

    @contextlib.contextmanager
    def journalled(self, journal: Journal) -> Iterator[None]:
        """In this context every answer of the target goes through ``journal``, behind all channels; it is closed at the end.

        What the journal answers is not charged; it is counted in ``replayed`` and ``cached``.
        """
        whole = self.__target
        channel = whole if isinstance(whole, Channel) else None
        with contextlib.closing(journal), channel.innermost_as(journal.around) if channel else contextlib.nullcontext():
            self.__target, self.__journal = channel or journal.around(whole), journal
            own = self.randomised and not self.__info.randomised  # as the user says of the target itself
            journal.chance, journal.any_form = own, self.access is Access.ANSWERS
            try:
                yield
            finally:
                self.__target, self.__journal = whole, None

    @property
    def name(self) -> str:
        """The target's name for reports."""
        return self.__info.name

    def weights(self) -> str:
        """A hash of the target's weights, by which a resumed run recognises it; "" where it has none."""
        return weights_of(self.__target)

    def __repr__(self) -> str:
        return f"Oracle({self.name}, access={self.access.name.lower()}, classes={self.classes}, rows={self.rows})"

    def __call__(self, x: Tensor | np.ndarray, purpose: str = "user") -> Reply:
        """Evaluate images [m, \\*shape] in [0, 1]; each row is one query, charged under ``purpose``.

        Raises:
            ValueError: the images are not floats in [0, 1] (says which).
            TargetError: the target raised or gave a wrong answer; ``error.result`` is the Reply to the rows before, or None.
        """
        return in_calls(self, as_images(x, "x"), purpose)

    def next_rows(self, waiting: int) -> int:
        """How many of ``waiting`` rows the next call should have; found from the timing of earlier calls."""
        return self.__size.next(waiting) if self.__fixed is None else min(self.__fixed, waiting)

    def submit(self, x: Tensor, purpose: str) -> Reply:
        """Make one call with float32 rows [m, \\*shape] already checked. Its rows are charged when the answer is there; rows of
        a failed call are counted separately, in ``failed``. A journal's answers are not charged."""
        m, journal, filled = x.shape[0], self.__journal, filled_up()
        if journal is not None:
            journal.begin(purpose)
            replayed, cached, checked = journal.replayed[purpose], journal.cached[purpose], journal.checked
        try:
            begin = time.perf_counter()
            try:
                with self.unwatched() if purpose in UNCHARGED else contextlib.nullcontext():
                    out = self.__target.predict(x)
            except (JournalError, LockedOut):
                raise
            except (Exception, SystemExit) as error:
                raise raised(self.name, error, m, self.rows, self.sizes.keys()) from error
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)  # or the clock would stop before the target has answered
            seconds = time.perf_counter() - begin
            paid = m if journal is None else journal.asked
            try:
                reply = self.__validation.reply(out, m)
            except TargetError as error:
                if journal is not None:
                    journal.withdraw(error.row)
                raise
        except BaseException as error:
            self.failed += 0 if isinstance(error, LockedOut) else sent_of(error, m if journal is None else journal.asked)
            raise
        finally:
            self.filled += filled_up() - filled
        with self.__lock:
            self.counts[purpose] += paid
            self.seconds += seconds
            if paid:
                self.sizes[paid] += 1
            if paid == m:
                self.__size.tell(m, seconds)
            if journal is not None:
                self.replayed[purpose] += journal.replayed[purpose] - replayed
                self.cached[purpose] += journal.cached[purpose] - cached
                self.counts["check"] += journal.checked - checked
        return reply
