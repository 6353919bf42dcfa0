"""Acquire: spending queries on a surrogate. Which images are shown to a target, and what is learned from its answers.

    got = surrogates.learn(surrogates.build("lenet"), oracle, pool, "jacobian", queries=6400, held_out=0)
    print(got.bill, got.curve.table(), sep="\\n")
    attack through got.net; got.answers can be trained on again, and bagged, at no cost

A strategy is a frozen dataclass with two methods, `Strategy.plan` (how many queries in which round) and `Strategy.select`
(which images); read `uncertainty` to write the next one. An instance goes where a name does.

    distil        all queries at once, images at random: what is learned is a matter of the oracle's access and the recipe
    random        the same number of images at random, round by round: the baseline of the active strategies
    uncertainty   the images that the surrogate is least sure of
    k-center      the images farthest from all that were asked about
    dfal          the images nearest to the surrogate's own boundary, far from one another
    jacobian      new images along the surrogate's Jacobian, from a handful of seeds
    noised        half of the queries on images, half on the same images under noise: for targets that show labels only
"""

from __future__ import annotations

import difflib

from surrogates.acquisition.bagged import Bag as Bag
from surrogates.acquisition.bagged import bagged as bagged
from surrogates.acquisition.base import Choice as Choice
from surrogates.acquisition.base import Rounds as Rounds
from surrogates.acquisition.base import Situation as Situation
from surrogates.acquisition.base import Strategy as Strategy
from surrogates.acquisition.bill import Bill as Bill
from surrogates.acquisition.bill import bill as bill
from surrogates.acquisition.curve import AgreementCurve as AgreementCurve
from surrogates.acquisition.curve import plot as plot
from surrogates.acquisition.dfal import DFAL as DFAL
from surrogates.acquisition.distil import Distil as Distil
from surrogates.acquisition.jacobian import Jacobian as Jacobian
from surrogates.acquisition.k_center import KCenter as KCenter
from surrogates.acquisition.noised import Noised as Noised
from surrogates.acquisition.pools import noise as noise
from surrogates.acquisition.random import Random as Random
from surrogates.acquisition.uncertainty import Uncertainty as Uncertainty

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
    """The strategies there are."""
    return list(_ALL)


def get(strategy: str | Strategy) -> Strategy:
    """A strategy by name, with its defaults; ``active`` means dfal.

    Raises:
        ValueError: no such strategy; suggests the nearest.
    """
    if isinstance(strategy, Strategy):
        return strategy
    key = _ALIASES.get(str(strategy).lower(), str(strategy).lower())
    if key not in _ALL:
        close = difflib.get_close_matches(key, [*_ALL, *_ALIASES], n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"Expected a strategy to spend queries by, but it was {strategy!r}. {hint}There are {', '.join(_ALL)}."
        )
    return _ALL[key]
