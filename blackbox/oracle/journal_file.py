"""`JournalFile`: stores the calls of one run and their answers on disk.

The file is SQLite in WAL mode, so a torn last record is undone by the library. It survives ``kill -9`` as it is, and with
``durable`` a power cut too.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checkpoint import CheckpointError, differences
from blackbox.oracle.same import refuses
from blackbox.targets.answer import Answer
from blackbox.targets.rejections import as_answer, spread
from blackbox.targets.rows import decoded, encoded, rows_of

VERSION = 1
PRINT = 16
"""Bytes of an image's fingerprint; a collision is practically impossible."""
_TABLES = """
CREATE TABLE IF NOT EXISTS head (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, purpose TEXT, prints BLOB, answer BLOB, doubt INTEGER DEFAULT 0);
"""
_UNANSWERED, _REFUSED = 1, 2  # the two kinds of doubt
_PART = -1  # no doubt: the rows of a failed call that were answered


class JournalError(CheckpointError):
    """The file is not a journal, belongs to another run, is in use, or cannot be written."""


class JournalFile:
    """A journal's file, locked against other processes.

    Args:
        path: created if it does not exist.
        settings: what the run must agree with.
        durable: wait for the disk itself at every call.

    Attributes:
        run: a name for the run, the same in every attempt.
        made_with: the library versions it was started with.
        in_doubt: queries sent in runs that ended before their answer came, over the journal's life.
        uncharged: rows sent in earlier runs beside the calls: checks, rows sent again, or of failed calls and not charged,
            or to fill batches up. least: there may have been more, which an older version did not count.

    Raises:
        JournalError: not a journal, another version, other settings (says which, and both values), or in use elsewhere.
    """

    def __init__(self, path: Path, settings: dict[str, Any], durable: bool) -> None:
        self.path = path
        self._open(durable)
        try:
            self._check(settings)
            self.in_doubt = self._doubt()
        except BaseException:
            self.close()
            raise
        self.answer = functools.lru_cache(maxsize=64)(self._fetch)

    def close(self) -> None:
        """Release the file. Everything is on disk already."""
        self.db.close()

    def _open(self, durable: bool) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
            self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
            if not durable:  # an empty file need not outlive a power cut, and waiting for the disk is slow
                self.db.execute("PRAGMA synchronous = OFF")
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _TABLES.split(";")):
                self.db.execute(statement)
            self.db.execute("COMMIT")
            self.db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise JournalError(
                    f"Expected the journal {self.path} to be free, but another process is using it. "
                    "Wait for it to end, or give this run a journal of its own."
                ) from None
            raise self._unusable(error) from error
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> JournalError:
        return JournalError(f"Expected {self.path} to be a journal of this package, but it cannot be used: {error}.")

    def _check(self, settings: dict[str, Any]) -> None:
        """Start a new journal, or check that an old one has this version and belongs to this run."""
        here = {k: v if isinstance(v, (int, str)) else repr(v) for k, v in settings.items()}
        try:
            head = dict(self.db.execute("SELECT name, value FROM head"))
            if not head:
                head = {
                    "version": str(VERSION),
                    "run": uuid.uuid4().hex,
                    "made with": versions(),
                    "settings": json.dumps(here),
                    "uncharged": "0",
                }
                self.db.execute("BEGIN IMMEDIATE")
                self.db.executemany("INSERT INTO head VALUES (?, ?)", list(head.items()))
                self.db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error
        if head.get("version") != str(VERSION):
            raise JournalError(
                f"Expected a journal of version {VERSION}, but {self.path} has version {head.get('version', 'none')}."
            )
        if different := differences(json.loads(head["settings"]), here):
            raise JournalError(
                f"Expected the journal of this run, but {self.path} belongs to other settings ({different}). "
                "Give another path; nothing was asked."
            )
        self.run, self.made_with = head["run"], head["made with"]
        self.uncharged, self.least = int(head.get("uncharged", 0)), "uncharged" not in head

    def _doubt(self) -> int:
        """Count the queries in doubt, after marking those without an answer."""
        try:
            self.db.execute(f"UPDATE calls SET doubt = {_UNANSWERED} WHERE answer IS NULL AND doubt = 0")
            doubts = self.db.execute("SELECT prints FROM calls WHERE doubt > 0").fetchall()
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error
        return sum(len(prints) for (prints,) in doubts) // PRINT

    def calls(self) -> Iterator[tuple[int, str, list[bytes], bool, bool]]:
        """Yield the answered calls in order: number, purpose, the fingerprint of each row, whether it was refused, whether
        these are the answered rows of a call that failed."""
        try:
            query = f"SELECT id, purpose, prints, doubt FROM calls WHERE doubt != {_UNANSWERED} ORDER BY id"
            found = self.db.execute(query).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error
        for call, purpose, prints, doubt in found:
            rows = [prints[i : i + PRINT] for i in range(0, len(prints), PRINT)]
            yield call, purpose, rows, doubt == _REFUSED, doubt == _PART

    def _fetch(self, call: int) -> tuple[np.ndarray, ...]:
        """The arrays of the answer of a call."""
        (blob,) = self.db.execute("SELECT answer FROM calls WHERE id = ?", (call,)).fetchone()
        stream, out = io.BytesIO(blob), []
        while stream.tell() < len(blob):
            out.append(np.load(stream, allow_pickle=False))
        return tuple(out)

    def enter(self, purpose: str, prints: bytes) -> int:
        """Record a call that is about to be made, and return its number."""
        return self._write("INSERT INTO calls (purpose, prints) VALUES (?, ?)", (purpose, prints))

    def keep(self, call: int, arrays: Sequence[np.ndarray]) -> None:
        """Record the answer of a call."""
        self._write("UPDATE calls SET answer = ? WHERE id = ?", (_blob(arrays), call))

    def keep_part(
        self, call: int, purpose: str, prints: bytes, arrays: Sequence[np.ndarray], doubtful: bytes
    ) -> None:
        """Record a call that failed: the answers to the rows with these fingerprints, and those that may have been charged
        without one. The others cost nothing, and are forgotten."""
        if doubtful:  # before the answers: a process that dies between has too much in doubt, never too little
            self._write("INSERT INTO calls (purpose, prints) VALUES (?, ?)", (purpose, doubtful))
        if prints:
            statement = f"UPDATE calls SET prints = ?, answer = ?, doubt = {_PART} WHERE id = ?"
            self._write(statement, (prints, _blob(arrays), call))
        else:
            self._write("DELETE FROM calls WHERE id = ?", (call,))

    def note_uncharged(self, rows: int) -> None:
        """Record that so many rows more were sent beside the calls, for the accounts of later runs."""
        if rows:
            self._write("UPDATE head SET value = CAST(value AS INTEGER) + ? WHERE name = 'uncharged'", (rows,))

    def refuse(self, call: int) -> None:
        """Record that a call's answer was invalid, so that the next run queries again."""
        self._write(f"UPDATE calls SET doubt = {_REFUSED} WHERE id = ?", (call,))

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        try:
            return int(self.db.execute(statement, values).lastrowid or 0)
        except sqlite3.Error as error:
            raise JournalError(
                f"Expected to write the journal {self.path}, but: {error}. What it holds stays valid: make room and give the "
                "same command again."
            ) from error


def _blob(arrays: Sequence[np.ndarray]) -> bytes:
    """Arrays in the .npy format, one after the other."""
    return b"".join(_npy_header(a.dtype.str, a.shape) + a.tobytes() for a in arrays)


@functools.lru_cache(maxsize=256)
def _npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    """The header of an .npy file, cached by shape: numpy takes longer for it than for the data."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    return head.getvalue()


def versions() -> str:
    """The libraries that answers depend on."""
    return f"torch {torch.__version__}, numpy {np.__version__}"


def row_prints(x: Tensor) -> list[bytes]:
    """A fingerprint of each row of ``x``."""
    rows = np.ascontiguousarray(x.numpy(force=True))
    start = hashlib.sha256(f"{rows.shape[1:]} {rows.dtype}".encode())
    out = []
    for row in rows:
        digest = start.copy()
        digest.update(row)
        out.append(digest.digest()[:PRINT])
    return out


def rows_at(prints: bytes, rows: list[int]) -> list[bytes]:
    """The fingerprints of these rows."""
    return [prints[PRINT * row : PRINT * (row + 1)] for row in rows]


def arrays_of(out: Any, any_form: bool = False) -> tuple[np.ndarray, ...]:
    """A target's answer as arrays; one of ``any_form`` as text, where it is no array, or as an object array where it is invalid.

    Raises:
        JournalError: it holds what a journal cannot keep.
    """
    if any_form and not isinstance(out, Answer) and not _plain_numbers(out):
        try:
            columns = list(out.values()) if isinstance(out, dict) else [out]
            return (encoded(rows_of(out, len(columns[0]), "")),)
        except TypeError as error:
            raise JournalError(f"{error} Return arrays or plain Python, or run without a journal.") from None
        except (ValueError, IndexError):  # the oracle will say what is wrong
            return (np.array([None], dtype=object),)
    out = as_answer(out)
    parts = [part for part in out if part is not None] if isinstance(out, Answer) else (out,)
    return tuple(
        (p.float() if p.dtype == torch.bfloat16 else p).numpy(force=True) if isinstance(p, Tensor) else np.asarray(p)
        for p in parts
    )


def _plain_numbers(out: Any) -> bool:
    """Whether an answer of any form is kept as it is: numbers of a type that torch has. Bools are not: they would be rejections."""
    if isinstance(out, Tensor):
        return out.dtype != torch.bool
    kind = out.dtype if isinstance(out, np.ndarray) else np.dtype(object)
    return kind.kind in "iuf" and kind.isnative and kind != np.half and kind.itemsize <= 8


def answer_of(rows: list[list[np.ndarray]], device: torch.device) -> Any:
    """The inverse of `arrays_of`: the answers to several images, one list of columns each, in the target's form."""
    if rows and rows[0][0].dtype.kind == "S":
        return [decoded(bytes(row[0])) for row in rows]
    refused = [refuses(row) for row in rows]
    if all(no is None for no in refused):
        columns = [torch.from_numpy(np.stack(column)).to(device) for column in zip(*rows, strict=True)]
        return columns[0] if len(columns) == 1 else Answer(*columns)
    rejected = torch.tensor([bool(no) for no in refused], device=device)
    kept = [row[: len(row) - (no is not None)] for row, no in zip(rows, refused, strict=True) if not no]
    return spread(answer_of(kept, device) if kept else None, rejected)
