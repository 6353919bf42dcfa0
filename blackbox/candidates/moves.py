"""Moves: what a search over sign vectors with labels alone may do to its best signs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from blackbox.candidates.aimed import aimed
from blackbox.proposals.ripples import waves
from blackbox.proposals.signs import candidate, colour, flips, replaced, shrinking_windows
from blackbox.protocol import Task


@dataclass(frozen=True)
class Signs:
    """Rows that a move shall propose for.

    Attributes:
        t: their task. prior: of the attack (a `Prior`), or None. k: the step.
        sign: [n, \\*shape] their best ray. radius: [n] where the new one is asked for. rival: [n] int64 the class that the target
            names at the boundary of the best. drawn: [n] int64 moves so far.
        signs: [n, slots, \\*shape] int8 of candidates on the prior, 0 where there is no change. aims: [n, slots] int64 the
            classes that these shall become, -1 for any, -2 where there is no candidate.
    """

    t: Task
    prior: Any
    k: int
    sign: Tensor
    radius: Tensor
    rival: Tensor
    drawn: Tensor
    signs: Tensor
    aims: Tensor

    def take(self, keep: Tensor) -> Signs:
        """The rows in ``keep`` (a boolean mask)."""
        if bool(keep.all()):
            return self
        mine = ("sign", "radius", "rival", "drawn", "signs", "aims")
        return replace(self, t=self.t.take(keep.numpy(force=True)), **{name: getattr(self, name)[keep] for name in mine})

    def windowed(self, new: Tensor) -> Tensor:
        """The best signs with a window of ``new`` [n, \\*shape] in them."""
        return replaced(self.t, self.sign, shrinking_windows(self.t, self.k, self.drawn), new)


@dataclass(frozen=True)
class Move:
    """Base class. worth: successes and failures that it is credited with in the beginning. surrogate: it asks the prior."""

    name: str
    worth: tuple[float, float] = (1.0, 2.0)
    surrogate: ClassVar[bool] = False

    def make(self, s: Signs) -> Tensor:
        """[n, \\*shape]: the signs to ask for."""
        raise NotImplementedError


@dataclass(frozen=True)
class Wave(Move):
    """A window takes a wave; halves and least: see `candidates.Ripples`."""

    halves: tuple[int, ...] = (1,)
    least: float = 0.2

    def make(self, s: Signs) -> Tensor:
        made = waves(s.t, s.k, self.halves, self.least, self.name)
        return replaced(s.t, s.sign, made != 0, made.expand(s.t.n, *s.t.grid).reshape(s.sign.shape))


class Colour(Move):
    """A window takes one sign a channel."""

    def make(self, s: Signs) -> Tensor:
        return s.windowed(colour(s.t, s.k))


class Turn(Move):
    """The signs in a window turn."""

    def make(self, s: Signs) -> Tensor:
        return s.windowed(-s.sign)


class Flips(Move):
    """Single entries turn."""

    def make(self, s: Signs) -> Tensor:
        return flips(s.t, s.k, s.sign)


class Candidate(Move):
    """A window takes the signs of a candidate on the prior."""

    surrogate: ClassVar[bool] = True

    def make(self, s: Signs) -> Tensor:
        return s.windowed(candidate(s.t, s.k, s.signs, s.aims > -2))


class Rival(Move):
    """It takes those of a candidate for the rival, where there is one."""

    surrogate: ClassVar[bool] = True

    def make(self, s: Signs) -> Tensor:
        return s.windowed(candidate(s.t, s.k, s.signs, 1.0 * (s.aims > -2) + (s.aims == s.rival[:, None])))


class Aimed(Move):
    """The prior leads on from the best point, between the two classes."""

    surrogate: ClassVar[bool] = True

    def make(self, s: Signs) -> Tensor:
        return aimed(s.t, s.prior, s.k, s.sign, s.radius, s.rival)


ALONE: tuple[Move, ...] = (
    Wave("ripples"),
    Wave("ripples, double", halves=(2,)),
    Wave("ripples, long", halves=(3, 4)),
    Colour("window, colour"),
    Turn("window, turned"),
    Flips("flips"),
)
"""The moves that need no prior; first in every search, so that all draw alike."""
GUIDED: tuple[Move, ...] = (Candidate("window, candidate"), Rival("window, rival"), Aimed("aimed"))
