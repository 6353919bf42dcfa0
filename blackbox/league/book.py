"""`Book`: where the server keeps entries, sessions and every question, in one SQLite file. A question is in it before it is answered.

A process that is killed loses nothing that was answered: each call's rows are one transaction, written before the answer is sent.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from blackbox.league.account import Account

VERSION = "1"
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, player TEXT, attack TEXT, scenario TEXT, hash TEXT, source TEXT, parameters TEXT, entered REAL,
    UNIQUE (player, attack, hash));
CREATE TABLE IF NOT EXISTS sessions (
    id INTEGER PRIMARY KEY, entry INTEGER, target TEXT, seed INTEGER, secret INTEGER, account TEXT, UNIQUE (entry, target, seed));
CREATE TABLE IF NOT EXISTS questions (
    session INTEGER, n INTEGER, line TEXT, pixels BLOB, PRIMARY KEY (session, n)) WITHOUT ROWID;
"""


class Book:
    """The server's journal.

    Args:
        path: of the file; made if it is not there. key: the id of the server's key; None to read only.

    Raises:
        ValueError: it is no such file, or another key's.
    """

    def __init__(self, path: str | os.PathLike[str], key: str | None = None) -> None:
        self.path = Path(path)
        if key is None and not self.path.is_file():
            raise FileNotFoundError(f"Expected the journal of a server at {path}, but there is no such file.")
        try:
            self.db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
            if key is not None:
                self.db.execute("PRAGMA journal_mode = WAL")
                self.db.execute("PRAGMA synchronous = NORMAL")  # enough for a killed process; a power cut may take the last calls
                self.db.executescript(_TABLES)
                self.db.execute("INSERT OR IGNORE INTO about VALUES ('version', ?), ('key', ?)", (VERSION, key))
            about = dict(self.db.execute("SELECT name, value FROM about"))
        except sqlite3.DatabaseError:
            raise ValueError(f"Expected {path} to be the journal of a league's server, but it is not. Give another path.") from None
        if about.get("version") != VERSION or (key is not None and about.get("key") != key):
            raise ValueError(
                f"Expected a journal of version {VERSION} and the key {key or about.get('key')}, but {path} has {about.get('version')} and "
                f"{about.get('key')}. Give another path, or the key it was begun with."
            )
        self.key = str(about["key"])

    def close(self) -> None:
        self.db.close()

    def entry(self, player: str, attack: str, digest: str) -> tuple[int, str, str, float] | None:
        """(id, source, parameters, time) of an entry; None if there is none."""
        return self.db.execute(
            "SELECT id, source, parameters, entered FROM entries WHERE (player, attack, hash) = (?, ?, ?)", (player, attack, digest)
        ).fetchone()  # fmt: skip

    def enter(self, player: str, attack: str, scenario: str, digest: str, source: str, parameters: str, entered: float) -> None:
        """Write a new entry."""
        self.db.execute(
            "INSERT INTO entries (player, attack, scenario, hash, source, parameters, entered) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (player, attack, scenario, digest, source, parameters, entered),
        )

    def session(self, entry: int, target: str, seed: int) -> tuple[int, int, Account] | None:
        """(id, secret, account) of a session; None if there is none."""
        found = self.db.execute(
            "SELECT id, secret, account FROM sessions WHERE (entry, target, seed) = (?, ?, ?)", (entry, target, seed)
        ).fetchone()  # fmt: skip
        return None if found is None else (found[0], found[1], Account.of(found[2]))

    def known(self, session: int) -> tuple[int, int, Account] | None:
        """The same by its id."""
        found = self.db.execute("SELECT id, secret, account FROM sessions WHERE id = ?", (session,)).fetchone()
        return None if found is None else (found[0], found[1], Account.of(found[2]))

    def earlier(self, player: str, digest: str, target: str, seed: int) -> int:
        """How many sessions this player has opened on a target, with this seed."""
        return int(
            self.db.execute(
                "SELECT count(*) FROM sessions JOIN entries ON entries.id = sessions.entry "
                "WHERE (player, hash, target, seed) = (?, ?, ?, ?)",
                (player, digest, target, seed),
            ).fetchone()[0]
        )

    def open(self, entry: int, secret: int, account: Account) -> int:
        """Write a new session, and return its id."""
        done = self.db.execute(
            "INSERT INTO sessions (entry, target, seed, secret, account) VALUES (?, ?, ?, ?, ?)",
            (entry, account.target, account.seed, secret, account.model_dump_json()),
        )
        return int(done.lastrowid or 0)

    def write(self, session: int, lines: list[tuple[int, str, bytes | None]]) -> None:
        """Write questions, all or none: (place, line, pixels)."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self.db.executemany("INSERT INTO questions VALUES (?, ?, ?, ?)", [(session, *line) for line in lines])
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    def update(self, session: int, account: Account) -> None:
        """Replace a session's account: when it is closed, or taken up again by a server that was started anew."""
        self.db.execute("UPDATE sessions SET account = ? WHERE id = ?", (account.model_dump_json(), session))

    def lines(self, session: int) -> list[str]:
        """The lines of a session, in their order."""
        return [line for (line,) in self.db.execute("SELECT line FROM questions WHERE session = ? ORDER BY n", (session,))]

    def pixels(self, session: int) -> list[bytes | None]:
        """The 8-bit entries of the rows asked about, where they were kept."""
        return [row for (row,) in self.db.execute("SELECT pixels FROM questions WHERE session = ? ORDER BY n", (session,))]

    def sessions(self, player: str | None = None) -> list[tuple[int, Any]]:
        """(id, account) of every session, of one player if one is named."""
        found = self.db.execute("SELECT id, account FROM sessions ORDER BY id")
        return [(n, account) for n, text in found if player in (None, (account := Account.of(text)).player)]
