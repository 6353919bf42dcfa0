"""Which attacker knows which defence: the table from a defence to the wrapper that makes an attack adaptive.

An evaluation shows both, the attack as it is and the one that knows the defence: what stops only the first protects from nobody
who reads the paper (Tramèr et al. 2020, arXiv:2002.08347).
"""

from __future__ import annotations

import importlib
from typing import Any

from blackbox.targets.target import Wrapper

WHERE = "blackbox.adaptive"
"""The module with the wrappers, each of which takes an attack and gives one."""

ADAPTIVE = {
    "Blacklight": "OARS",
    "PIHA": "OARS",
    "QPA": "OARS",
    "RandomFeatures": "Averaged",
    "InputNoise": "Averaged",
    "RandomResize": "Averaged",
    "Noisy": "Averaged",
    "AAA": "BothWays",
    "ReverseSigmoid": "BothWays",
}
"""Class of the defence -> name of the wrapper."""


def defences_of(target: Any) -> list[str]:
    """The defences that a target has, by the names of their classes, the outermost first, of those in the table."""
    found = []
    while isinstance(target, Wrapper):
        found += [kind.__name__ for kind in type(target).__mro__ if kind.__name__ in ADAPTIVE][:1]
        target = target.inner
    return found


def adapted(attack: Any, defences: list[str]) -> Any:
    """``attack`` with the wrappers for these defences around it, the outermost defence's outermost; None if none is known."""
    names = list(dict.fromkeys(ADAPTIVE[name] for name in defences if name in ADAPTIVE))
    try:
        module = importlib.import_module(WHERE)
    except ModuleNotFoundError as error:
        if error.name != WHERE:
            raise
        return None
    wrappers = [kind for name in reversed(names) if (kind := getattr(module, name, None)) is not None]
    for kind in wrappers:
        attack = kind(attack)
    return attack if wrappers else None
