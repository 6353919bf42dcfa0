"""Strategy: which images to ask about. Two methods, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.acquisition.answers import Answers


@dataclass(frozen=True, eq=False)
class Choice:
    """Images to ask about: [m, C, H, W] in [0, 1], and where each stood in the pool [m], -1 for one that was made."""

    images: Tensor
    index: np.ndarray


@dataclass(frozen=True, eq=False)
class Situation:
    """Where a strategy stands before a round.

    round: from 0. net: trained on all answers so far, in eval mode; before round 0 as it was given, so of no use.
    asked: the answers that it learned from, None before round 0. pool: [N, C, H, W]. left: [L] places in the pool not
    asked about. rng: for shared draws, one stream a run; its step is the round.
    """

    round: int
    net: nn.Module
    asked: Answers | None
    pool: Tensor
    left: np.ndarray
    rng: Stream

    def random(self, count: int) -> np.ndarray:
        """Up to ``count`` of the places that are left, in random order."""
        order = self.rng.shared_permutation(self.round, "random", len(self.left)).numpy()
        return self.left[order[:count]]

    def take(self, places: np.ndarray) -> Choice:
        """The pool's images at these places."""
        return Choice(self.pool[torch.from_numpy(places)], places)


@dataclass(frozen=True)
class Strategy:
    """Base class. A subclass is a frozen dataclass of its settings."""

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        """How many queries each round takes, known before the first one is paid; together at most ``queries``.

        Args:
            queries: the budget (without what is held out). pool: images there are to choose from.

        Raises:
            ValueError: a budget that the strategy cannot begin with.
        """
        raise NotImplementedError

    def select(self, now: Situation, count: int) -> Choice:
        """``count`` images for this round, or fewer."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rounds(Strategy):
    """Base class of those that choose from a pool, a random part first and then round by round.

    Args:
        first: share of the queries spent at random in round 0. rounds: how many rounds follow. 0.1 and 10 (Pal et al. 2020,
            "ActiveThief", AAAI).

    A subclass says what ``score``s highest; or replaces ``pick``.
    """

    first: float = 0.1
    rounds: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.first < 1 or self.rounds < 1:
            raise ValueError(
                f"Expected first in (0, 1) and at least 1 round, but they were {self.first!r} and {self.rounds!r}."
            )

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        total = min(queries, pool)
        start = max(round(self.first * total), min(2, total))  # one answer cannot show two classes
        rest = total - start
        return (start, *(n for n in np.diff(np.linspace(0, rest, self.rounds + 1).round().astype(int)).tolist() if n))

    def select(self, now: Situation, count: int) -> Choice:
        return now.take(now.random(count) if now.round == 0 else self.pick(now, count))

    def pick(self, now: Situation, count: int) -> np.ndarray:
        """Places in the pool: those with the highest scores, the earlier one first among equals."""
        return now.left[np.argsort(-self.score(now), kind="stable")[:count]]

    def score(self, now: Situation) -> np.ndarray:
        """[L] how much each image that is left is wanted."""
        raise NotImplementedError
