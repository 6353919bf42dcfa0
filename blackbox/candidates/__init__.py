"""Candidate makers: small parts that each propose a next point for a row, for an attack that chooses among them.

A maker is a frozen dataclass with a name, initial counts, and two methods; see `Maker`. One's own goes into
``blackbox.attacks.build("hybrid", prior=..., makers=(*blackbox.candidates.usual(), Mine()))``.

    recraft    a few steps from the best point, on surrogates that agree with the target there
    static     adversarial examples on the prior, one after the other (kept in the `Bank`)
    crossover  a window of one of these, put into the best point
    ripples    a window of waves a few pixels long
    squares    Square's move
    start      the first point     opening  the first queries     whole   the first queries without a prior
    bandit     which maker proposes, and the query that asks for it
    rays       the start of a search over sign vectors            moves   what it may do to them
    aimed      where a prior leads from a boundary point
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
    "without_prior",
]


def usual() -> tuple[Maker, ...]:
    """The makers of `hybrid`: those of `ripples` first, so that both draw alike, then those that ask the prior."""
    return (
        *without_prior(),
        Recraft("recraft", (1.0, 3.0)),
        Recraft("recraft, random", (1.0, 4.0), towards=None, random=True),
        Static("static", (1.0, 3.0)),
        Crossover("crossover, runner-up", (1.0, 5.0), runner_up=True),
        Crossover("crossover, random", (1.0, 5.0)),
    )


def without_prior() -> tuple[Maker, ...]:
    """The makers of `ripples`: the shortest waves, those twice as long, longer ones (nets differ in which they react to), and
    Square's move."""
    return (
        Ripples("ripples", (1.5, 3.0), halves=(1,)),
        Ripples("ripples, double", (1.5, 3.0), halves=(2,)),
        Ripples("ripples, long", (1.0, 4.0), halves=(3, 4)),
        Squares("square", (1.5, 4.0)),
    )
