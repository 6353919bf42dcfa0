"""Journal: every answer that was paid for is on disk before the attack sees it, and is never paid for again.

For targets whose answers cost money or hours. A run is a function of its settings and of the answers it is given; so
the same call with the same journal asks the same again, is given the answers that are on disk, and goes on where the
killed run stood. The journal stands directly before the target that is paid, behind all channels: what channels draw and
remember is worked out anew, as it was.

A call is entered twice: as asked, before it is made, and as answered, before anybody sees the answer. A process that
dies between the two may have been charged for that one call, and no client alone can know. A target that takes ``keys``
closes the gap: it is told for each row a word that names this very query, the same in every attempt, and answers a word it
has answered before without charge (`blackbox.targets.Target`). For any other target such rows are asked again and shown
apart, as ``in_doubt``.

The file is SQLite in WAL mode, so a torn last record is undone by the library. It survives ``kill -9`` as it is, and with
``durable`` a power cut too.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import sqlite3
import uuid
from collections import Counter, defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checkpoint import CheckpointError, differences
from blackbox.targets import Answer, Target

VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS head (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, purpose TEXT, prints BLOB, answer BLOB, doubt INTEGER DEFAULT 0);
"""
_PRINT = 16  # bytes of a row's fingerprint: two of a billion images share one with probability 1e-21
_UNANSWERED, _REFUSED = 1, 2  # the two kinds of doubt
_THIS = -1  # the call that is being made
_Ref = tuple[int, int]  # (call, row in its answer)


class JournalError(CheckpointError):
    """The file is no journal, belongs to another run, is in use, or cannot be written."""


class Journal:
    """The answers of one run, on disk.

    Args:
        path: the file; it is made where there is none. settings: what the run must agree with.
        cache: answer an image that this run has asked about before from the journal, without asking the target. It still
            counts against a sample's budget (so results are those without a cache) but not on the bill. What is looked at
            again on purpose (``"verify"``) is always asked.
        durable: wait for the disk itself at every call (fsync), for power cuts. Costs milliseconds a call.

    Attributes:
        replayed, cached: rows by purpose answered without the target. in_doubt: rows asked for in runs that ended before
        their answer came, over the journal's life. asked: rows that the target was asked in the last call.

    Raises:
        JournalError: no journal, another version, other settings (says which, and both values), or in use elsewhere.
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
        self._left = self._last = 0
        self._shown: list[_Ref] = []
        self._open(durable)
        try:
            self._check({**settings, "cache": cache})
            self._load()
        except BaseException:
            self.close()
            raise
        self._answer = functools.lru_cache(maxsize=64)(self._fetch)

    def close(self) -> None:
        """Give the file free. Everything is on disk already."""
        self._db.close()

    # -- the file ------------------------------------------------------------------------------------------------

    def _open(self, durable: bool) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            if not durable:  # an empty file need not outlive a power cut: waiting for the disk here took 30 ms
                self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _TABLES.split(";")):
                self._db.execute(statement)
            self._db.execute("COMMIT")
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise JournalError(
                    f"Expected the journal {self.path} to be free, but another process is using it. "
                    "Wait for it to end, or give this run a journal of its own."
                ) from None
            raise self._trouble(error) from error
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> JournalError:
        return JournalError(f"Expected {self.path} to be a journal of this package, but it cannot be used: {error}.")

    def _check(self, settings: dict[str, Any]) -> None:
        here = {k: v if isinstance(v, (int, str)) else repr(v) for k, v in settings.items()}
        try:
            head = dict(self._db.execute("SELECT name, value FROM head"))
            if not head:
                made = {
                    "version": VERSION,
                    "run": uuid.uuid4().hex,
                    "made with": _versions(),
                    "settings": json.dumps(here),
                }
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT INTO head VALUES (?, ?)", [(k, str(v)) for k, v in made.items()])
                self._db.execute("COMMIT")
                head = dict(self._db.execute("SELECT name, value FROM head"))
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from error
        if head.get("version") != str(VERSION):
            raise JournalError(
                f"Expected a journal of version {VERSION}, but {self.path} has version {head.get('version', 'none')}."
            )
        there = json.loads(head["settings"])
        if different := differences(there, here):
            raise JournalError(
                f"Expected the journal of this run, but {self.path} belongs to other settings ({different}). "
                "Give another path; nothing was asked."
            )
        self._run, self._made_with = head["run"], head["made with"]

    def _load(self) -> None:
        """Queue the answers in the order they came; rows without one are in doubt from now on."""
        try:
            self._db.execute(f"UPDATE calls SET doubt = {_UNANSWERED} WHERE answer IS NULL AND doubt = 0")
            rows = self._db.execute(
                "SELECT id, purpose, prints, doubt FROM calls WHERE doubt != 1 ORDER BY id"
            ).fetchall()
            doubts = self._db.execute("SELECT prints FROM calls WHERE doubt > 0").fetchall()
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from error
        self.in_doubt = sum(len(prints) for (prints,) in doubts) // _PRINT
        for call, purpose, prints, doubt in rows:
            for row in range(len(prints) // _PRINT):
                key = purpose, prints[row * _PRINT : (row + 1) * _PRINT]
                if doubt == _REFUSED:  # under its old key a target would say the same again
                    self._times[key] += 1
                else:
                    self._queue[key].append((call, row))
                    self._left += purpose != "verify"

    def _fetch(self, call: int) -> tuple[np.ndarray, ...]:
        (blob,) = self._db.execute("SELECT answer FROM calls WHERE id = ?", (call,)).fetchone()
        stream, out = io.BytesIO(blob), []
        while stream.tell() < len(blob):
            out.append(np.load(stream, allow_pickle=False))
        return tuple(out)

    def begin(self, purpose: str) -> None:
        """What the next call is for."""
        self.purpose, self.asked, self._last, self._shown = purpose, 0, 0, []

    # -- a call --------------------------------------------------------------------------------------------------

    def answer(self, target: Target, x: Tensor) -> Any:
        """The answers to images ``x`` [m, \\*shape]: those on disk from there, the others from ``target``, kept first.

        Raises:
            JournalError: what is asked is not what the journalled run asked; or the disk cannot be written.
        """
        prints, purpose = _prints(x), self.purpose
        reuse = self.cache and purpose != "verify"
        refs: list[_Ref] = []
        fresh: list[int] = []
        times: list[int] = []
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
                new[each] = ref
            refs.append(ref)
        replayed = sum(taken.values()) - len(fresh)
        left = self._left - (replayed if purpose != "verify" else 0)
        if fresh and left:
            raise JournalError(
                f"Expected this run to ask what the journal {self.path} has answers for, but {left:,} of them are left and it "
                f"asks for something else. Nothing was paid. The journal was written with {self._made_with}; here is {_versions()}."
            )
        out = None
        if fresh:
            rows = x if len(fresh) == len(x) else x[torch.tensor(fresh, device=x.device)]
            self.asked = len(fresh)
            keys = [self._key(prints[i], purpose, n) for i, n in zip(fresh, times, strict=True)]
            out = self._pay(target, rows, b"".join(prints[i] for i in fresh), keys)
        last = self._last
        refs = [(last, row) if call == _THIS else (call, row) for call, row in refs]
        self._left, self._shown = left, refs
        self.replayed[purpose] += replayed
        self.cached[purpose] += len(x) - len(fresh) - replayed
        for each, n in taken.items():
            self._times[purpose, each] += n
            if (pending := self._queue.get((purpose, each))) is not None:
                for _ in range(min(n, len(pending))):
                    pending.popleft()
        if self.cache:
            self._known.update(
                (each, (last, row) if call == _THIS else (call, row)) for each, (call, row) in new.items()
            )
        return out if len(fresh) == len(x) else self._read(refs, target.device)

    def withdraw(self, row: int | None = None) -> None:
        """The answers just shown turned out to be none (NaN, a wrong shape): the next run asks again for the call that
        ``row`` was answered in, or for all of them."""
        for call in {call for call, _ in (self._shown if row is None else self._shown[row : row + 1]) if call > 0}:
            self._write(f"UPDATE calls SET doubt = {_REFUSED} WHERE id = ?", (call,))

    def _key(self, print_: bytes, purpose: str, n: int) -> str:
        """A name for one query: the run, what is asked, and the how many-th time. The same in every attempt."""
        return hashlib.sha256(f"{self._run} {purpose} {n} ".encode() + print_).hexdigest()[:32]

    def _pay(self, target: Target, x: Tensor, prints: bytes, keys: list[str]) -> Any:
        """One call, entered before it is made and again before its answer is shown."""
        call = self._write("INSERT INTO calls (purpose, prints) VALUES (?, ?)", (self.purpose, prints))
        out = target.predict(x, keys=keys) if getattr(target, "keyed", False) else target.predict(x)  # type: ignore[call-arg]
        arrays = _arrays(out)
        if any(a.dtype.hasobject or a.shape[:1] != (len(x),) for a in arrays):  # no answer; the oracle will say so
            self._write(f"UPDATE calls SET doubt = {_REFUSED} WHERE id = ?", (call,))
            return out
        blob = b"".join(_npy_header(a.dtype.str, a.shape) + a.tobytes() for a in arrays)
        self._write("UPDATE calls SET answer = ? WHERE id = ?", (blob, call))
        self._last = call
        return out

    def _read(self, refs: list[_Ref], device: torch.device) -> Any:
        """The answers at these places, as the target gave them."""
        if not all(call for call, _ in refs):
            raise ValueError(
                f"Expected an answer for each of the {self.asked} images of a call, but there were more or less."
            )
        rows = [[column[row] for column in self._answer(call)] for call, row in refs]
        columns = [torch.from_numpy(np.stack(column)).to(device) for column in zip(*rows, strict=True)]
        return columns[0] if len(columns) == 1 else Answer(*columns)

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        try:
            return int(self._db.execute(statement, values).lastrowid or 0)
        except sqlite3.Error as error:
            raise JournalError(
                f"Expected to write the journal {self.path}, but: {error}. What it holds stays valid: make room and give the "
                "same command again."
            ) from error


class Journalled:
    """A target whose answers a `Journal` keeps."""

    def __init__(self, target: Target, journal: Journal) -> None:
        self.name, self.device, self.returns = target.name, target.device, target.returns
        self._target, self._journal = target, journal

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._target, name)  # probe, noise, randomised, retried ...

    def predict(self, x: Tensor) -> Any:
        return self._journal.answer(self._target, x)


def _prints(x: Tensor) -> list[bytes]:
    """A fingerprint of each row of ``x``."""
    rows = np.ascontiguousarray(x.numpy(force=True))
    start = hashlib.sha256(f"{rows.shape[1:]} {rows.dtype}".encode())
    out = []
    for row in rows:
        digest = start.copy()
        digest.update(row)
        out.append(digest.digest()[:_PRINT])
    return out


def _arrays(out: Any) -> tuple[np.ndarray, ...]:
    parts = out if isinstance(out, Answer) else (out,)
    return tuple(
        (p.float() if p.dtype == torch.bfloat16 else p).numpy(force=True) if isinstance(p, Tensor) else np.asarray(p)
        for p in parts
    )


@functools.lru_cache(maxsize=256)
def _npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    """How an .npy file of such an array begins, worked out once a shape: numpy takes longer for it than for the numbers."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    return head.getvalue()


def _versions() -> str:
    return f"torch {torch.__version__}, numpy {np.__version__}"
