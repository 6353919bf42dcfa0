"""Attack specs: build attacks from ``square,nes`` and settings such as ``square.p_init=0.1``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

from blackbox.specs import parse
from blackbox.specs.data import own


def build(names: str, pairs: list[str]) -> dict[str, Any]:
    """Build the attacks of ``"square,nes"`` with the settings of ``--set``: ``p_init=.1``, or ``square.p_init=.1``.

    ``images=`` may be a data spec, whose attacker's part is loaded.

    Raises:
        ValueError: no name, an unknown or repeated one, or a setting that no attack has.
    """
    from blackbox import attacks

    found = parse.words(names)
    kinds = {name: attacks.get(name) for name in found}
    if not found or len(kinds) < len(found):
        raise ValueError(f"Expected --attack to name one attack, or several different ones, but it was {names!r}.")
    mine: dict[str, list[str]] = {name: [] for name in kinds}
    for pair in pairs:
        name, dot, _ = pair.partition("=")[0].partition(".")
        if dot and name in kinds:
            mine[name].append(pair[len(name) + 1 :])
        elif dot or len(kinds) > 1:
            raise ValueError(
                f"Expected --set ATTACK.NAME=VALUE with ATTACK one of {', '.join(kinds)}, but it was {pair!r}."
            )
        else:
            mine[found[0]].append(pair)
    made = {}
    for name, kind in kinds.items():
        values = settings(kind, mine[name])
        spec = values.get("images")
        if isinstance(spec, str) and not spec.endswith(".npz"):
            values["images"] = own(spec).images
        made[name] = kind(**values)
    return made


def settings(kind: type, pairs: list[str]) -> dict[str, Any]:
    """Parse ``["p_init=.1"]`` into {"p_init": 0.1}, each value by the type of its dataclass field.

    Raises:
        ValueError: not NAME=VALUE, no such field (the message lists them), or a value of the wrong type.
    """
    hints = get_type_hints(kind)
    known = {f.name: (hints.get(f.name, str), f.default) for f in fields(kind) if f.init}
    return parse.assign(known, pairs, f"a setting of {kind.__name__}", "--set NAME=VALUE")
