"""`Entry`: one attack's results in one scenario, image by image, as a folder; what a table is made of.

``entry.json`` is this model. Beside it, in a folder a session: ``account.json``, the server's signed account, ``journal.jsonl``, what was
asked, and the result as `AttackResult.save` writes it. Nothing here is proof: `blackbox.league.verify` compares it with what is signed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

FORMAT = "blackbox-league-1"
FILE, ACCOUNT, JOURNAL, IMAGES, SCENARIO, SOURCE = (
    "entry.json", "account.json", "journal.jsonl", "images.safetensors", "scenario.toml", "source",
)  # fmt: skip

Count = Annotated[int, Field(ge=0)]


class EntryError(ValueError):
    """An entry, or a file of it, that cannot be read; one sentence."""


class Part(BaseModel):
    """What the models of the league have in common: unknown fields are refused, and nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Image(Part):
    """What became of one image in one session.

    Args:
        image: its id, the place in the scenario's data. label: its true class.
        attacked: did the target classify it correctly, unchanged? Or, under a goal that is no class: did it not reach the goal, unchanged?
            Others belong in no success rate.
        success: an adversarial image inside the threat was found within the budget. For failures queries count as the whole budget.
        queries: rows that the server answered about this image, its clean check among them.
        first_success_query: which of them first succeeded; 0 where none did.
        distance: of the claimed adversarial image, in the threat's norm; None without one.
        flagged: queries that a detector flagged, or that were rejected. rejected: those that got no answer. bad: not adversarial.
        gradients: of surrogates, as the entrant declares. seconds: of the session, an image.
    """

    image: int
    label: int
    attacked: bool
    success: bool
    queries: Count
    first_success_query: Count = 0
    distance: Annotated[float, Field(ge=0)] | None = None
    flagged: Count = 0
    rejected: Count = 0
    bad: Count = 0
    gradients: Annotated[float, Field(ge=0)] = 0.0
    seconds: Annotated[float, Field(ge=0)] = 0.0


class Session(Part):
    """One attack on one target with one seed.

    Args:
        target: its name in the scenario. sealed: kept back by the host. budget: queries an image.
        folder: inside the entry. key: id of the server's key. earlier: sessions on the same target and seed that this player had opened
            before, with other attacks or sources; each is another draw.
        stopped: why it ended early; None where it came to its end. Images that it did not finish are failures.
        goal: in words, as the host says it; empty where the scenario wants a class.
    """

    target: str
    sealed: bool = False
    seed: Count
    budget: Annotated[int, Field(ge=1)]
    folder: str
    key: str
    earlier: Count = 0
    stopped: str | None = None
    goal: str = ""
    images: list[Image]

    def __str__(self) -> str:
        return f"{self.target}, seed {self.seed}"


class Row(NamedTuple):
    """One image of one session: a row of the table."""

    attack: str
    scenario: str
    session: Session
    image: Image


class Entry(Part):
    """One attack in one scenario.

    Args:
        attack: its name. parameters: its settings, as it shows them; settings: those that were given, ``["p_init=.1"]``.
        source: the hash of its source, given to the server before it opened a target. floor: shown as a floor of the table (noise, Square).
        player: the account of the host that played. scenario: its name. scenario_hash: of the file's content.
        surrogates: names from the scenario's pool whose gradients were used. labels: answers that a surrogate was trained with.
            training: what else its surrogates took. All three as the entrant declares.
        environment: versions and machine that played.
    """

    format: Literal["blackbox-league-1"] = FORMAT  # type: ignore[assignment]
    attack: Annotated[str, Field(min_length=1)]
    parameters: str
    settings: list[str] = []
    source: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    floor: bool = False
    player: Annotated[str, Field(min_length=1)]
    scenario: str
    scenario_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    surrogates: list[str] = []
    labels: Count = 0
    training: str = ""
    sessions: list[Session]
    environment: dict[str, dict[str, str | int | None]] = {}

    def rows(self) -> Iterator[Row]:
        """Every image of every session, in their order."""
        for session in self.sessions:
            for image in session.images:
                yield Row(self.attack, self.scenario, session, image)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``entry.json`` into a folder; a kill leaves the old file or the new one."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        part = path / f"{FILE}.part"
        part.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(part, path / FILE)
        return path

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Entry:
        """Read the ``entry.json`` of a folder.

        Raises:
            EntryError: there is none, it is truncated, or of another form or version; one sentence.
        """
        path = Path(folder) / FILE
        if begun(folder):
            raise EntryError(f"Expected an entry in {folder}, but it is not finished: no session came to its end. Run the command again.")
        if not path.is_file():
            raise EntryError(f"Expected an entry in {folder}, written by blackbox league run, but there is no {FILE}.")
        return read_model(cls, path)


def begun(folder: str | os.PathLike[str]) -> bool:
    """Is this the folder of an entry of which no session has come to its end?"""
    return (Path(folder) / SCENARIO).is_file() and not (Path(folder) / FILE).is_file()


def read_model(kind: type[Any], path: Path) -> Any:
    """A model from its JSON file.

    Raises:
        EntryError: no such file, no JSON, or other fields; says the first.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no JSON, or breaks off"
        raise EntryError(f"Expected {path} to be readable, but {said}. Copy it again from where it was written.") from None
    if isinstance(values, dict) and "format" in kind.model_fields and values.get("format") != FORMAT:
        raise EntryError(
            f"Expected {path} to have the format {FORMAT}, but it has {values.get('format')!r}. Read it with the version that wrote it."
        )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the whole"
        known = {"missing": "it is missing", "extra_forbidden": "there is no such field"}
        said = known.get(fault["type"], f"it was {fault['input']!r:.60}")
        raise EntryError(f"Expected {path} to be a {kind.__name__.lower()}, but of {where}: {said}. Was it edited?") from None
