"""Presets: attacks on surrogates as data, with paper, formula, parts, defaults, cost and departures from the paper."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from blackbox import plugins
from blackbox.plain_text import did_you_mean
from surrogates.crafting.parts.base import Part, Parts
from surrogates.crafting.parts.intensity import SI, Admix
from surrogates.crafting.presets import (
    attention,
    combined,
    ensembles,
    fgsm,
    inside,
    neighbours,
    recent,
    targeted,
    views,
)
from surrogates.crafting.presets.preset import Preset

_ALL = (
    *fgsm.PRESETS, *neighbours.PRESETS, *views.PRESETS, *inside.PRESETS, *ensembles.PRESETS, *targeted.PRESETS,
    *combined.PRESETS, *recent.PRESETS, *attention.PRESETS,
)  # fmt: skip
_BY_NAME = {preset.name: preset for preset in _ALL}
_ALIASES = {
    "bim": "i-fgsm", "fgm": "fgsm", "mim": "mi-fgsm", "nim": "ni-fgsm", "vmi": "vmi-fgsm", "vni": "vni-fgsm", "emi": "emi-fgsm",
    "dim": "di-fgsm", "tim": "ti-fgsm", "sim": "si-fgsm", "ssm": "ssa", "logitmargin": "margin", "potrip": "po-trip",
}  # fmt: skip


GROUP = "surrogates.presets"


def names() -> list[str]:
    """The names of all presets, and those that installed packages add (`blackbox.plugins`)."""
    return [*_BY_NAME, *(name for name in plugins.plugins(GROUP) if name not in _BY_NAME)]


def print_of(name: str) -> str:
    """A hash of the file of ``file.py:NAME``, the package and version of a package's preset, "" for our own."""
    return "" if name in _BY_NAME else plugins.print_of(name, GROUP)


def _own(value: Any, name: str) -> Preset:
    """A preset of one's own: a `Preset`, parts, or a function that gives one of them."""
    made = value() if callable(value) and not isinstance(value, (Preset, Parts, Part)) else value
    if isinstance(made, (Parts, Part)):
        return replace(get(made), name=name)
    if not isinstance(made, Preset):
        raise ValueError(f"Expected {name} to be a surrogates.Preset or parts such as Momentum() | DI(), but it was {made!r:.80}.")
    return made


def get(name: str | Preset | Parts | Part) -> Preset:
    """Look up a preset by name; ``mifgsm``, ``MI_FGSM`` and ``mim`` all mean mi-fgsm. Parts become a preset of ten steps.

    ``file.py:NAME`` is a preset, or parts, in a file of one's own. Names may be combined: ``ni-di-ti-fgsm`` has the parts of
    ni-fgsm, di-fgsm and ti-fgsm, each part once; SI and Admix, which make copies of an image, come before what is done to
    each copy.

    Raises:
        ValueError: no such preset (the message suggests the nearest), or parts that do not go together (it says why).
    """
    if isinstance(name, Preset):
        return name
    if isinstance(name, (Parts, Part)):
        parts = Parts((name,)) if isinstance(name, Part) else name
        return Preset(str(parts), "Composition", "yours", "", "as composed", parts, departures="no paper")
    plain = {re.sub(r"[^a-z0-9]", "", known): known for known in _BY_NAME} | _ALIASES
    key = re.sub(r"[^a-z0-9]", "", str(name).lower())
    if key in plain:
        return _BY_NAME[plain[key]]
    if plugins.is_file(str(name)):
        return _own(plugins.from_file(str(name), "a preset"), plugins.short(str(name)))
    if (entry := plugins.plugins(GROUP).get(str(name))) is not None:
        return _own(plugins.load(entry), str(name))
    if len(found := _combined(str(name))) > 1:
        return _joined(found)
    hint = did_you_mean(key, plain, cutoff=0.5, shown=plain.__getitem__)
    raise ValueError(f"Expected the name of a preset, but it was {name!r}.{hint} There are {', '.join(_BY_NAME)}.")


def _combined(name: str) -> list[Preset]:
    """The presets that a combined name stands for; empty if one of them may not be combined."""
    *words, last = re.split(r"[^a-z0-9]+", name.lower())
    found = [_BY_NAME.get(f"{word}-fgsm") or _BY_NAME.get(word) for word in words]
    whole = [p for p in found if p and p.steps == 10 and p.factor == 1 and p.share is None and not p.targeted]
    return whole if last == "fgsm" and len(whole) == len(words) else []


def _joined(found: list[Preset]) -> Preset:
    parts = dict.fromkeys(part for preset in found for part in preset.parts)
    first = sorted(parts, key=lambda part: not isinstance(part, (SI, Admix)))  # stable
    short = [preset.name.removesuffix("-fgsm") for preset in found]
    return Preset(
        "-".join([*short, "fgsm"]), "Combination", "; ".join(dict.fromkeys(preset.source for preset in found)), "",
        "the parts of " + ", ".join(preset.name for preset in found), Parts(tuple(first)),
        departures="no paper for the combination as such; each part as in its own preset.",
    )  # fmt: skip
