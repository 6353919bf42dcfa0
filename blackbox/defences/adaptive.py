"""Which attacker knows which defence: the table from a defence to the attack that stands around another one and makes it adaptive.

An evaluation shows both, the attack as it is and the one that knows the defence: what stops only the first protects from nobody
who reads the paper (Tramèr et al. 2020, arXiv:2002.08347).
"""

from __future__ import annotations

from typing import Any

from blackbox.targets.target import Wrapper

ADAPTIVE = {
    "Blacklight": "oars",
    "PIHA": "oars",
    "QPA": "oars",
    "RandomFeatures": "averaged",
    "InputNoise": "averaged",
    "RandomResize": "averaged",
    "Noisy": "averaged",
    "AAA": "both-ways",
    "ReverseSigmoid": "both-ways",
}
"""Class of the defence -> registered name of the attack around another one, which takes that as ``attack=``."""


def defences_of(target: Any) -> list[str]:
    """The defences that a target has, by the names of their classes, the outermost first, of those in the table."""
    found = []
    while isinstance(target, Wrapper):
        found += [kind.__name__ for kind in type(target).__mro__ if kind.__name__ in ADAPTIVE][:1]
        target = target.inner
    return found
