"""Parses the pieces of a spec: numbers, lists, settings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import MISSING
from fractions import Fraction
from typing import Any, get_args

from blackbox.plain_text import did_you_mean


def number(text: str, name: str = "eps") -> float:
    """``"8/255"``, ``"0.03"``, ``"inf"`` -> float."""
    word = text.strip().lower()
    if word in ("inf", "infinity"):
        return math.inf
    try:
        return float(Fraction(word)) if "/" in word else float(word)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"Expected {name} to be a number such as 0.03 or 8/255, but it was {text!r}.") from None


def integer(text: str, name: str) -> int:
    """``"3"`` -> 3."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"Expected {name} to be a whole number, but it was {text!r}.") from None


def words(text: str) -> list[str]:
    """``"a, b,,c"`` -> ["a", "b", "c"]."""
    return [w.strip() for w in text.split(",") if w.strip()]


def assign(
    known: dict[str, tuple[Any, Any]], pairs: list[str], what: str, form: str, in_order: bool = False
) -> dict[str, Any]:
    """``["a=1", ...]`` -> {"a": 1}, by a table of names with (type, default or MISSING).

    Args:
        what, form: for the error message.
        in_order: a value without a name goes to the first name without a value.
    """
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        free = next((n for n in known if n not in out), None)
        if not equals and in_order and free is not None:
            name, value = free, pair
        elif not equals:
            raise ValueError(f"Expected {form}, but it was {pair!r}.")
        if name not in known:
            have = ", ".join(f"{n}={d!r}" if d is not MISSING else n for n, (_, d) in known.items())
            raise ValueError(f"Expected {what} ({have or 'it has none'}), but it was {name!r}.{did_you_mean(name, known)}")
        out[name] = _value(value.strip(), known[name][0], name)
    return out


def one_of(word: str, known: Iterable[str], what: str) -> str:
    """Check that ``word`` is one of the ``known`` names, and return it.

    Raises:
        ValueError: it is not; the message lists them and suggests the nearest.
    """
    known = list(known)
    if word not in known:
        raise ValueError(f"Expected {what} to be one of {', '.join(known)}, but it was {word!r}.{did_you_mean(word, known)}")
    return word


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
        return integer(text, name)
    return number(text, name) if kind is float else text
