"""What an entry holds of its sessions: the signed accounts, which are read first, the journals, the clean images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blackbox.league.account import FIRST, Account, Question, chained
from blackbox.league.entry import ACCOUNT, IMAGES, JOURNAL, SCENARIO, Entry, EntryError, Session, read_model
from blackbox.league.material import print_of
from blackbox.league.signing import Signed, holds, key_id
from blackbox.results import AttackResult
from blackbox.tabular import Tabular

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True)
class Game:
    """One session of an entry with all that belongs to it. asked: the questions about each image, by its place in the account."""

    session: Session
    folder: Path
    account: Account
    asked: list[list[Question]]
    clean: np.ndarray

    @cached_property
    def table(self) -> Tabular | None:
        """What a row may be, as it was signed; None where images are attacked. Raises: EntryError, it is none."""
        try:
            return Tabular(**self.account.about["table"]) if "table" in self.account.about else None
        except (TypeError, ValueError) as error:
            raise EntryError(f"Expected what a row of the table may be in the signed account, but {error}") from None

    @cached_property
    def result(self) -> AttackResult:
        """The saved result. Raises: EntryError, it cannot be read."""
        try:
            return AttackResult.load(self.folder / "result")
        except (FileNotFoundError, ValueError) as error:
            raise EntryError(str(error)) from None


def accounts_of(where: Path, entry: Entry, key: Ed25519PublicKey) -> list[Account]:
    """The signed accounts of an entry's sessions, and with them the host's word for the scenario that lies beside the entry. Nothing
    else of an entry is looked at before: a scenario names files, and a model may be code.

    Raises:
        EntryError: there is no session, an account is not signed with this key, or the scenario is not the one that was signed.
    """
    if not entry.sessions:
        raise EntryError("Expected an entry with at least one session, but it has none.")
    try:
        digest = hashlib.sha256((where / SCENARIO).read_bytes()).hexdigest()
    except OSError:
        raise EntryError(f"Expected the scenario {entry.scenario} in {where}, but there is no {SCENARIO}.") from None
    out = []
    for session in entry.sessions:
        try:
            out.append(_account(where, session, key))
        except EntryError as error:
            raise EntryError(f"{session}: {error}") from None
        if not digest == out[-1].scenario_hash == entry.scenario_hash:
            raise EntryError(
                f"{session}: Expected the scenario that the server signed, of hash {out[-1].scenario_hash[:12]}, but that beside the entry "
                f"is {digest[:12]}, and the entry names {entry.scenario_hash[:12]}: another version."
            )
    return out


def _account(where: Path, session: Session, key: Ed25519PublicKey) -> Account:
    """The signed account of a session. Raises: EntryError, it cannot be read, or was not signed with this key."""
    if Path(session.folder).name != session.folder or session.folder in ("", ".", ".."):
        raise EntryError(f"Expected the folder of a session inside the entry, but it was {session.folder!r}.")
    signed = read_model(Signed, where / session.folder / ACCOUNT)
    if signed.key != key_id(key):
        raise EntryError(f"Expected an account signed with the key {key_id(key)}, but it was signed with another, {signed.key}.")
    if not holds(signed, key):
        raise EntryError("Expected the account as the server signed it, but the signature does not fit: it was edited.")
    return Account.of(signed.body)


def game_of(where: Path, session: Session, account: Account) -> Game:
    """Read a session's files, whose signed account is known. Raises: EntryError, one cannot be read, or does not fit the account."""
    folder = where / session.folder
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise EntryError(f"Expected the journal of the session at {folder / JOURNAL}, but it cannot be read.") from None
    if chained(FIRST, lines) != account.journal:
        raise EntryError(
            f"Expected the journal whose hash was signed, of {account.rows} rows, but this one, of {len(lines)}, is another: it was "
            "edited, cut, or belongs to another session."
        )
    place = {image.image: row for row, image in enumerate(account.images)}
    asked: list[list[Question]] = [[] for _ in account.images]
    for question in map(Question.read, lines):
        if question.image not in place:
            raise EntryError(f"Expected questions about the images of the account, but one is about {question.image}.")
        asked[place[question.image]].append(question)
    return Game(session, folder, account, asked, _clean(where, account))


def _clean(where: Path, account: Account) -> np.ndarray:
    """The clean images, whose hashes are signed. Raises: EntryError, they are others."""
    from safetensors.numpy import load_file

    try:
        found = load_file(where / IMAGES)["images"]
    except Exception:
        raise EntryError(f"Expected the clean images at {where / IMAGES}, but the file cannot be read.") from None
    if len(found) != len(account.images):
        raise EntryError(f"Expected {len(account.images)} clean images, as many as the account has, but there were {len(found)}.")
    for levels, image in zip(found, account.images, strict=True):
        if print_of(levels) != image.print:
            raise EntryError(f"Expected the clean image {image.image} whose hash was signed, but it is another.")
    return found
