"""`Scenario`: what is played for, as a TOML file: targets, surrogates, data, goal, threat, what the attacker has, budgets, tariff.

The four axes of ``[attacker]`` are those of Suya, Suri, Zhang, Hong, Tian & Evans 2024, "SoK: Pitfalls in evaluating black-box attacks"
(arXiv:2310.17534): what can be asked, what an answer tells, and the quality and quantity of the attacker's data.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, field_validator, model_validator

from blackbox.league.entry import Part
from blackbox.plain_text import did_you_mean, of_toml
from blackbox.protocol import Access
from blackbox.specs import channels as between
from blackbox.specs.goal import fits, in_file
from blackbox.specs.tariff import tariff_of
from blackbox.specs.threat import read_threat
from blackbox.sweep.study import Images, Seeds
from blackbox.tariff import Tariff

__all__ = ["FOLDER", "Attacker", "Scenario", "Surrogate", "Target", "path_of", "read"]

FOLDER = Path(__file__).parent / "scenarios"  # those that ship
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]


class Attacker(Part):
    """What the attacker has: the four axes, all of which must be said.

    Args:
        access: "queries" of the target, or "none" (transfer alone). feedback: what an answer shows: labels, topk:K, scores or logits;
            answers, of any form, where a goal reads them.
        quality: of the attacker's data against what the target was trained on: "none", "other" (another distribution), "same" (the same
            distribution, other images), "overlapping" (some of the target's own training images).
        quantity: how many images of it the attacker has; 0 for none.
    """

    access: Literal["queries", "none"]
    feedback: str
    quality: Literal["none", "other", "same", "overlapping"]
    quantity: Annotated[int, Field(ge=0)]

    @field_validator("feedback")
    @classmethod
    def _level(cls, value: str) -> str:
        Access.parse(between.level_of(value)[0])
        return value

    @model_validator(mode="after")
    def _agree(self) -> Attacker:
        if (self.quality == "none") != (self.quantity == 0):
            raise ValueError(f"Expected quality none with quantity 0, and no other, but they were {self.quality} and {self.quantity}.")
        return self


class Target(Part):
    """A target, or a slot for one that the host keeps back. trained_on: its training images, where they are known."""

    name: Name
    model: str | None = None
    sealed: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    trained_on: Images | None = None

    @model_validator(mode="after")
    def _one(self) -> Target:
        if self.sealed == (self.model is not None):
            raise ValueError(f"Expected a model for {self.name}, or sealed = true, but there were {'both' if self.sealed else 'neither'}.")
        return self


class Surrogate(Part):
    """A net of the pool. training: in words, for what trained_on cannot say."""

    name: Name
    model: str
    trained_on: Images | None = None
    training: str = ""


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Scenario(Part):
    """What is played for.

    Args:
        name, version: of the scenario; another version is another scenario. about: a sentence for the table.
        images: which are attacked, all rounded to 8 bits; or rows of a ``table``, a file that says what these may be.
        targets, surrogates: see `Target`, `Surrogate`.
        threat: ``linf:8/255``. mask: a file, as --mask takes it. queries: "anywhere" in the box, or only "inside" the threat and mask.
        targeted: None, a class, "random", another for each image, or FILE.npy with a class for each. goal: what to reach instead of a
            class, as --goal takes it.
        channels, defences: between target and attacker, as --channel and --defence. votes: fresh answers that confirm a success.
        tariff: prices and limits, as `blackbox.Tariff` takes them; the server holds to ``lock_out`` and ``most``, image by image.
        budget: queries an image, its clean check among them. seeds: each is played on each target.
        classes, mean, std, returns, batch: how models are loaded and read, as for the command line.

    Raises:
        ValueError: what is wrong, in one sentence.
    """

    name: Name
    version: Annotated[int, Field(ge=1)] = 1
    about: str = ""
    images: Images
    targets: Annotated[list[Target], Field(min_length=1)]
    surrogates: Annotated[list[Surrogate], Field(default_factory=list)]
    attacker: Attacker
    threat: str
    mask: str | None = None
    queries: Literal["inside", "anywhere"] = "anywhere"
    targeted: str | None = None
    goal: str | None = None
    channels: Annotated[list[str], BeforeValidator(_several), Field(default_factory=list)]
    defences: Annotated[list[str], BeforeValidator(_several), Field(default_factory=list)]
    votes: Annotated[int, Field(ge=1)] = 1
    budget: Annotated[int, Field(ge=1)]
    seeds: Annotated[Seeds, Field(default_factory=lambda: [0])]
    tariff: Annotated[dict[str, float | int], Field(default_factory=dict)]
    classes: Annotated[int, Field(ge=2)] | None = None
    mean: str | None = None
    std: str | None = None
    returns: Literal["logits", "probabilities", "percent", "labels"] | None = None
    batch: Annotated[int, Field(ge=1)] | None = None

    @field_validator("threat")
    @classmethod
    def _norm(cls, value: str) -> str:
        read_threat(value)
        return value

    @field_validator("tariff")
    @classmethod
    def _prices(cls, values: dict[str, float | int]) -> dict[str, float | int]:
        tariff_of(values)
        return values

    @field_validator("targets", "surrogates")
    @classmethod
    def _different(cls, values: list[Any]) -> list[Any]:
        names = [value.name for value in values]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"Expected names that differ, but {twice!r} is there twice.")
        return values

    @field_validator("seeds")
    @classmethod
    def _once(cls, values: list[int]) -> list[int]:
        if len(set(values)) < len(values):
            raise ValueError(f"Expected seeds that differ, but they were {values}.")
        return values

    @model_validator(mode="after")
    def _fit(self) -> Scenario:
        between.access(self.attacker.feedback, self.stack())
        fits(self.goal, self.targeted, self.attacker.feedback)
        if self.images.table is not None and (self.mask or self.surrogates):
            beside = "a mask" if self.mask else "surrogates"
            raise ValueError(f"Expected no mask and no surrogates with rows of a table, but there was {beside}. Leave it out.")
        if self.votes % 2 == 0:
            raise ValueError(f"Expected votes to be an odd number, so that there is a majority, but it was {self.votes}.")
        if self.attacker.access == "none" and self.budget != 1:
            raise ValueError(f"Expected budget = 1 with access none, the clean check alone, but it was {self.budget}.")
        return self

    @property
    def any_form(self) -> bool:
        """Are answers of another form than classes?"""
        return self.attacker.feedback == "answers"

    @property
    def wanted(self) -> str:
        """What an attack is to reach, in words; of a goal as it is written."""
        if self.targeted == "random":
            return "another class, drawn for each image"
        if self.targeted is not None and in_file(self.targeted):
            return f"the class that {self.targeted} has for each image"
        return self.goal or ("any wrong class" if self.targeted is None else f"class {self.targeted}")

    @property
    def prices(self) -> Tariff | None:
        """The tariff; None without prices."""
        return tariff_of(self.tariff)

    @property
    def limit(self) -> int:
        """The most queries about an image, at which failures are charged: the budget, or fewer where the money pays for no more."""
        prices = self.prices
        return self.budget if prices is None else prices.budget(self.budget)

    def stack(self) -> list[between.Chosen]:
        """What stands between a target and the attacker, the innermost first."""
        return between.read(self.channels, self.defences)

    def target(self, name: str) -> Target:
        """The target of this name. Raises: ValueError, there is none."""
        found = {target.name: target for target in self.targets}
        if name not in found:
            raise ValueError(f"Expected a target of {self.name}, {', '.join(found)}, but it was {name!r}.{did_you_mean(name, found)}")
        return found[name]

    def pool(self, names: list[str]) -> list[Surrogate]:
        """The surrogates of these names. Raises: ValueError, one is not in the pool."""
        found = {each.name: each for each in self.surrogates}
        for name in names:
            if name not in found:
                has = f"has {', '.join(found)}" if found else "is empty"
                said = f"Expected a surrogate of the pool of {self.name}, which {has}, but it was {name!r}."
                raise ValueError(said + did_you_mean(name, found))
        return [found[name] for name in names]


def path_of(text: str) -> Path:
    """The file of a scenario: a path, or the name of one that ships.

    Raises:
        FileNotFoundError: there is none.
    """
    path = Path(text)
    if path.is_file():
        return path
    if (shipped := FOLDER / f"{text}.toml").is_file():
        return shipped
    have = sorted(each.relative_to(FOLDER).with_suffix("").as_posix() for each in FOLDER.rglob("*.toml"))
    shown = ", ".join(dict.fromkeys(name if "/" not in name else f"{name.partition('/')[0]}/…" for name in have))
    raise FileNotFoundError(f"Expected a scenario at {text}, or one of {shown}, but there is none.{did_you_mean(text, have)}")


def read(path: str | os.PathLike[str]) -> tuple[Scenario, str]:
    """A scenario from its TOML file, and the hash of the file's content.

    Raises:
        FileNotFoundError: no such file. ValueError: no TOML, or no scenario; one sentence, about the first fault.
    """
    path = path_of(os.fspath(path))
    content = path.read_bytes()
    values = of_toml(content, path)
    try:
        return Scenario(**values), hashlib.sha256(content).hexdigest()
    except ValidationError as error:
        raise ValueError(f"Expected {path} to be a scenario, but {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    """The first fault of several: where, and what was expected. An unknown field comes before one that is missing, which it may mean."""
    faults = error.errors()
    fault = next((each for each in faults if each["type"] == "extra_forbidden"), faults[0])
    steps = list(fault["loc"])
    where = ".".join(map(str, steps)) or "the whole"
    if fault["type"] == "missing":
        return f"{where} is missing."
    if fault["type"] == "extra_forbidden":
        return f"it has {where}, which is no field of it.{_meant(steps)}"
    said = fault["msg"].removeprefix("Value error, ")
    said = said if said.startswith("Expected") else f"{said}, and it was {fault['input']!r:.60}."
    return f"of {where}: {said}"


def _meant(steps: list[Any]) -> str:
    """The field that may be meant by an unknown one."""
    parts: dict[str, type[BaseModel]] = {
        "images": Images, "trained_on": Images, "attacker": Attacker, "targets": Target, "surrogates": Surrogate,
    }  # fmt: skip
    inside = [step for step in steps[:-1] if isinstance(step, str)]
    home = parts.get(inside[-1], Scenario) if inside else Scenario
    return did_you_mean(str(steps[-1]), home.model_fields)
