"""Ranges of an attack's settings, in which a search tries some: `ranges`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from blackbox import attacks as registry
from blackbox.protocol import Attack

DIGITS = 4
"""Numbers are tried with so many digits, so that their names are the numbers."""


@dataclass(frozen=True)
class Range:
    """From low to high, both among them. whole: whole numbers only. log: small numbers as often as large ones."""

    low: float
    high: float
    whole: bool = False
    log: bool = False


@dataclass(frozen=True)
class Space:
    """attack: a registered name, or a class. settings: name -> a range, or the values to choose among."""

    attack: str | type
    settings: Mapping[str, Range | Sequence[Any]]

    def build(self, values: Mapping[str, Any]) -> Attack:
        """The attack with these values."""
        return registry.build(self.attack, **values) if isinstance(self.attack, str) else self.attack(**values)

    def draw(self, trial: Any) -> dict[str, Any]:
        """Ask an Optuna trial for a value of each setting."""
        out: dict[str, Any] = {}
        for name, given in self.settings.items():
            if not isinstance(given, Range):
                out[name] = trial.suggest_categorical(name, list(given))
            elif given.whole:
                out[name] = trial.suggest_int(name, int(given.low), int(given.high), log=given.log)
            else:
                value = trial.suggest_float(name, given.low, given.high, log=given.log)
                out[name] = min(max(float(f"{value:.{DIGITS}g}"), given.low), given.high)
        return out


def ranges(attack: str | type, **settings: Any) -> Space:
    """Settings to search in: ``ranges("square", p_init=(0.01, 0.5, "log"))``.

    Args:
        attack: a registered name, or a class of one's own.
        settings: ``(low, high)`` or ``(low, high, "log")``, both ends among them, or a list of values to choose among. Two whole
            numbers stand for whole numbers, unless the setting is a float.

    Raises:
        ValueError: no setting, a range that is none, or whatever the attack says of its ends.
    """
    if not settings:
        raise ValueError('Expected ranges to search in, such as p_init=(0.01, 0.5, "log"), but nothing was given.')
    kind = registry.get(attack) if isinstance(attack, str) else attack
    typed = {f.name: str(f.type) for f in fields(kind)}
    space = Space(attack, {name: _range(name, given, typed.get(name, "")) for name, given in settings.items()})
    for end in (0, -1):  # what cannot be is said before anything runs
        space.build({name: _ends(given)[end] for name, given in space.settings.items()})
    return space


def _ends(given: Range | Sequence[Any]) -> tuple[Any, Any]:
    if not isinstance(given, Range):
        return given[0], given[-1]
    return (int(given.low), int(given.high)) if given.whole else (given.low, given.high)


def _range(name: str, given: Any, typed: str) -> Range | list[Any]:
    if isinstance(given, list) and given:
        return given
    if not isinstance(given, tuple) or len(given) not in (2, 3) or given[2:] not in ((), ("log",)):
        raise ValueError(
            f'Expected {name} to be (low, high), (low, high, "log") or a list of values, but it was {given!r}.'
        )
    low, high = given[:2]
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (low, high))
    if not numbers or not low < high or (len(given) == 3 and low <= 0):
        raise ValueError(
            f"Expected two numbers for {name}, the smaller first{' and above 0' if len(given) == 3 else ''}, but they were "
            f"{low!r} and {high!r}."
        )
    whole = isinstance(low, int) and isinstance(high, int) and "float" not in typed
    return Range(low, high, whole, len(given) == 3)
