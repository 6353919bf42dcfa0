"""Checkpoints: stores an attack's explicit state on disk, without pickle.

Dataclasses and tuples of a State are written as their fields and the class's import path; reading imports that class and
refuses anything that is not a dataclass or a named tuple. Everything is written with ``torch.save`` and read with
``weights_only=True``, so a file cannot run code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.moved import now

VERSION = 2


class CheckpointError(ValueError):
    """The file is not a checkpoint, or belongs to another run."""


def encode(value: Any) -> Any:
    """Convert a State to nested dicts, lists and tensors."""
    names = None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        names = value._fields
    if names is not None:
        address = f"{type(value).__module__}:{type(value).__qualname__}"
        return {"class": address, "fields": {name: encode(getattr(value, name)) for name in names}}
    if isinstance(value, (tuple, list)):
        return {type(value).__name__: [encode(v) for v in value]}
    if isinstance(value, np.ndarray):
        return {"array": torch.from_numpy(np.ascontiguousarray(value).copy())}
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"Expected a State to hold tensors, numbers, tuples and dataclasses, but it holds {type(value).__name__}."
    )


def decode(value: Any, device: torch.device) -> Any:
    """The inverse of `encode`."""
    if isinstance(value, Tensor):
        return value.to(device)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return value["array"].numpy()
    if "class" in value:
        return _made(_resolve(value["class"]), {name: decode(v, device) for name, v in value["fields"].items()})
    ((kind_name, items),) = value.items()
    decoded = [decode(v, device) for v in items]
    return tuple(decoded) if kind_name == "tuple" else decoded


def _made(kind: Any, fields: dict[str, Any]) -> Any:
    try:
        return kind(**fields)
    except TypeError as error:
        names = kind._fields if hasattr(kind, "_fields") else [f.name for f in dataclasses.fields(kind)]
        raise CheckpointError(
            f"Expected a state of this version's {kind.__module__.rpartition('.')[2]} ({', '.join(names)}), but the checkpoint has one of "
            f"another version ({', '.join(fields)}). Remove the file to start afresh, or finish the run with that version."
        ) from error


def _resolve(address: str) -> Any:
    module, _, qualname = address.partition(":")
    try:
        kind: Any = importlib.import_module(now(module))
        for part in qualname.split("."):
            kind = getattr(kind, part)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"Expected a state that this version knows, but the checkpoint has {address}, of another version. Remove the file to start "
            "afresh, or finish the run with that version."
        ) from error
    if not (isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))):
        raise CheckpointError(f"Expected {address} to be a dataclass or a named tuple, but it is {kind!r}.")
    return kind


def fingerprint(*tensors: Tensor | np.ndarray) -> str:
    """A short hash of a run's data."""
    digest = hashlib.sha256()
    for tensor in tensors:
        array = np.ascontiguousarray(tensor.numpy(force=True) if isinstance(tensor, Tensor) else tensor)
        digest.update(str((array.shape, str(array.dtype))).encode())
        digest.update(array.data)
    return digest.hexdigest()[:16]


def write(path: Path, settings: dict[str, Any], body: dict[str, Any]) -> None:
    """Write atomically: a kill leaves the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as f:
        torch.save({"version": VERSION, "settings": settings, "body": body}, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(part, path)


def read(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read the body of a checkpoint, which must have been written with the same settings.

    Raises:
        CheckpointError: not a checkpoint, another version, or other settings (says which, and both values).
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version, saved, body = content["version"], content["settings"], content["body"]
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0].split(". ")[0]  # torch's message is a whole paragraph
        raise CheckpointError(
            f"Expected {path} to be a checkpoint of this package, but it cannot be read ({type(error).__name__}: {reason}). "
            "Give another path, or remove the file to start afresh."
        ) from error
    if version != VERSION:
        raise CheckpointError(f"Expected a checkpoint of version {VERSION}, but {path} has version {version}.")
    if different := differences(saved, settings):
        raise CheckpointError(
            f"The checkpoint {path} belongs to other settings ({different}). "
            "Give another path, or remove the file to start afresh."
        )
    return body


_LATER = ("weights",)
"""Settings that older files do not have, and that not every target has: they are compared where both sides have them."""


def differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """Describe the settings in which a file and a run differ, for a message; empty when they agree."""
    return "; ".join(
        f"{name}: {there.get(name)!r} there, {here.get(name)!r} here"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name) and (name not in _LATER or (there.get(name) and here.get(name)))
    )
