"""The strategies by name."""

from __future__ import annotations

from blackbox.plain_text import did_you_mean
from surrogates.acquisition.active import DFAL, KCenter, Uncertainty
from surrogates.acquisition.base import Strategy
from surrogates.acquisition.random import Distil, Random
from surrogates.acquisition.synthetic import Jacobian, Noised

_ALL: dict[str, Strategy] = {
    "distil": Distil(),
    "random": Random(),
    "uncertainty": Uncertainty(),
    "k-center": KCenter(),
    "dfal": DFAL(),
    "jacobian": Jacobian(),
    "noised": Noised(),
}
_ALIASES = {
    "active": "dfal",
    "papernot": "jacobian",
    "jbda": "jacobian",
    "kcenter": "k-center",
    "entropy": "uncertainty",
}


def names() -> list[str]:
    """The names of all strategies."""
    return list(_ALL)


def get(strategy: str | Strategy) -> Strategy:
    """Look up a strategy by name, with its defaults; ``active`` means dfal.

    Raises:
        ValueError: no such strategy; the message suggests the nearest.
    """
    if isinstance(strategy, Strategy):
        return strategy
    key = _ALIASES.get(str(strategy).lower(), str(strategy).lower())
    if key not in _ALL:
        hint = did_you_mean(key, [*_ALL, *_ALIASES])
        raise ValueError(
            f"Expected the name of a strategy, but it was {strategy!r}.{hint} There are {', '.join(_ALL)}."
        )
    return _ALL[key]
