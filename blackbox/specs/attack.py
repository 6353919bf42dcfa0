"""Attack specs: build attacks from ``square,nes`` and settings such as ``square.p_init=0.1``."""

from __future__ import annotations

from typing import Any, get_type_hints

from blackbox.plugins import short
from blackbox.specs import parse
from blackbox.specs.data import own


def build(names: str, pairs: list[str]) -> dict[str, Any]:
    """Build the attacks of ``"square,nes"`` with the settings of ``--set``: ``p_init=.1``, or ``square.p_init=.1``.

    ``my.py:Mine`` is an attack of one's own, called Mine from here on. ``images=`` may be a data spec, whose attacker's part is
    loaded.

    Raises:
        ValueError: no name, an unknown or repeated one, or a setting that no attack has.
    """
    from blackbox import attacks

    found = parse.words(names)
    for name in found:
        _refuse_preset(name)
    kinds = {short(name): attacks.get(name) for name in found}
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
            mine[short(found[0])].append(pair)
    made = {}
    for full in found:
        values = settings(kinds[short(full)], mine[short(full)])
        spec = values.get("images")
        if isinstance(spec, str) and not spec.endswith(".npz"):
            values["images"] = own(spec).images
        made[short(full)] = attacks.build(full, **values)
    return made


def _refuse_preset(name: str) -> None:
    """Raise a ValueError for a name that crafts transfer examples instead of asking a target."""
    from blackbox import attacks

    if name in attacks.names() or ":" in name:
        return
    from surrogates.crafting import presets

    if name in presets.names():
        raise ValueError(
            f"Expected an attack that queries the target, but {name} crafts examples with gradients of surrogates. "
            f"Transfer them: blackbox transfer --attacks {name} --from NET --to TARGET; attacks are listed by: blackbox list attacks."
        )


def settings(attack: Any, pairs: list[str]) -> dict[str, Any]:
    """Parse ``["p_init=.1"]`` into {"p_init": 0.1}, each value by the type of its dataclass field.

    ``attack``: a class, or an attack whose settings are to be changed.

    Raises:
        ValueError: not NAME=VALUE, no such field (the message lists them), or a value of the wrong type.
    """
    from blackbox import attacks

    kind = attack if isinstance(attack, type) else type(attack)
    hints = get_type_hints(kind)
    known = {f.name: (hints.get(f.name, str), getattr(attack, f.name, f.default)) for f in attacks.fields_of(kind) if f.init}
    return parse.assign(known, pairs, f"a setting of {kind.__name__}", "--set NAME=VALUE")
