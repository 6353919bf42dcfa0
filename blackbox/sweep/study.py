"""A study as data: the keys of its TOML file, all checked before anything runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from blackbox.plain_text import did_you_mean, of_toml
from blackbox.plugins import is_file
from blackbox.specs.goal import in_words
from blackbox.specs.goal_text import any_form
from blackbox.specs.tariff import read_tariff
from blackbox.specs.threat import read_threat

if TYPE_CHECKING:
    from blackbox.sweep.table import Table


def _several(value: Any) -> Any:
    """One value stands for a list of it."""
    return value if isinstance(value, (list, tuple)) else [value]


def _different(values: list[Any]) -> list[Any]:
    for i, value in enumerate(values):
        if value in values[:i]:
            raise ValueError(f"Expected values that differ, but {value} is there twice.")
    return values


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


Words = Annotated[list[str], BeforeValidator(_several), Field(min_length=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_several), Field(min_length=1)]


class _Grid(_Part):
    threats: Words
    seeds: Seeds = [0]
    _reached = field_validator("targeted", check_fields=False)(in_words)

    @field_validator("*", mode="after")
    @classmethod
    def _no_repeats(cls, values: Any) -> Any:
        return _different(values) if isinstance(values, list) else values

    @field_validator("threats")
    @classmethod
    def _norms(cls, values: list[str]) -> list[str]:
        for value in values:
            read_threat(value)
        return values


class Named(_Part):
    """An attack by name, with the settings that differ from its paper's."""

    name: str
    settings: dict[str, bool | int | float | str] = {}

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and "settings" not in value:
            return {"name": value.get("name"), "settings": {k: v for k, v in value.items() if k != "name"}}
        return value

    @model_validator(mode="after")
    def _known(self) -> Named:
        from blackbox import attacks

        kind = attacks.get(self.name)
        known = [f.name for f in attacks.fields_of(kind)]
        for name in self.settings:
            if name not in known:
                mend = did_you_mean(name, known)
                raise ValueError(f"Expected a setting of {self.name} ({', '.join(known) or 'it has none'}), but it was {name!r}.{mend}")
        attacks.build(self.name, **self.settings)
        return self

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.settings.items())])


class Images(_Part):
    """Which images, or rows of a table; as the options of the command line."""

    data: str = "digits"
    n: Annotated[int, Field(ge=1)] | None = None
    pick: Literal["spread", "first", "random"] = "spread"
    split: str | None = None
    size: Annotated[int, Field(ge=1)] | None = None
    class_names: str | None = None
    table: str | None = None


class Attacks(_Grid):
    """Query attacks: every target x attack x threat x budget x seed."""

    targets: Words
    attacks: Annotated[list[Named], BeforeValidator(_several), Field(min_length=1)]
    budgets: Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(_several), Field(min_length=1)]
    access: str | None = None
    channels: list[str] = []
    votes: Annotated[int, Field(ge=1)] | None = None
    eight_bit: bool = False
    targeted: str | None = None
    goal: str | None = None
    tariff: str | None = None

    @model_validator(mode="after")
    def _fit(self) -> Attacks:
        """Every attack must serve every threat and be shown enough; checked before any cell runs."""
        from blackbox import attacks, given
        from blackbox.protocol import Access

        given.votes(self.votes, randomised=False)
        read_tariff(self.tariff)
        if self.goal is not None and self.targeted is not None:
            raise ValueError("Expected either targeted or a goal, but both were given.")
        shown = Access.SCORES if self.any_form else Access.parse(self.shows.partition(":")[0])
        for named in self.attacks:
            kind = attacks.get(named.name)
            for text in self.threats:
                if read_threat(text).norm not in kind.norms:
                    raise ValueError(f"Expected a threat in {' or '.join(kind.norms)} for {named.name}, but it was {text}.")
            if shown < kind.access:
                raise ValueError(
                    f"Expected access to at least {kind.access.name.lower()} for {named.name}, but it was {shown.name.lower()}."
                )
        return self

    @property
    def any_form(self) -> bool:
        """Do the targets answer in a form that only the goal can read?"""
        return self.access is None and any_form(self.goal)

    @property
    def shows(self) -> str:
        """The access level: as it is given, else scores, or answers for the goal, or what the channels leave."""
        from blackbox.specs import channels

        return "answers" if self.any_form else channels.access(self.access, channels.read(self.channels))


class Transfer(_Grid):
    """Transfer: every source x target x preset x threat x seed, beside noise of the same size."""

    sources: Words
    targets: Words
    presets: Words
    steps: Annotated[int, Field(ge=1)] | None = None
    noise: bool = True
    targeted: str | None = None

    @field_validator("presets")
    @classmethod
    def _presets(cls, values: list[str]) -> list[str]:
        from surrogates.crafting import presets

        found = [presets.get(value) for value in values]
        return [value if is_file(value) else preset.name for value, preset in zip(values, found, strict=True)]


class Point(NamedTuple):
    """One point of the grid. ``source`` and ``preset`` are those of a transfer; ``attack`` and ``budget`` of an attack."""

    kind: str
    target: str
    what: str
    threat: str
    seed: int
    budget: int = 0
    source: str = ""

    def __str__(self) -> str:
        words = [self.what, f"from {self.source}" if self.source else "", f"on {self.target}", self.threat]
        return ", ".join(filter(None, [*words, f"budget {self.budget}" if self.budget else "", f"seed {self.seed}"]))


class Study(_Part):
    """A grid of cells over some images.

    Args:
        name: of the study. images: which. attack, transfer: the grids; one of them at least.
        block: images that are worked on together: a cell holds the outcomes of one block. rows: of a call of the target.
            Both belong to the study, so that a target whose answers change in the last bit with the size of a call
            gives the same however the work is cut.
        classes, mean, std, returns, batch: how models are loaded and read, as for the command line. own_endpoint: http
            targets that are elsewhere are yours, or yours to test.

    Raises:
        ValueError: everything that is wrong, in one message.
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "study"
    images: Images = Images()
    attack: Attacks | None = None
    transfer: Transfer | None = None
    block: Annotated[int, Field(ge=1)] = 32
    rows: Annotated[int, Field(ge=1)] = 128
    classes: Annotated[int, Field(ge=2)] | None = None
    mean: str | None = None
    std: str | None = None
    returns: Literal["logits", "probabilities", "percent", "labels"] | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    own_endpoint: bool = False

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(_sentence("the study", error)) from None

    @model_validator(mode="after")
    def _some(self) -> Study:
        if self.attack is None and self.transfer is None:
            raise ValueError("Expected a grid, [attack] or [transfer], but there was none.")
        if self.images.table is not None and (self.transfer is not None or (self.attack is not None and self.attack.eight_bit)):
            raise ValueError("Expected neither [transfer] nor eight_bit with a table, whose rows are no images. Leave it out.")
        return self

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Study:
        """Read a TOML file.

        Raises:
            FileNotFoundError: no such file. ValueError: no TOML, or no study; says all that is wrong.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"Expected a study at {path}, but there is no such file.")
        values = of_toml(path.read_bytes(), path)
        try:
            return cls(**{"name": path.stem.replace(" ", "-"), **values})
        except ValueError as error:
            raise ValueError(str(error).replace("the study", str(path), 1)) from None

    def points(self) -> list[Point]:
        """Every point of the grid, in the order of the file."""
        out: list[Point] = []
        if (a := self.attack) is not None:
            grid = product(a.targets, a.attacks, a.threats, a.budgets, a.seeds)
            out += [Point("attack", t, str(n), e, s, b) for t, n, e, b, s in grid]
        if (m := self.transfer) is not None:  # targets last: what is crafted once is shown to all of them
            crafted = product(m.sources, m.presets, m.threats, m.seeds, m.targets)
            out += [Point("transfer", t, p, e, s, source=source) for source, p, e, s, t in crafted]
        return out

    def text(self) -> str:
        """The study as JSON: what a worker is sent."""
        return self.model_dump_json()

    @classmethod
    def parse(cls, text: str) -> Study:
        """The inverse of `text`."""
        return cls(**json.loads(text))

    def run(self, store: str | os.PathLike[str], **how: Any) -> Table:
        """Run the cells that the store does not hold yet, and read the table; arguments as `blackbox.sweep.run.run`."""
        from blackbox.sweep.run import run

        return run(self, store, **how)


def _sentence(what: str, error: ValidationError) -> str:
    """All faults at once: where, what was expected, what came."""
    parts: dict[str, type[_Part]] = {"": Study, "images": Images, "attack": Attacks, "transfer": Transfer}
    lines = []
    for fault in error.errors():
        where = ".".join(str(step) for step in fault["loc"]) or "the whole"
        if fault["type"] == "extra_forbidden":
            said = "no such key." + _meant(str(fault["loc"][-1]), ".".join(map(str, fault["loc"][:-1])), parts)
        elif fault["type"] == "missing":
            said = "Expected this key, but it is missing."
        else:
            said = fault["msg"].removeprefix("Value error, ")
            said = said if said.startswith("Expected") else f"{said}, but it was {fault['input']!r}."
        lines.append(f"  {where}: {said}")
    return f"Expected a study, but {what} has {len(lines)} fault{'s'[: len(lines) > 1]}:\n" + "\n".join(lines)


def _meant(key: str, table: str, parts: Mapping[str, type[_Part]]) -> str:
    """What a key that the table does not have may stand for: one that it has, or one of another table."""
    here = list(parts[table].model_fields) if table in parts else []
    if near := did_you_mean(key, here):
        return near
    homes = [f"[{name}]" if name else "the head of the file" for name, part in parts.items() if key in part.model_fields]
    return f" It belongs in {' or '.join(homes)}." if homes else f" Expected one of {', '.join(here)}." if here else ""
