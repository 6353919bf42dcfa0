"""`Tariff`: what queries cost in money, and after how many flagged ones an account is locked out; `Bill`: what was paid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blackbox.checks import check_int

DEAR = 10.0
"""From this multiple of the price of a query on, one that shows the service what it bans is avoided at the cost of more queries: our
judgement, not a measurement."""
STEALTHY = {"Linf": "stealthy-rays", "L2": "stealthy-hop-skip-jump"}  # the searches on labels that avoid it, by norm
_GRAIN = 1e-9  # of a query: what rounding may take from a share of money that pays for it exactly
_MANY = 2.0**62  # queries: more than anybody asks, and still a whole number of 64 bits


@dataclass(frozen=True)
class Tariff:
    """The prices of an attack, in any currency, and what one image may cost.

    The engine charges each image its queries, the flagged ones among them, and the bad ones. An image's search stops as soon as the next
    query might cost more than is left of ``most``, if it was flagged and bad; the bill of an image never exceeds it. Each image is
    taken to be attacked from an account of its own, so that ``lock_out`` holds for each.

    Args:
        query: of each query, the clean check among them.
        flagged: on top of that of each query that the target rejected, or that its detector flagged (`AttackResult.flagged`).
        bad: on top of that of each query that was not adversarial (`AttackResult.bad`): what a moderated service sees of what it bans.
        label: of an answer or a label that a surrogate was trained with. A run of `blackbox.attack` buys none: `Tariff.bill` counts them.
        gradient: of a gradient of a prior (one image through one net).
        second: of a second that the run took.
        lock_out: the number of flagged queries at which an account is closed: an image is asked about no more after so many.
        most: the money that the queries of one image may cost; None for no limit but the budget.

    Raises:
        ValueError: a price below zero, a lock-out before the first flag or of more than 63 bits, a limit that pays for no query.
    """

    query: float = 0.0
    flagged: float = 0.0
    bad: float = 0.0
    label: float = 0.0
    gradient: float = 0.0
    second: float = 0.0
    lock_out: int | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        for name in PRICES:
            _amount(getattr(self, name), f"the price {name}")
        if self.lock_out is not None:
            lock_out = check_int(self.lock_out, "lock_out", 1, "the number of flagged queries at which an account is closed")
            if lock_out >= 2**63:
                raise ValueError(f"Expected lock_out to be a whole number below 2**63, but it was {lock_out}.")
        if self.most is None:
            return
        _amount(self.most, "most, the money that an image may cost,")
        if not self.worst:
            raise ValueError(f"Expected a price of a query with most={self.most:g}, but it costs nothing. Give query=, flagged= or bad=.")
        if self.most < self.worst * (1 - _GRAIN):
            raise ValueError(
                f"Expected most to pay for a query at least, {self.worst:g} if it is flagged and bad, but it was {self.most:g}. "
                "Give more, or lower prices."
            )

    def __str__(self) -> str:
        """``query 0.01, bad 0.02; at most 1.5 an image, locked out after 5 flagged queries``."""
        prices = ", ".join(f"{name} {getattr(self, name):g}" for name in PRICES if getattr(self, name)) or "no prices"
        most = [] if self.most is None else [f"at most {short(self.most)} an image"]
        locks = [] if self.lock_out is None else [f"locked out after {self.lock_out:,} flagged {_WORDS['query'][self.lock_out != 1]}"]
        return "; ".join([prices, *([", ".join([*most, *locks])] if most or locks else [])])

    @property
    def worst(self) -> float:
        """The most that one query may cost."""
        return self.query + self.flagged + self.bad

    def budget(self, budget: int) -> int:
        """The most queries that an image may cost: the ``budget``, or fewer where ``most`` pays for no more bad ones, as all queries of a
        failure are."""
        if self.most is None or not (each := self.query + self.bad):
            return budget
        return max(math.floor(min(budget, self.most / each + _GRAIN)), 1)

    def money(self, queries: Any, flagged: Any, bad: Any) -> Any:
        """What so many queries cost, of which so many were flagged and so many bad; numbers or arrays."""
        return self.query * queries + self.flagged * flagged + self.bad * bad

    def left(self, queries: Any, flagged: Any, bad: Any) -> Any:
        """How many queries images that have made these may still make at once, whatever becomes of them, [m] int64."""
        left = np.full(np.shape(queries), np.iinfo(np.int64).max)
        if self.lock_out is not None:
            left = np.minimum(left, self.lock_out - np.asarray(flagged))
        if self.most is not None:
            with np.errstate(over="ignore"):  # a price of nearly nothing
                paid_for = (self.most - self.money(queries, flagged, bad)) / self.worst
            left = np.minimum(left, np.floor(np.minimum(paid_for + _GRAIN, _MANY)).astype(np.int64))
        return left

    def locked(self, flagged: Any) -> Any:
        """Which images were locked out."""
        return np.zeros(np.shape(flagged), bool) if self.lock_out is None else np.asarray(flagged) >= self.lock_out

    def bill(
        self, queries: float = 0, flagged: float = 0, bad: float = 0, labels: float = 0, gradients: float = 0, seconds: float = 0.0
    ) -> Bill:  # fmt: skip
        """What all that costs."""
        counts = zip(PRICES, (queries, flagged, bad, labels, gradients, seconds), strict=True)
        return Bill({name: (float(count), getattr(self, name)) for name, count in counts})

    def search(self, attack: Any, norm: str, labels: bool, detects: bool) -> Any:
        """The attack to run: ``"auto"`` is a search with few bad queries where these are dear and the target shows ``labels`` alone.

        Dear is `DEAR` times a query. A flagged query is a bad one to a service that moderates, but not to one that ``detects`` queries
        which resemble each other: the stealthy searches ask more of these.
        """
        dear = max(self.bad, 0.0 if detects else self.flagged)
        wanted = attack == "auto" and labels and norm in STEALTHY and dear > 0 and dear >= DEAR * self.query
        return STEALTHY[norm] if wanted else attack


_WORDS = {
    "query": ("query", "queries"), "flagged": ("flagged", "flagged"), "bad": ("bad", "bad"), "label": ("label", "labels"),
    "gradient": ("gradient", "gradients"), "second": ("second", "seconds"),
}  # fmt: skip
PRICES = tuple(_WORDS)


@dataclass(frozen=True)
class Bill:
    """What was paid. lines: by the name of the price how many there were, and the price of each."""

    lines: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def money(self) -> dict[str, float]:
        """What each line costs."""
        return {name: count * price for name, (count, price) in self.lines.items()}

    @property
    def total(self) -> float:
        return math.fsum(self.money.values())

    def __str__(self) -> str:
        paid = {name: line for name, line in self.lines.items() if line[1] or name == "query"}
        told = (f"{short(count)} {_WORDS[name][count != 1]} at {price:g}" for name, (count, price) in paid.items())
        return f"{short(self.total)} in all: {', '.join(told)}"


def short(value: float) -> str:
    """A number of things or of money: as a whole number, with two decimals, or the first four digits of a small one."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"


def _amount(value: Any, what: str) -> None:
    """Refuse what is no amount of money."""
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or value < 0:
        raise ValueError(f"Expected {what} to be a number of at least 0, but it was {value!r}.")
