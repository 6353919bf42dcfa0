"""`Journal`: writes every paid answer to disk before the attack sees it, so that it is never paid for again.

For targets whose answers cost money or hours. A run is a function of its settings and the answers it gets, so the same
call with the same journal makes the same queries, gets the answers from disk, and continues where the killed run
stopped. The journal wraps the paid target directly, behind all channels: the channels run again on replay, with the same
draws.

A call is recorded twice: before it is made, and when it was answered, before anybody sees the answer. A process that dies
between the two may have been charged for that one call, and the client cannot tell. A target that takes ``keys`` closes
the gap (`blackbox.targets.TargetInfo`): each query has an idempotency key, the same in every attempt, and a known key is
answered again without charge. For any other target such queries are made again and counted as ``in_doubt``. A call that
failed may have got some of its answers (`blackbox.targets.answer.Part`): these are kept like any other.

A run that is taken up again first asks a few recorded queries once more, uncharged, and is refused if the target answers
otherwise: it is another one of the same name. Of a target that answers by chance this cannot be told.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.oracle.journal_file import JournalError, JournalFile, answer_of, arrays_of, row_prints, rows_at, versions
from blackbox.oracle.same import odd, refuses, same_answer, told
from blackbox.targets.answer import part_of, sent_of
from blackbox.targets.batches import filled_up
from blackbox.targets.info import info_of, retried_of
from blackbox.targets.target import Target, Wrapper

__all__ = ["Journal", "JournalError", "Journalled"]

CHECKED = 8
"""Recorded queries that are asked again, the last ones: there the answers of two models differ most."""
_THIS = -1  # stands for the current call
_Ref = tuple[int, int]  # (call, row in its answer)


class Journal:
    """The answers of one run, on disk.

    Args:
        path: the file; created if it does not exist.
        settings: what the run must agree with.
        cache: answer an image that this run has queried before from the journal, without querying the target. It still
            counts against a sample's budget (so results are those without a cache) but is not charged. Verification
            (``"verify"``) always queries the target.
        durable: wait for the disk itself at every call (fsync), against power cuts. Costs milliseconds a call.

    Attributes:
        replayed, cached: queries by purpose answered without the target.
        in_doubt: queries sent in runs that ended before their answer came, over the journal's life.
        asked: rows sent to the target in the last call.
        checked: recorded queries asked again, uncharged, to see whether the target is the same.
        chance: the target answers by chance, so that this cannot be told.
        any_form: answers may be of any form (`blackbox.targets.rows`).

    Raises:
        JournalError: not a journal, another version, other settings (says which, and both values), or in use elsewhere.
    """

    def __init__(
        self, path: str | os.PathLike[str], settings: dict[str, Any], *, cache: bool = False, durable: bool = False
    ) -> None:
        self.path, self.cache = Path(path), cache
        self.purpose = "user"
        self.replayed: Counter[str] = Counter()
        self.cached: Counter[str] = Counter()
        self.asked = 0
        self._queue: defaultdict[tuple[str, bytes], deque[_Ref]] = defaultdict(deque)
        self._known: dict[bytes, _Ref] = {}
        self._times: Counter[tuple[str, bytes]] = Counter()
        self._left, self._last, self.checked, self.chance, self.any_form = 0, 0, 0, False, False
        self._check: dict[tuple[str, bytes], _Ref] = {}  # recorded queries that are to be asked again
        self._again: list[tuple[Tensor, _Ref, str]] = []  # those of them that the run has come to: image, answer, key
        self._loose: set[int] = set()  # calls that failed, but for some of their rows
        self._shown: list[_Ref] = []
        self.file = JournalFile(self.path, {**settings, "cache": cache}, durable)
        self.in_doubt = self.file.in_doubt
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        """Queue the stored answers in the order in which they came."""
        for call, purpose, prints, refused, part in self.file.calls():
            if part:  # the rows between were not answered: a run of other call sizes asks for these out of turn
                self._loose.add(call)
            for row, each in enumerate(prints):
                if refused:  # with its old key a target would give the same answer again
                    self._times[purpose, each] += 1
                else:
                    self._queue[purpose, each].append((call, row))
                    self._left += purpose != "verify" and not part
                    if purpose != "verify":
                        self._check.pop((purpose, each), None)
                        self._check[purpose, each] = call, row
        self._check = dict(list(self._check.items())[-CHECKED:])

    @property
    def before(self) -> int:
        """Rows sent in earlier runs that are not in this one's counts: checks, failed, answers that it has not come to."""
        return self.file.uncharged + sum(map(len, self._queue.values()))

    def close(self) -> None:
        """Release the file. Everything is on disk already."""
        self.file.close()

    def around(self, target: Target) -> Journalled:
        """Wrap the target so that its answers are kept here."""
        return Journalled(target, self)

    def begin(self, purpose: str) -> None:
        """Set the purpose of the next call."""
        self.purpose, self.asked, self._last, self._shown = purpose, 0, 0, []

    def answer(self, target: Target, x: Tensor, keyed: bool = False) -> Any:
        """Answer images ``x`` [m, \\*shape] from disk where possible, else from ``target``, whose answers are stored first.

        Args:
            keyed: the target takes keys.

        Raises:
            JournalError: the queries are not those of the journalled run, or the disk cannot be written.
        """
        prints, purpose = row_prints(x), self.purpose
        reuse = self.cache and purpose != "verify"
        refs: list[_Ref] = []
        fresh: list[int] = []
        times: list[int] = []
        asked: list[int] = []  # rows that no earlier row of this run answers
        new: dict[bytes, _Ref] = {}
        taken: Counter[bytes] = Counter()
        for i, each in enumerate(prints):
            ref = new.get(each) or self._known.get(each) if reuse else None
            if ref is None:
                queue, n = self._queue.get((purpose, each), ()), taken[each]
                if n < len(queue):
                    ref = queue[n]
                else:
                    ref = (_THIS, len(fresh))
                    fresh.append(i)
                    times.append(self._times[purpose, each] + n)
                taken[each] += 1
                asked.append(i)
                new[each] = ref
            refs.append(ref)
        replayed = sum(taken.values()) - len(fresh)
        loose = sum(refs[i][0] in self._loose for i in asked) if self._loose else 0
        left = self._left - (replayed - loose if purpose != "verify" else 0)
        if fresh and left:
            raise JournalError(
                f"Expected this run to ask what the journal {self.path} has answers for, but {left:,} of them are left and it "
                f"asks for something else. Nothing was paid. The journal was written with {self.file.made_with}; here is "
                f"{versions()}."
            )
        self._same_target(target, x, prints, refs, keyed, bool(fresh))
        out = None
        if fresh:
            rows = x if len(fresh) == len(x) else x[torch.tensor(fresh, device=x.device)]
            self.asked = len(fresh)
            keys = [self._key(prints[i], n) for i, n in zip(fresh, times, strict=True)] if keyed else None
            out = self._pay(target, rows, b"".join(prints[i] for i in fresh), keys)
        self._left = left
        self._shown = self._settled(refs)
        self._note(taken, new, replayed, len(x) - len(fresh) - replayed)
        return out if len(fresh) == len(x) else self._read(self._shown, target.device)

    def _same_target(
        self, target: Target, x: Tensor, prints: list[bytes], refs: list[_Ref], keyed: bool, paying: bool
    ) -> None:
        """Ask the chosen recorded queries again once the run has come to them all, and before anything is paid.

        A key is that of then, for which a service that remembers it charges nothing.

        Raises:
            JournalError: the target answers otherwise.
        """
        purpose = self.purpose
        seen: Counter[bytes] = Counter()
        for i, (each, ref) in enumerate(zip(prints, refs, strict=True) if self._check else ()):
            if self._check.get((purpose, each)) == ref:
                del self._check[purpose, each]
                self._again.append((x[i : i + 1].clone(), ref, self._key(each, self._times[purpose, each] + seen[each])))
            seen[each] += not self.cache
        if not self._again or (self._check and not paying):
            return
        if self.chance or info_of(target).randomised:
            self.chance, self._again = True, []
            return
        self.asked = len(self._again)
        self.file.note_uncharged(self.asked)
        try:
            now = self._ask_again(target, keyed)
        except (Exception, SystemExit):
            if paying:
                raise
            self.file.uncharged, self.asked = self.file.uncharged + self.asked, 0
            return  # a finished run can be read back while the target is away
        was = [[column[row] for column in self.file.answer(call)] for _, (call, row), _ in self._again]
        slack = info_of(target).resolution
        told_of = [(a, b) for a, b in zip(was, now, strict=True) if not (refuses(a) or refuses(b))]  # a rejection says nothing
        other = [(a, b) for a, b in told_of if not same_answer(a, b, slack)]
        if len(other) > odd(len(was)):
            self.file.note_uncharged(-self.asked)  # they went to another target
            raise JournalError(
                f"Expected the target that the journal {self.path} was begun on, but {info_of(target).name}, asked again about "
                f"{len(was)} recorded queries, answers {len(other)} otherwise ({told(other[0][1])} instead of "
                f"{told(other[0][0])}): another model of the same name? Nothing was paid. Give the model of then, or another "
                "journal; if it is the same and answers by chance, Oracle(..., randomised=True)."
            )
        self.checked += self.asked
        self._again, self.asked = [], 0

    def _ask_again(self, target: Target, keyed: bool) -> list[list[np.ndarray]]:
        """The target's answers, now, to the recorded queries."""
        keys = {"keys": [key for _, _, key in self._again]} if keyed else {}
        arrays = arrays_of(target.predict(torch.cat([x for x, _, _ in self._again]), **keys), self.any_form)
        whole = self.any_form or arrays[-1].dtype == np.bool_  # where NaN may be an answer, or stand for a rejection
        if any(a.shape[:1] != (len(self._again),) or a.dtype.hasobject for a in arrays) or any(
            np.isnan(a).any() for a in arrays if np.issubdtype(a.dtype, np.floating) and not whole
        ):
            raise ValueError(f"Expected an answer for each of {len(self._again)} images, but there were others, or NaN.")
        return [[column[i] for column in arrays] for i in range(len(self._again))]

    def _settled(self, refs: list[_Ref]) -> list[_Ref]:
        """The same references, with the number of the call that has just been made."""
        return [(self._last, row) if call == _THIS else (call, row) for call, row in refs]

    def _note(self, taken: Counter[bytes], new: dict[bytes, _Ref], replayed: int, cached: int) -> None:
        """Count the answers given without the target, and remove them from the queues."""
        purpose = self.purpose
        self.replayed[purpose] += replayed
        self.cached[purpose] += cached
        for each, n in taken.items():
            self._times[purpose, each] += n
            if (pending := self._queue.get((purpose, each))) is not None:
                for _ in range(min(n, len(pending))):
                    pending.popleft()
        if self.cache:
            self._known.update(zip(new, self._settled(list(new.values())), strict=True))

    def withdraw(self, row: int | None = None) -> None:
        """Mark the last answers as invalid (NaN, a wrong shape): the next run repeats the call that answered ``row``, or all
        of them."""
        for call in {call for call, _ in (self._shown if row is None else self._shown[row : row + 1]) if call > 0}:
            self.file.refuse(call)

    def _key(self, print_: bytes, n: int) -> str:
        """The key of one query, made of the run, the image and how often it was queried; the same in every attempt."""
        return hashlib.sha256(f"{self.file.run} {self.purpose} {n} ".encode() + print_).hexdigest()[:32]

    def _pay(self, target: Target, x: Tensor, prints: bytes, keys: list[str] | None) -> Any:
        """Make one call, recorded before it is made and again before its answer is shown."""
        call, before = self.file.enter(self.purpose, prints), filled_up() + retried_of(target)
        try:
            out = target.predict(x) if keys is None else target.predict(x, keys=keys)  # type: ignore[call-arg]
        except BaseException as error:
            if (part := part_of(error)) is not None:
                arrays = () if part.answer is None else arrays_of(part.answer, self.any_form)
                answered, doubtful = (b"".join(rows_at(prints, rows)) for rows in (part.rows, part.doubtful))
                self.file.keep_part(call, self.purpose, answered, arrays, doubtful)
                self.file.note_uncharged(sent_of(error, len(x)) - len(part.rows) - len(part.doubtful))
            raise
        finally:
            self.file.note_uncharged(filled_up() + retried_of(target) - before)
        arrays = arrays_of(out, self.any_form)
        if any(a.dtype.hasobject or a.shape[:1] != (len(x),) for a in arrays):  # invalid; the oracle will raise
            self.file.refuse(call)
            return out
        self.file.keep(call, arrays)
        self._last = call
        return out

    def _read(self, refs: list[_Ref], device: torch.device) -> Any:
        """Load the answers at these references, in the target's form."""
        if not all(call for call, _ in refs):
            raise ValueError(
                f"Expected an answer for each of the {self.asked} images of a call, but there were more or less."
            )
        return answer_of([[column[row] for column in self.file.answer(call)] for call, row in refs], device)


class Journalled(Wrapper):
    """A target whose answers a `Journal` keeps."""

    def __init__(self, target: Target, journal: Journal) -> None:
        super().__init__(target)
        self._journal, self._keyed = journal, self.info.keyed

    def predict(self, x: Tensor) -> Any:
        return self._journal.answer(self.inner, x, self._keyed)
