"""What a tariff allows about an image in the league: after so many flagged questions, or so much money, no more is answered.

The same rule holds where the server answers (`blackbox.league.host`), where an entry is verified, and where it is played again: a question
is answered as long as it could be paid for if it was flagged and bad (`blackbox.Tariff.left`). A player does not learn which of its
questions a silent detector flagged; it learns of the lock-out by a question that is not answered, and that is not charged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from blackbox.league.account import Question
from blackbox.serving import Refused
from blackbox.tariff import Tariff, short

LOCKED = 423  # HTTP's "locked"


class Closed(Refused):
    """No more is answered about some of the images of a call. over: of each of them, by its id, how many questions were."""

    def __init__(self, message: str, over: dict[int, int]) -> None:
        super().__init__(LOCKED, message, over=over)
        self.over = over


def tally(asked: Iterable[Question]) -> np.ndarray:
    """Of questions about an image: how many there were, how many of them flagged or rejected, and how many bad, [3] int64."""
    rows = [(1, q.caught, not q.adversarial) for q in asked]
    found: np.ndarray = np.array(rows, np.int64).reshape(-1, 3).sum(0)
    return found


def open_to(tariff: Tariff, counts: np.ndarray) -> np.ndarray:
    """How many more questions are answered at once, whatever becomes of them, about images with these counts [m, 3], [m]."""
    left: np.ndarray = tariff.left(*counts.T)
    return left


def allowed(tariff: Tariff | None, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of questions about the images ``rows`` [m], in their order, those that are answered at once, whatever becomes of them: their places.

    counts: [N, 3], of all images so far.
    """
    if tariff is None:
        return np.arange(len(rows))
    left = open_to(tariff, counts)
    before = np.array([np.count_nonzero(rows[:i] == row) for i, row in enumerate(rows)])
    found: np.ndarray = np.flatnonzero(before < left[rows])
    return found


def closed(tariff: Tariff | None, counts: np.ndarray, rows: np.ndarray, ids: np.ndarray) -> Closed:
    """The refusal of questions about images of which no more is answered."""
    assert tariff is not None
    first = counts[rows[0]]
    message = f"Expected no more questions about image {int(ids[rows[0]])}, {_why(tariff, first)}, but there were."
    return Closed(message, {int(ids[row]): int(counts[row, 0]) for row in rows})


def _why(tariff: Tariff, counts: np.ndarray) -> str:
    if tariff.locked(counts[1]):
        return f"which is locked out after {tariff.lock_out:,} flagged queries"
    spent = short(float(tariff.money(*counts)))
    return f"of whose money, {short(tariff.most or 0)}, {spent} is spent, and a query may cost {short(tariff.worst)}"


def faults(tariff: Tariff, image: int, asked: Sequence[Question]) -> Iterator[str]:
    """Do the questions about an image keep to the tariff?"""
    each = np.array([tally([q]) for q in asked]).reshape(-1, 3)
    before = np.cumsum(each, 0) - each
    over = np.flatnonzero(open_to(tariff, before) < 1)
    if len(over):
        more = len(asked) - int(over[0])
        yield f"Expected no more queries about image {image}, {_why(tariff, before[over[0]])}, but there were {more} more."
