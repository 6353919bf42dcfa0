"""`Account`: what the server signs of one session; and the journal's lines, chained so that its last hash stands for all of them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from blackbox.league.entry import FORMAT, Count, EntryError, Part
from blackbox.targets.rows import read, written

FIRST = "0" * 64  # the hash before the first line


class Question(NamedTuple):
    """One line of the journal: a row that was asked about and the answer that was given.

    n: its place in the session, from 0. image: its id. print: the hash of its 8-bit entries (`blackbox.league.material.print_of`).
    label: -1 if it was rejected, or is of another form. scores: [C] float32, None where labels alone are shown. flagged: by a detector.
    rejected: no answer. inside: the threat and mask. adversarial: what the goal wants. answer: of another form than a class.
    """

    n: int
    image: int
    print: str
    label: int
    scores: np.ndarray | None
    flagged: bool
    rejected: bool
    inside: bool
    adversarial: bool
    answer: Any = None

    @property
    def caught(self) -> bool:
        """What a tariff calls flagged: by a detector, or rejected."""
        return self.flagged or self.rejected

    @property
    def hit(self) -> bool:
        """Is this an example: adversarial, and inside?"""
        return self.inside and self.adversarial

    def line(self) -> str:
        """As a line of JSON, the same to the byte whenever it is written."""
        shown: Any = None if self.scores is None else base64.b64encode(self.scores.astype("<f4").tobytes()).decode()
        shown = shown if self.answer is None else [written(self.answer)]
        return json.dumps([*self[:4], shown, *(int(v) for v in self[5:9])], separators=(",", ":"))

    @classmethod
    def read(cls, line: str) -> Question:
        """The inverse of `line`. Raises: EntryError, it is none."""
        try:
            n, image, print_, label, said, *marks = json.loads(line)
            flagged, rejected, inside, adversarial = map(bool, marks)
            scores = np.frombuffer(base64.b64decode(said), "<f4") if isinstance(said, str) else None
            answer = read(said[0]) if isinstance(said, list) else None
            return cls(int(n), int(image), str(print_), int(label), scores, flagged, rejected, inside, adversarial, answer)
        except (ValueError, TypeError, IndexError):
            raise EntryError(f"Expected a line of a journal, but it was {line[:60]!r}. The journal was edited, or breaks off.") from None


def chained(head: str, lines: Iterable[str]) -> str:
    """The hash of a journal that ended in ``head``, after more lines."""
    for line in lines:
        head = hashlib.sha256(f"{head}\n{line}".encode()).hexdigest()
    return head


class ImageAccount(Part):
    """One image in one session. print: of the clean image. clean: the target's label of it, looked up without charge when the session
    was opened. goal: the class to reach. unreached: under a goal of another kind, was the clean image answered, and does it not reach the
    goal? rows: answered; flagged (by a detector, or rejected), rejected, bad (not adversarial), outside (the threat): of them."""

    image: int
    label: int
    print: str
    clean: int
    goal: int | None = None
    unreached: bool | None = None
    rows: Count = 0
    flagged: Count = 0
    rejected: Count = 0
    bad: Count = 0
    outside: Count = 0

    @property
    def attacked(self) -> bool:
        """Was the unchanged image not yet what the goal wants?"""
        if self.unreached is not None:
            return self.unreached
        return self.clean == self.label if self.goal is None else self.clean != self.goal


class Account(Part):
    """What the server knows of a session.

    Args:
        server: its version of this package. scenario, scenario_hash, target, sealed, seed, budget, player: which session it is.
        model: a hash that binds the host to the target: of its file, or of the sealed slot (`blackbox.league.sealed`).
        attack, parameters, source: as they were given before; entered, opened, closed: seconds since 1970. closed: None while it is open.
        stopped: why it ended early, if it did. earlier: sessions that this player had opened before on this target and seed.
        about: what an answer tells, as the player was told, and the goal in words. restarts: how often the server began anew while it was
            open.
        rows: answered. journal: the hash of its last line.
    """

    format: Literal["blackbox-league-1"] = FORMAT  # type: ignore[assignment]
    server: str
    scenario: str
    scenario_hash: str
    target: str
    sealed: bool
    model: str
    seed: Count
    budget: Count
    player: str
    attack: str
    parameters: str
    source: str
    entered: float
    opened: float
    closed: float | None = None
    stopped: str | None = None
    earlier: Count = 0
    about: dict[str, Any] = Field(default_factory=dict)
    restarts: Count = 0
    rows: Count
    journal: str
    images: Annotated[list[ImageAccount], Field(min_length=1)]

    @property
    def seconds(self) -> float:
        """How long it was open."""
        return max((self.closed or self.opened) - self.opened, 0.0)

    @classmethod
    def of(cls, body: str) -> Account:
        """Read the body of a signed account. Raises: EntryError, it is none."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the whole"
            said = f"Expected a signed account, but of {where}: {fault['msg']}. It is of another version, or was edited."
            raise EntryError(said) from None


def answers(asked: Sequence[Question]) -> dict[str, Any]:
    """What a player is told of questions: labels, -1 where rejected; rejected; scores [m, C] float32, None where labels alone are shown;
    answers of another form than classes, None where there are none."""
    rows = [question.scores for question in asked if question.scores is not None]
    scores = np.stack(rows).astype("<f4") if rows else None
    other = [q.answer for q in asked] if any(q.answer is not None for q in asked) else None
    return {"labels": [q.label for q in asked], "rejected": [q.rejected for q in asked], "scores": scores, "answers": other}


def opened(session: int, max_rows: int, account: Account, mask: np.ndarray | None) -> dict[str, Any]:
    """What a player is told when a session is opened: by the server, or to play its journal again. max_rows: of a call."""
    images = account.images
    return {
        "session": session, "max_rows": max_rows, "about": account.about, "ids": [image.image for image in images],
        "labels": [image.label for image in images], "goals": None if images[0].goal is None else [image.goal for image in images],
        "mask": None if mask is None else mask.astype(int).ravel().tolist(),
    }  # fmt: skip


def counted(image: ImageAccount, asked: Iterable[Question]) -> ImageAccount:
    """The account of an image about which these questions were asked."""
    found = list(asked)
    counts: dict[str, Any] = {
        "rows": len(found), "flagged": sum(q.caught for q in found), "rejected": sum(q.rejected for q in found),
        "bad": sum(not q.adversarial for q in found), "outside": sum(not q.inside for q in found),
    }  # fmt: skip
    return image.model_copy(update=counts)
