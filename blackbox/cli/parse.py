"""Words of the command line -> values: radii, threats, lists, settings of an attack."""

from __future__ import annotations

import difflib
import math
from dataclasses import MISSING, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

if TYPE_CHECKING:
    from blackbox.threat import Threat


def kinds() -> dict[str, type[Threat]]:
    """The threats there are, by the lower-case name of their norm."""
    from blackbox.threat import Threat

    return {kind.norm.lower(): kind for kind in Threat.__subclasses__()}


def number(text: str, name: str = "eps") -> float:
    """``"8/255"``, ``"0.03"``, ``"inf"`` -> float."""
    word = text.strip().lower()
    if word in ("inf", "infinity"):
        return math.inf
    try:
        return float(Fraction(word)) if "/" in word else float(word)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"Expected {name} to be a number such as 0.03 or 8/255, but it was {text!r}.") from None


def words(text: str) -> list[str]:
    """``"a, b,,c"`` -> ["a", "b", "c"]."""
    return [w.strip() for w in text.split(",") if w.strip()]


def threats(norm: str | None, eps: str | None, threat: str | None) -> list[Threat]:
    """From ``--norm linf --eps 4/255,8/255`` or ``--threat linf:4/255,8/255``.

    Raises:
        ValueError: no such norm, no radius, or a radius that cannot be.
    """
    if threat is not None:
        if norm is not None or eps is not None:
            raise ValueError("Expected either --threat or --norm and --eps, but both were given.")
        norm, _, eps = threat.partition(":")
    norm = (norm or "linf").strip().lower().replace("_", "").replace("-", "")
    known = kinds()
    if norm not in known:
        raise ValueError(f"Expected the norm to be one of {', '.join(known)}, but it was {norm!r}.")
    radii = words(eps or "")
    if not radii:
        raise ValueError("Expected a radius, for example --eps 8/255 (images lie in [0, 1]), but none was given.")
    return [known[norm](number(word)) for word in radii]


def one_threat(norm: str | None, eps: str | None, threat: str | None) -> Threat:
    """As `threats`, for a verb that takes a single one."""
    found = threats(norm, eps, threat)
    if len(found) > 1:
        raise ValueError(f"Expected one eps here, but there were {len(found)}. Run the verb once for each.")
    return found[0]


def settings(kind: type, pairs: list[str]) -> dict[str, Any]:
    """``["p_init=.1"]`` -> {"p_init": 0.1}, each value read as its dataclass field is typed.

    Raises:
        ValueError: not NAME=VALUE, no such field (lists those there are), or a value of the wrong type.
    """
    known = {f.name: f for f in fields(kind) if f.init}
    hints = get_type_hints(kind)
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"Expected --set NAME=VALUE, but it was {pair!r}.")
        if name not in known:
            have = ", ".join(f"{n}={f.default!r}" if f.default is not MISSING else n for n, f in known.items())
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"Expected a setting of {kind.__name__} ({have or 'it has none'}), but it was {name!r}.{hint}"
            )
        out[name] = _value(value.strip(), hints.get(name, str), name)
    return out


def _value(text: str, hint: Any, name: str) -> Any:
    options = get_args(hint) if not isinstance(hint, type) else (hint,)
    if type(None) in options and text.lower() in ("none", ""):
        return None
    wrong: ValueError | None = None
    for kind in (bool, int, float, str):
        if kind in options:
            try:
                return _cast(text, kind, name)
            except ValueError as error:
                wrong = error
    if wrong is not None:
        raise wrong
    if all(isinstance(option, str) for option in options) and options:  # Literal["a", "b"]
        if text not in options:
            raise ValueError(f"Expected {name} to be one of {', '.join(options)}, but it was {text!r}.")
        return text
    raise ValueError(f"Expected {name} to be set from Python: its type {hint} cannot be written on a command line.")


def _cast(text: str, kind: type, name: str) -> Any:
    if kind is bool:
        words_for = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words_for:
            raise ValueError(f"Expected {name} to be true or false, but it was {text!r}.")
        return words_for[text.lower()]
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"Expected {name} to be a whole number, but it was {text!r}.") from None
    return number(text, name) if kind is float else text
