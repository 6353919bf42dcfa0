"""Tariffs as text, ``query=0.01,bad=0.02,most=1.5``, or as the values of a file: one reader for command line, studies and the league."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, overload

from blackbox.plain_text import did_you_mean
from blackbox.specs import parse
from blackbox.tariff import PRICES, Tariff

_FORM = "a tariff as name=value, query=0.01,bad=0.02,most=1.5"


@overload
def read_tariff(text: str) -> Tariff: ...
@overload
def read_tariff(text: str | None) -> Tariff | None: ...
def read_tariff(text: str | None) -> Tariff | None:
    """``"query=0.01, flagged=1/2, lock-out=5"`` -> Tariff(query=0.01, flagged=0.5, lock_out=5); None for None.

    Raises:
        ValueError: no such price, given twice, or no number; says which.
    """
    if text is None:
        return None
    known: dict[str, tuple[Any, Any]] = {each.name: (float, each.default) for each in fields(Tariff)}
    known["lock_out"] = (int, None)
    pairs = parse.words(text)
    names = [pair.partition("=")[0].strip().replace("-", "_") for pair in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"Expected each price once in a tariff, but {twice} was there twice, in {text!r}.")
    _check_names(names)
    values = parse.assign(known, pairs, "a price or limit of a tariff", _FORM)
    if not values:
        raise ValueError(f"Expected {_FORM}, but there was none in {text!r}.")
    return Tariff(**values)


def tariff_of(values: Mapping[str, Any]) -> Tariff | None:
    """A tariff from a file's values by name; None where there are none. Raises: ValueError."""
    _check_names(values)
    return Tariff(**values) if values else None


def _check_names(names: Any) -> None:
    known = [each.name for each in fields(Tariff)]
    if unknown := next((name for name in names if name not in known), None):
        limits = [name for name in known if name not in PRICES]
        raise ValueError(
            f"Expected prices ({', '.join(PRICES)}) and limits ({', '.join(limits)}) in a tariff, but there was {unknown!r}."
            f"{did_you_mean(unknown, known)}"
        )
