"""`Stateful`: what detectors have in common that remember queries, one memory for each account of the client."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.channels.channel import Channel
from blackbox.checks import check_int
from blackbox.statistics import Detection
from blackbox.targets.answer import Answer
from blackbox.targets.rejections import as_answer, rejecting
from blackbox.targets.rows import rows_of


@contextlib.contextmanager
def unwatched(target: Any) -> Iterator[None]:
    """In this context the detectors before a target neither flag nor remember: for what its owner asks, not an attacker."""
    found = []
    while target is not None:
        if isinstance(target, Stateful) and target.watching:
            found.append(target)
        target = getattr(target, "inner", None)
    for each in found:
        each.watching = False
    try:
        yield
    finally:
        for each in found:
            each.watching = True


class Stateful(Channel):
    """Remembers queries, flags those that resemble earlier ones, and acts on it. Subclasses say what resembles.

    Args:
        action: "answer" only flags; "replay" repeats for a flagged query the answer of the earlier one that it resembles most;
            "reject" gives it no answer (`blackbox.targets.rejections`). Either way the query counts, and an oracle charges it.
        accounts: that the client has. Queries go through them in turn, and each has a memory of its own.
        lock: flagged queries after which an account is locked; 0 for never.

    Where the last account is locked in the middle of a call, the rest of its rows is rejected; the next call ends the run.
    """

    ACTIONS: ClassVar[tuple[str, ...]] = ("answer", "reject")
    watching = True

    def __init__(self, model: Any, action: str = "answer", accounts: int = 1, lock: int = 0) -> None:
        super().__init__(model)
        if action not in self.ACTIONS:
            raise ValueError(f"Expected action to be one of {', '.join(self.ACTIONS)}, but it was {action!r}.")
        self.action, self.accounts = action, check_int(accounts, "accounts", 1, "a whole number of accounts")
        self.lock = check_int(lock, "lock", 0, "a whole number of flagged queries")
        self.reset()

    @abstractmethod
    def empty(self) -> Any:
        """The memory of a new account."""

    @abstractmethod
    def features(self, x: Tensor) -> Sequence[Any]:
        """What is remembered of each image of ``x`` [m, \\*shape]."""

    @abstractmethod
    def seen(self, memory: Any, feature: Any, number: int) -> int | None:
        """Remember query ``number``; if it is flagged, the number of the earlier query that it resembles most, else None."""

    def check(self, x: Tensor) -> None:
        """Refuse images ``x`` [m, \\*shape] that it could never flag, before they are asked about. Raises: ValueError."""

    def reset(self) -> None:
        """Forget every query, open every account, and restart the report."""
        self._memories = [self.empty() for _ in range(self.accounts)]
        self._against = [0] * self.accounts  # flagged queries of each account
        self._turn = 0
        self._flags = bytearray()
        self._answers: list[tuple[Tensor, Tensor | None]] = []
        self._rows: list[Any] = []  # the same of answers of any form

    @property
    def flags(self) -> np.ndarray:
        """Which of the queries answered since `reset` were flagged, [m] bool."""
        return np.frombuffer(bytes(self._flags), dtype=np.bool_)

    @property
    def locked(self) -> int:
        """How many accounts are locked."""
        return sum(n >= self.lock for n in self._against) if self.lock else 0

    def report(self) -> Detection:
        """How detectable the queries since `reset` were."""
        return Detection.of(self.flags)

    def predict(self, x: Tensor) -> Any:
        if not self.watching:
            return self.inner.predict(x)
        if self.locked == self.accounts:
            raise RuntimeError(
                f"Expected an account that is not locked, but {self} has locked all {self.accounts}, after {self.lock} flagged queries "
                f"each and {len(self._flags):,} queries in all. Attack with fewer flags, or give more accounts (accounts=) or a higher "
                "lock (lock=)."
            )
        self.check(x)
        out = self.inner.predict(x)  # first: a call that fails leaves no trace
        begin = len(self._flags)
        like: list[int | None] = []
        refused = np.zeros(len(x), np.bool_)
        for i, feature in enumerate(self.features(x)):
            account = self._next_account()
            if account is None:
                refused[i:] = True
                break
            like.append(self.seen(self._memories[account], feature, begin + i))
            self._flags.append(like[-1] is not None)
            self._against[account] += like[-1] is not None
        self._flags.extend(b"\1" * (len(x) - len(like)))
        if self.action == "reject":
            refused |= np.frombuffer(bytes(self._flags[begin:]), dtype=np.bool_)
        elif self.action == "replay":
            like += [None] * (len(x) - len(like))
            out = self._rows_replayed(out, like) if self.any_form else self._replayed(out, like)
        if self.any_form:
            return self._without(out, torch.from_numpy(refused))
        return rejecting(out, torch.from_numpy(refused).to(x.device)) if self.action == "reject" or refused.any() else out

    def _next_account(self) -> int | None:
        """The next one, in turn, that is not locked."""
        for step in range(self.accounts):
            account = (self._turn + step) % self.accounts
            if not self.lock or self._against[account] < self.lock:
                self._turn = account + 1
                return account
        return None

    def _without(self, out: Any, refused: Tensor) -> Any:
        """Answers of any form, without those refused here or further behind."""
        behind = isinstance(out, Answer) and out.rejected is not None
        if not behind and self.action != "reject" and not bool(refused.any()):
            return out
        refused = (refused | out.rejected.cpu()) if behind else refused
        return Answer(torch.full((len(refused),), -1), out.scores if isinstance(out, Answer) else out, refused)

    def _rows_replayed(self, out: Any, like: list[int | None]) -> Any:
        """Answers of any form, those to flagged queries replaced by earlier ones."""
        rows = rows_of(out.scores if isinstance(out, Answer) else out, len(like), str(self))
        for i, number in enumerate(like):
            rows[i] = rows[i] if number is None else self._rows[number]
            self._rows.append(rows[i])
        return Answer(out.label, rows, out.rejected) if isinstance(out, Answer) else rows  # type: ignore[arg-type]

    def _replayed(self, out: Any, like: list[int | None]) -> Any:
        """The answers, those to flagged queries replaced by earlier ones."""
        plain = as_answer(out)
        whole = rejecting(plain, torch.zeros(len(like), dtype=torch.bool))
        label, scores = whole.label.clone(), None if whole.scores is None else whole.scores.clone()
        earlier = (self._answers[n][1] for n in like if n is not None and n < len(self._answers))
        if scores is None and (row := next((row for row in earlier if row is not None), None)) is not None:
            scores = row.new_full((len(like), len(row)), torch.nan)  # the target itself rejected all of this call
        for i, number in enumerate(like):
            if number is not None:
                label[i], row = self._answers[number]
                if scores is not None and row is not None:
                    scores[i] = row
            self._answers.append((label[i].clone(), None if scores is None else scores[i].clone()))
        if all(number is None for number in like):
            return out
        if isinstance(plain, Answer) and plain.rejected is not None:  # by the target itself; its label is -1
            return Answer(label, scores, label == -1)
        return label if scores is None else Answer(label, scores)
