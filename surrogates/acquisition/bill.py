"""The bill: what a strategy will cost, before the first query."""

from __future__ import annotations

from dataclasses import dataclass

from surrogates.acquisition.base import Strategy


@dataclass(frozen=True)
class Bill:
    """Queries, known beforehand. held_out: to choose epochs by and to measure agreement on. rounds: a number a round, to
    learn from. evaluation: beside the budget, reported apart. budget: what might have been spent."""

    held_out: int
    rounds: tuple[int, ...]
    evaluation: int
    budget: int

    @property
    def total(self) -> int:
        """What is charged to the budget."""
        return self.held_out + sum(self.rounds)

    def __str__(self) -> str:
        rounds = " + ".join(f"{n:,}" for n in self.rounds)
        held = f"{self.held_out:,} held out + " if self.held_out else ""
        apart = f"; {self.evaluation:,} more to evaluate, apart" if self.evaluation else ""
        return f"{self.total:,} of {self.budget:,} queries: {held}{rounds} to learn from{apart}"


def bill(strategy: Strategy, queries: int, pool: int, held_out: float = 0.2, evaluation: int = 0) -> Bill:
    """What ``strategy`` would spend of ``queries`` on a pool of so many images; arguments as for `surrogates.learn`.

    Raises:
        ValueError: a budget that the strategy cannot begin with.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"Expected held_out, a share of the budget, in [0, 1), but it was {held_out!r}.")
    aside = round(held_out * min(queries, pool))
    try:
        rounds = strategy.plan(queries - aside, pool - aside)
    except ValueError as error:
        raise ValueError(f"{error} (Of {queries} given, {aside} are held out.)" if aside else str(error)) from None
    return Bill(aside, rounds, evaluation, queries)
