"""`TargetInfo`: a target's description of itself, known before any query."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from blackbox.protocol import Access

RETURNS = {"labels": "labels", "topk": "probabilities", "scores": "probabilities", "logits": "logits"}
"""What a target returns whose server announces this access; of answers of any form nothing is said."""


@dataclass(frozen=True)
class TargetInfo:
    """A target's description of itself. An `Oracle` reads it once and checks its settings against it.

    Attributes:
        name: for reports.
        returns: "logits", "probabilities", "percent", "labels", or None to tell from the first answer.
        classes, shows, k, shape, max_rows: the number of classes, the most that it shows, the classes listed by a top-k
            answer, the shape of an image (None in an axis for any size), the rows of a call; None if not announced.
        probe: the smallest change of an input entry that it sees, in units of the image range.
        resolution: the step to which its scores are rounded.
        precision: the step of its scores relative to their size, where it is coarse: 2**-7 in bfloat16, 0 in float32.
        noise: standard deviation of a score.
        randomised: the same image may get different answers.
        keyed: it charges queries, but repeats an answer without charge: it is called ``predict(x, keys=[...])`` with an
            idempotency key for each row, the same in every attempt.
    """

    name: str
    returns: str | None = None
    classes: int | None = None
    shows: Access | None = None
    k: int | None = None
    shape: tuple[int | None, ...] | None = None
    max_rows: int | None = None
    probe: float = 0.0
    resolution: float = 0.0
    noise: float = 0.0
    randomised: bool = False
    keyed: bool = False
    precision: float = 0.0

    @classmethod
    def announced(cls, said: Mapping[str, Any], **own: Any) -> TargetInfo:
        """What a server announces of its target (docs/how-to/http.md), and what ``own`` gives instead or beside it."""
        numbers = {name: float(said.get(name, 0.0)) for name in ("probe", "resolution", "precision", "noise")}
        flags = {name: bool(said.get(name, False)) for name in ("randomised", "keyed")}
        shows = {"returns": RETURNS.get(said["access"]), "shows": Access.parse(said["access"]), "k": said.get("k")}
        return cls(**{"classes": said["classes"], **shows, **numbers, **flags, **own})


def precision_of(dtype: torch.dtype) -> float:
    """``precision`` of a model that computes in ``dtype``, 0 in float32 and finer types. Half of it is the model's ``probe``: the
    largest distance between two numbers of this type in [0, 1]."""
    eps = torch.finfo(dtype).eps
    return eps if eps > 1e-6 else 0.0


def info_of(target: Any) -> TargetInfo:
    """The info of a target; collected from attributes of the same names if it has no `TargetInfo`."""
    info = getattr(target, "info", None)
    if isinstance(info, TargetInfo):
        own = isinstance(target, Described) and {
            f.name: getattr(target, f.name)
            for f in fields(TargetInfo)
            if not isinstance(inspect.getattr_static(target, f.name), _FromInfo)
        }
        return replace(info, **own) if own else info

    def said(name: str, kind: Any) -> Any:
        value = getattr(target, name, None)
        return value if isinstance(value, kind) else None

    def count(name: str) -> int | None:
        value = said(name, (int, float, np.integer))
        return None if value is None or int(value) != value else int(value)

    return TargetInfo(
        name=target.name,
        returns=target.returns,
        classes=count("classes"),
        shows=said("shows", Access),
        k=count("k"),
        shape=said("shape", tuple),
        max_rows=count("max_rows"),
        probe=float(getattr(target, "probe", 0.0) or 0.0),
        resolution=float(getattr(target, "resolution", 0.0) or 0.0),
        noise=float(getattr(target, "noise", 0.0) or 0.0),
        randomised=bool(getattr(target, "randomised", False)),
        keyed=bool(getattr(target, "keyed", False)),
        precision=float(getattr(target, "precision", 0.0) or 0.0),
    )


def flags_of(target: Any) -> np.ndarray | None:
    """The queries so far that a detector flagged as an attack, [m] bool; None without one."""
    return getattr(target, "flags", None)


def busy_of(target: Any) -> tuple[int, float | None]:
    """The rows that a service was too busy for and did not charge, which were sent again, and the requests a second at which it
    was not, if that was found out."""
    said = getattr(target, "told_busy", None)
    return said if isinstance(said, tuple) else (0, None)


def retried_of(target: Any) -> int:
    """The rows of calls that were repeated."""
    return int(getattr(target, "retried", 0))


class _FromInfo:
    """Reads a field of ``info``. A subclass or an instance may give another value under the same name, which then holds."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __get__(self, target: Any, kind: Any = None) -> Any:
        return self if target is None else getattr(target.info, self.field)


def _from_info(name: str) -> Any:
    return _FromInfo(name)


class Described:
    """A target that describes itself with ``info``. Each field can also be read from the target: ``target.classes``."""

    info: TargetInfo
    device: torch.device

    name: str = _from_info("name")
    returns: str | None = _from_info("returns")
    classes: int | None = _from_info("classes")
    shows: Access | None = _from_info("shows")
    k: int | None = _from_info("k")
    shape: tuple[int | None, ...] | None = _from_info("shape")
    max_rows: int | None = _from_info("max_rows")
    probe: float = _from_info("probe")
    resolution: float = _from_info("resolution")
    noise: float = _from_info("noise")
    randomised: bool = _from_info("randomised")
    keyed: bool = _from_info("keyed")
    precision: float = _from_info("precision")
