"""`Strategy`: which images to query; `Bill`: what that costs, known before the first query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.data.answers import Answers


@dataclass(frozen=True, eq=False)
class Choice:
    """Images to query: [m, C, H, W] in [0, 1], and each one's index in the pool [m], -1 where it was synthesised."""

    images: Tensor
    index: np.ndarray


@dataclass(frozen=True, eq=False)
class Situation:
    """What a strategy knows before a round.

    Attributes:
        round: from 0.
        net: trained on all answers so far, in eval mode; before round 0, as it was given.
        asked: the answers so far, None before round 0.
        pool: [N, C, H, W].
        left: [L] indices of the pool's images that were not queried yet.
        rng: one stream a run; its step is the round.
    """

    round: int
    net: nn.Module
    asked: Answers | None
    pool: Tensor
    left: np.ndarray
    rng: Stream

    def random(self, count: int) -> np.ndarray:
        """Choose up to ``count`` of the remaining indices, in random order."""
        order = self.rng.shared_permutation(self.round, "random", len(self.left)).numpy()
        return self.left[order[:count]]

    def take(self, places: np.ndarray) -> Choice:
        """The pool's images at these indices."""
        return Choice(self.pool[torch.from_numpy(places)], places)


@dataclass(frozen=True)
class Strategy:
    """Base class. A subclass is a frozen dataclass of its settings. blind: it chooses without the net, so that it goes on where no net can
    be trained yet, since all answers are of one class."""

    blind: ClassVar[bool] = False

    def plan(self, queries: int, pool: int) -> tuple[int, ...]:
        """The number of queries of each round, known before the first query; together at most ``queries``.

        Args:
            queries: the budget, without the held-out images.
            pool: the number of images to choose from.

        Raises:
            ValueError: the budget is too small for the strategy to start.
        """
        raise NotImplementedError

    def select(self, now: Situation, count: int) -> Choice:
        """Choose ``count`` images for this round, or fewer."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rounds(Strategy):
    """Base class of strategies that choose from a pool: random images first, then the best ones round by round.

    Args:
        first: share of the queries spent at random in round 0. 0.1 (Pal et al. 2020, "ActiveThief", AAAI).
        rounds: how many rounds follow. 10 (ibid.).

    A subclass defines ``score``, or replaces ``pick``.
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
        """The indices of the images with the highest scores; in a tie, the earlier one."""
        return now.left[np.argsort(-self.score(now), kind="stable")[:count]]

    def score(self, now: Situation) -> np.ndarray:
        """How useful each remaining image would be, [L]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Bill:
    """The queries of a strategy.

    held_out: to choose epochs and to measure agreement. rounds: to train on, a number a round. evaluation: outside the
    budget. budget: what may be spent. estimate: of a generator's gradient through the target. transfer: to see what carries over."""

    held_out: int
    rounds: tuple[int, ...]
    evaluation: int
    budget: int
    estimate: int = 0
    transfer: int = 0

    @property
    def total(self) -> int:
        """The queries charged to the budget."""
        return self.held_out + sum(self.rounds) + self.estimate + self.transfer

    def __str__(self) -> str:
        rounds = " + ".join(f"{n:,}" for n in self.rounds)
        held = f"{self.held_out:,} held out + " if self.held_out else ""
        estimate = f" + {self.estimate:,} to estimate gradients" if self.estimate else ""
        transfer = f" + {self.transfer:,} to see what carries over" if self.transfer else ""
        apart = f"; {self.evaluation:,} more to evaluate, apart" if self.evaluation else ""
        return f"{self.total:,} of {self.budget:,} queries: {held}{rounds} to learn from{estimate}{transfer}{apart}"


def bill(strategy: Strategy, queries: int, pool: int, held_out: float = 0.2, evaluation: int = 0) -> Bill:
    """Compute what ``strategy`` would spend of ``queries`` on a pool of this size; arguments as for `surrogates.learn`.

    Raises:
        ValueError: the budget is too small for the strategy to start.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"Expected held_out, a share of the budget, in [0, 1), but it was {held_out!r}.")
    aside = round(held_out * min(queries, pool))
    try:
        rounds = strategy.plan(queries - aside, pool - aside)
    except ValueError as error:
        raise ValueError(f"{error} (Of {queries} given, {aside} are held out.)" if aside else str(error)) from None
    return Bill(aside, rounds, evaluation, queries)
