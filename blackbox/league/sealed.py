"""Sealed targets: which models fill the slots of a scenario, in a file that only the host has, bound by a hash with salt."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from blackbox.league.entry import Part
from blackbox.league.scenario import Name, Scenario, Target
from blackbox.league.signing import own_file
from blackbox.specs.model import file_print

WEIGHTS = (".safetensors", ".pt", ".onnx", ".ts", ".pt2", ".tflite", ".keras")


class Slot(Part):
    """The model of a slot. salt: random, so that nobody finds the model by trying the hashes of those that are known."""

    name: Name
    model: str
    seed: Annotated[int, Field(ge=0)] = 0
    salt: Annotated[str, Field(min_length=16)]


class Sealed(Part):
    """What a host keeps back until the season is over."""

    slots: list[Slot]


def read(path: str | os.PathLike[str]) -> Sealed:
    """Read the file. Raises: FileNotFoundError, ValueError; there is none, or it is none."""
    where = Path(path)
    if not where.is_file():
        raise FileNotFoundError(f"Expected the sealed targets at {path}, but there is no such file. Make one: blackbox league seal")
    try:
        return Sealed(**tomllib.loads(where.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError):
        raise ValueError(f"Expected {path} to hold [[slots]] with name, model, seed and salt, but it does not.") from None


def write(path: str | os.PathLike[str], models: list[str], names: list[str], seeds: list[int] | None = None) -> None:
    """Write the file, which only its owner may read: these models for the slots of these names.

    Raises:
        ValueError: as many models as slots are needed. FileExistsError: there is a file.
    """
    if len(models) != len(names):
        raise ValueError(f"Expected a model for each of the {len(names)} sealed slots, {', '.join(names)}, but there were {len(models)}.")
    rows = zip(names, models, seeds or [0] * len(models), strict=True)
    tables = [
        f"[[slots]]\nname = {json.dumps(name)}\nmodel = {json.dumps(model)}\nseed = {seed}\nsalt = {json.dumps(secrets.token_hex(16))}\n"
        for name, model, seed in rows
    ]
    own_file(path, "\n".join(tables).encode(), f"Expected no file at {path}, but there is one; its slots may be in use. Give another path.")


def chosen(target: Target, sealed: Sealed | None, scenario: Scenario) -> tuple[str, int, str]:
    """The model that a target is, its seed, and the hash that binds the host to it.

    Raises:
        ValueError: nothing fills a sealed slot.
    """
    if target.model is not None:
        return target.model, target.seed, _hash(target.model, target.seed, "")
    slot = next((slot for slot in (sealed.slots if sealed else []) if slot.name == target.name), None)
    if slot is None:
        raise ValueError(f"Expected a model for the sealed slot {target.name} of {scenario.name}, but there is none. Give --sealed FILE.")
    return slot.model, slot.seed, _hash(slot.model, slot.seed, slot.salt)


def _hash(model: str, seed: int, salt: str) -> str:
    return hashlib.sha256(json.dumps([model, seed, salt, file_print(model)]).encode()).hexdigest()


def make(path: str | os.PathLike[str], slots: list[str], models: list[str], folder: str | None = None, form: str = "{}") -> None:
    """Write the file for these slots: with ``models``, or drawn from the weights in a folder, or with the digits' nets, trained anew.

    Raises:
        ValueError: there is no slot, or there are too few models.
    """
    if not slots:
        raise ValueError("Expected a scenario with a sealed slot, a target with sealed = true, but it has none.")
    if models:
        write(path, models, slots)
    elif folder is not None:
        found = sorted(each for each in Path(folder).rglob("*") if each.suffix in WEIGHTS)
        if len(found) < len(slots):
            kinds = ", ".join(WEIGHTS)
            raise ValueError(f"Expected at least {len(slots)} files of weights ({kinds}) in {folder}, but there were {len(found)}.")
        write(path, [form.format(each) for each in secrets.SystemRandom().sample(found, len(slots))], slots)
    else:
        write(path, ["digits:cnn"] * len(slots), slots, [secrets.randbits(31) for _ in slots])

