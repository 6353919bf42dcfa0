"""How near a search comes to the limit: of the images that attacks with gradients fool, those that it fools by each budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.statistics.curves import BUDGETS
from blackbox.statistics.intervals import few, rate_estimate
from blackbox.statistics.outcomes import Outcomes, array, known_within, perhaps_attacked, within
from blackbox.statistics.rates import Estimate


@dataclass(frozen=True)
class Near:
    """How much of the limit a search has reached within a budget.

    Attributes:
        budget: queries an image.
        share: of the images that the limit fools, those that the search fools within the budget; never above 1.
        unknown: images that the limit fools and of which it is not known whether the search does; `share` leaves them out.
        beyond: images that the search fools and the limit does not. With any, the gradients mislead, and the limit is none.
    """

    budget: int
    share: Estimate
    unknown: int = 0
    beyond: int = 0

    def __str__(self) -> str:
        told = "– (n = 0)" if not self.share.n else (
            f"{100 * self.share.value:.0f} % [{100 * self.share.low:.0f}, {100 * self.share.high:.0f}] (n = {self.share.n})"
        )  # fmt: skip
        more = f"; {self.unknown} unknown, left out" if self.unknown else ""
        return told + more + misleading(self.beyond)


def misleading(beyond: int) -> str:
    """What is said where a search fools images that the limit does not."""
    images = f"{beyond} image{'s' * (beyond > 1)}"
    return f"; and {images} that the white-box attacks do not: the gradients mislead, so that this is no limit" if beyond else ""


@dataclass(frozen=True)
class Nearness:
    """A line for each budget, in ascending order. left_out: images of which it is not known whether the limit fools them."""

    rows: tuple[Near, ...]
    left_out: int = 0

    def table(self) -> str:
        """Plain text."""
        rows = ["of the images that gradients fool, those that the search fools too [95 %]"]
        rows += [f"  within {r.budget:,} queries: {r}" for r in self.rows]
        told = [f"note: {self.left_out} images left out: it is not known whether gradients fool them"] if self.left_out else []
        warning = few(max((r.share.n for r in self.rows), default=0))
        return "\n".join([*rows, *told, *([f"note: {warning}"] if warning else [])])


def nearness(
    limit: Any, search: Any, budgets: Sequence[int] = BUDGETS, *, known: Any = None, limit_known: Any = None
) -> Nearness:  # fmt: skip
    """How much of what attacks with gradients fool a search recovers at each budget.

        top = surrogates.ceiling(net, x, y, threat)
        print(blackbox.statistics.nearness(top.success & ~top.already, result, [100, 1000]).table())

    Args:
        limit: [N] or [R, N] bool, the images that the attacks with gradients fool, without those that were wrong already; R as
            many seeds as the search has.
        search: a result on these images in this order; a list of results of several seeds; or the query of an image's first success
            itself, 0 where there is none, [N] or [R, N].
        budgets: queries an image.
        known: where ``search`` is numbers: whether the outcome of an image is known, of the same shape; by default all are. With results,
            they say so.
        limit_known: whether it is known if the limit fools an image, of the shape of ``limit``.

    An image's seeds are averaged before the intervals, which are over images; an image that was cut off is known at a budget
    that it had reached.

    Raises:
        ValueError: shapes that do not match, or budgets below 1.
    """
    top = np.atleast_2d(array(limit)).astype(bool)
    told = np.ones_like(top) if limit_known is None else np.atleast_2d(array(limit_known)).astype(bool)
    if any(int(b) < 1 for b in budgets):
        raise ValueError(f"Expected budgets of at least 1, but they were {list(budgets)}.")
    rows = []
    for budget in sorted(int(b) for b in budgets):
        hit, sure, there = _at(search, known, budget)
        if hit.shape[1] != top.shape[1] or len(top) not in (1, len(hit)) or told.shape != top.shape:
            raise ValueError(
                f"Expected the limit of the same images as the search, [N], or [R, N] for as many seeds, but the shapes were {top.shape}, "
                f"{told.shape} and {hit.shape}."
            )
        among = np.broadcast_to(top & told, hit.shape) & there
        share = rate_estimate(hit, among & sure)
        beyond = hit & there & np.broadcast_to(~top & told, hit.shape)
        rows.append(Near(budget, share, int((among & ~sure).any(0).sum()), int(beyond.any(0).sum())))
    return Nearness(tuple(rows), int((~told).any(0).sum()))


def _at(search: Any, known: Any, budget: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Within a budget: [R, N] what is fooled, whether that is known, and what was attacked."""
    if not isinstance(search, np.ndarray) and hasattr(search, "first_success_query"):
        search = [search]
    if isinstance(search, (list, tuple)) and search and hasattr(search[0], "first_success_query"):
        results: Sequence[Outcomes] = search
        hit = np.stack([within(r, budget) for r in results])
        sure = np.stack([known_within(r, budget) for r in results]) | hit
        return hit, sure, np.stack([perhaps_attacked(r) for r in results])
    first = np.atleast_2d(array(search))
    sure = np.ones(first.shape, bool) if known is None else np.atleast_2d(array(known)).astype(bool)
    if sure.shape != first.shape:
        raise ValueError(f"Expected to know of each number if it is known, but their shapes were {first.shape} and {sure.shape}.")
    hit = (first > 0) & (first <= budget)
    return hit, sure | hit, np.ones(first.shape, bool)
