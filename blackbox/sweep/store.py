"""The store of a sweep: one SQLite file (WAL), a row a cell, written as cells finish. Several processes may share it."""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS head (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, columns BLOB NOT NULL, seconds REAL, host TEXT, at REAL);
CREATE INDEX IF NOT EXISTS times ON cells (key, seconds);
CREATE TABLE IF NOT EXISTS shown (key TEXT PRIMARY KEY, images BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, host TEXT, process INTEGER, at REAL);
"""
# with the cell they belong to, or not at all
_NEW_IMAGES = "INSERT OR IGNORE INTO shown SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM cells WHERE key = ?)"
_AT_ONCE = 500  # keys of a statement; SQLite's limit is 999 at least
STALE = 60.0
"""Seconds after which a claim of another machine that shows no sign of life is void."""


class StoreError(ValueError):
    """The file is no store, of another version, or cannot be written."""


class Store:
    """Finished cells by key, and who is at work on which.

    A key is a hash of all that decides a cell's result, so one store may hold several studies, and a study that grew is
    completed. Claims only save work: two processes that do the same cell find the same, and the first is kept.

    The images that some cells come with are in a table of their own, so that cells are listed quickly. An older store has
    no such table, and gets it at the next write.

    Args:
        look: only read; a file that is not there is an error, and nothing is written.

    Raises:
        StoreError: the file is no store, or of another version.
    """

    def __init__(self, path: str | os.PathLike[str], look: bool = False) -> None:
        self.path = Path(path)
        self.owner = (platform.node(), os.getpid())
        self._lock = threading.RLock()  # joblib asks for the next job in threads of its own
        try:
            if look:
                where = f"{self.path.resolve().as_uri()}?mode=ro"
                self.db = sqlite3.connect(where, timeout=60, isolation_level=None, check_same_thread=False, uri=True)
            else:
                self._open()
            ((version,),) = self.db.execute("SELECT value FROM head WHERE name = 'version'")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"Expected {self.path} to be a store of this package, but it cannot be used: {error}."
            ) from error
        if version != str(VERSION):
            self.close()
            raise StoreError(
                f"Expected a store of version {VERSION}, but {self.path} has version {version}. Give another path."
            )

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _TABLES.split(";")):
            self.db.execute(statement)
        self.db.execute("INSERT OR IGNORE INTO head VALUES ('version', ?)", (str(VERSION),))
        self.db.execute("COMMIT")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self.db.close()

    def done(self) -> dict[str, float]:
        """Seconds that each finished cell took, by its key."""
        return dict(self.db.execute("SELECT key, seconds FROM cells"))

    def has(self, key: str) -> bool:
        return self.db.execute("SELECT 1 FROM cells WHERE key = ?", (key,)).fetchone() is not None

    def columns(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The outcomes of finished cells."""
        return self._blobs("cells", "columns", keys)

    def _blobs(self, table: str, column: str, keys: Iterable[str]) -> dict[str, bytes]:
        keys = list(keys)
        out: dict[str, bytes] = {}
        for i in range(0, len(keys), _AT_ONCE):
            some = keys[i : i + _AT_ONCE]
            places = ",".join("?" * len(some))
            out.update(self.db.execute(f"SELECT key, {column} FROM {table} WHERE key IN ({places})", some))
        return out

    def pictured(self) -> set[str]:
        """The cells that came with images."""
        return {key for (key,) in self.db.execute("SELECT key FROM shown")} if self._shows() else set()

    def images(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The images that finished cells came with, `blackbox.sweep.pictures`."""
        return self._blobs("shown", "images", keys) if self._shows() else {}

    def _shows(self) -> bool:
        """Is there a table of images? Not in an older store opened read-only."""
        return self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'shown'").fetchone() is not None

    def add(self, results: Iterable[dict[str, Any]]) -> None:
        """Keep finished cells, with their images, and give back their claims: in one piece.

        Raises:
            StoreError: the disk is full, say. What is kept stays kept.
        """
        results, now = list(results), time.time()
        with self._lock:
            self._add(results, now)

    def _add(self, results: list[dict[str, Any]], now: float) -> None:
        rows = [(r["key"], r["columns"], r["seconds"], r["host"], now) for r in results if r["columns"] is not None]
        images = [(r["key"], r["images"], r["key"]) for r in results if r.get("images") is not None]
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                self.db.executemany(_NEW_IMAGES, images)
                self.db.executemany("INSERT OR IGNORE INTO cells VALUES (?, ?, ?, ?, ?)", rows)
                self.db.executemany("DELETE FROM claims WHERE key = ?", [(r["key"],) for r in results])
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(
                f"Expected to write {self.path}, but: {error}. The cells before are kept: make room and give the same command again."
            ) from error

    # -- claims --------------------------------------------------------------------------------------------------

    def claim(self, keys: list[str]) -> list[str]:
        """Claim those of ``keys`` that are neither done nor claimed by another living process; returns them."""
        with self._lock:
            return self._claim(keys)

    def _claim(self, keys: list[str]) -> list[str]:
        self.db.execute("BEGIN IMMEDIATE")
        mine = []
        for key in keys:
            if self.has(key):
                continue
            held = self.db.execute("SELECT host, process, at FROM claims WHERE key = ?", (key,)).fetchone()
            if held and tuple(held[:2]) != self.owner and self._alive(*held):
                continue
            self.db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", (key, *self.owner, time.time()))
            mine.append(key)
        self.db.execute("COMMIT")
        return mine

    def beat(self) -> None:
        """Renew our claims."""
        with self._lock:
            self.db.execute("UPDATE claims SET at = ? WHERE host = ? AND process = ?", (time.time(), *self.owner))

    def release(self) -> None:
        """Give back our claims."""
        with self._lock:
            self.db.execute("DELETE FROM claims WHERE host = ? AND process = ?", self.owner)

    def _alive(self, host: str, process: int, at: float) -> bool:
        if host != self.owner[0]:
            return time.time() - at < STALE
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return time.time() - at < STALE or not _reused(process, at)


def _reused(process: int, since: float) -> bool:
    """Is the process of this number younger than the claim? Then its owner is gone. (Known on Linux only.)"""
    try:
        ticks = float(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return False
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK") > since + 1
