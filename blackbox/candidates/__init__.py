"""Candidate makers: small parts that each propose a next point for a row, for an attack that chooses among them.

A maker is a frozen dataclass with a name, initial counts, and two methods; see `Maker`. One's own goes into
``blackbox.attacks.build("hybrid", prior=..., makers=(*blackbox.candidates.usual(), Mine()))``.

    recraft    a few steps from the best point, on surrogates that agree with the target there
    static     adversarial examples on the prior, one after the other (kept in the `Bank`)
    crossover  a window of one of these, put into the best point
    ripples    a window of waves as short as pixels allow
    squares    Square's move
    start      the first point     opening  the first queries     bandit  which maker proposes
    rays       the start of a search over sign vectors            aimed   where a prior leads from a boundary point
"""

from __future__ import annotations

from blackbox.candidates.bank import Bank
from blackbox.candidates.craft import CraftGoal, calibrated, craft
from blackbox.candidates.crossover import Crossover
from blackbox.candidates.maker import Maker, Scene
from blackbox.candidates.recraft import Recraft
from blackbox.candidates.ripples import Ripples
from blackbox.candidates.squares import Squares
from blackbox.candidates.static import Static

__all__ = [
    "Bank",
    "Crossover",
    "Maker",
    "Recraft",
    "Ripples",
    "Scene",
    "Squares",
    "Static",
    "CraftGoal",
    "calibrated",
    "craft",
    "usual",
]


def usual() -> tuple[Maker, ...]:
    """The makers of `hybrid`."""
    return (
        Recraft("recraft", (3.0, 3.0)),
        Recraft("recraft, random", (2.0, 3.0), towards=None, random=True),
        Static("static", (3.0, 3.0)),
        Crossover("crossover, runner-up", (2.0, 4.0), runner_up=True),
        Crossover("crossover, random", (1.5, 4.0)),
        Ripples("ripples", (1.5, 4.0)),
        Squares("square", (1.5, 4.0)),
    )
