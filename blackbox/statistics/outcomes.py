"""The columns of a result that statistics use, and those derived from them.

A failure is charged at the whole budget, even if the attack gave up before: more queries would not have helped it. Only a
sample that a failing target cut short (`Status.ERROR`) is *censored*: its cost is unknown, and so is its success, unless it
had succeeded before. There is no mean over successes alone: it would reward an attack for failing on hard images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class Outcomes(Protocol):
    """The parts of a result that statistics read, such as `blackbox.AttackResult`: columns [N] and the run's settings."""

    @property
    def success(self) -> Any: ...
    @property
    def success_float(self) -> Any: ...
    @property
    def known(self) -> Any: ...
    @property
    def clean_known(self) -> Any: ...
    @property
    def queries(self) -> Any: ...
    @property
    def first_success_query(self) -> Any: ...
    @property
    def attacked(self) -> Any: ...
    @property
    def status(self) -> Sequence[Any]: ...
    @property
    def ids(self) -> Any: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    def distance_at(self, budgets: Any) -> Any: ...


def array(column: Any) -> np.ndarray:
    return column.numpy(force=True) if hasattr(column, "numpy") else np.asarray(column)


def cut_short(result: Outcomes) -> np.ndarray:
    return np.array([status.name == "ERROR" for status in result.status], dtype=bool)


def complete(result: Outcomes, horizon: int | None = None) -> np.ndarray:
    """Which samples were attacked and not cut short, at least not within ``horizon`` queries, [N] bool."""
    reached = np.zeros(len(result.status), dtype=bool)
    if horizon is not None:
        reached = known_within(result, horizon) & (array(result.queries) >= horizon)
    return array(result.attacked) & (~cut_short(result) | reached)


def perhaps_attacked(result: Outcomes) -> np.ndarray:
    """The images that may belong to the denominator of a success rate: all but those known to be misclassified, [N] bool."""
    return array(result.attacked) | ~array(result.clean_known)


def known_within(result: Outcomes, horizon: int) -> np.ndarray:
    """Of which images it is known whether they are fooled within ``horizon`` queries, [N] bool.

    An image that was cut off was not fooled before its last query (one that was, but had still to be verified as an 8-bit
    image, is unknown throughout).
    """
    cut = array(result.attacked) & ~array(result.success_float)
    return array(result.known) | (cut & (array(result.queries) >= horizon))


def left_out(results: Sequence[Outcomes], horizon: int) -> int:
    """How many images that may have been attacked in all runs are left out, because a run did not finish with them."""
    perhaps = np.logical_and.reduce([perhaps_attacked(r) for r in results])
    return int((perhaps & ~np.logical_and.reduce([complete(r, horizon) for r in results])).sum())


def times(result: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """For the attacked images: the query of the first success or of the censoring, and which of the two it is."""
    first = array(result.first_success_query)
    keep = array(result.attacked) & known_within(result, 0)
    failed = np.where(cut_short(result), array(result.queries), int(result.config["budget"]))
    return np.where(first > 0, first, failed)[keep].astype(np.float64), (first > 0)[keep]


def within(result: Outcomes, horizon: int) -> np.ndarray:
    first = array(result.first_success_query)
    return (first > 0) & (first <= horizon)


def costs(result: Outcomes, horizon: int) -> np.ndarray:
    """The queries charged [N], with failures at the horizon; a success costs at most the horizon."""
    cost = np.where(within(result, horizon), array(result.queries), horizon)
    return np.minimum(cost, horizon).astype(np.float64)


def horizon_of(results: Sequence[Outcomes], wanted: int | None) -> int:
    most = min(int(r.config["budget"]) for r in results)
    if wanted is not None and not 1 <= wanted <= most:
        raise ValueError(f"Expected a horizon from 1 to {most}, the smallest budget of the runs, but it was {wanted}.")
    return most if wanted is None else int(wanted)


def check_same_samples(results: Sequence[Outcomes]) -> None:
    if not results:
        raise ValueError("Expected at least one result, but there was none.")
    for other in results[1:]:
        if not np.array_equal(array(results[0].ids), array(other.ids)):
            raise ValueError("Expected results about the same samples in the same order, but their ids differ.")
