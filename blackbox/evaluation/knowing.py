"""An attack as one that knows a target's defences: the registered attacks around another one, by `blackbox.defences.adaptive`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from blackbox import attacks
from blackbox.defences.adaptive import ADAPTIVE


def wrapper(name: str) -> Callable[[Any], Any] | None:
    """The attack of this name, which takes another one; None where none is registered."""
    return partial(_around, name) if name in attacks.names() else None


def _around(name: str, attack: Any) -> Any:
    return attacks.build(name, attack=attack)


def adapted(attack: Any, defences: list[str]) -> Any:
    """``attack`` with the wrappers for these defences around it, the outermost defence's outermost; None if none is known."""
    names = list(dict.fromkeys(ADAPTIVE[name] for name in defences if name in ADAPTIVE))
    found = [around for name in reversed(names) if (around := wrapper(name)) is not None]
    for around in found:
        attack = around(attack)
    return attack if found else None
