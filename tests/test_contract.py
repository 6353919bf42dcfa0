"""Every registered attack keeps the contract, in every norm it serves, untargeted and targeted.

A new row of the registry is tested without a change here; `KNOBS` only holds what a method needs to be held to its
own promise (a budget), or says that it draws nothing.
"""

from __future__ import annotations

from typing import Any

from blackbox.attacks import REGISTRY
from blackbox.testing import AttackContract

KNOBS: dict[str, dict[str, Any]] = {}


def _class_name(name: str) -> str:
    return "Test" + "".join(part.capitalize() for part in name.split("-"))


for _name in REGISTRY:
    globals()[_class_name(_name)] = type(
        _class_name(_name), (AttackContract,), {"attack": _name, "__module__": __name__, **KNOBS.get(_name, {})}
    )
