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


def counts(asked: Iterable[Question]) -> np.ndarray:
    """Of each of m questions: 1, was it flagged or rejected, was it bad, [m, 3] int64."""
    return np.array([(1, q.caught, not q.adversarial) for q in asked], np.int64).reshape(-1, 3)


def tally(asked: Iterable[Question]) -> np.ndarray:
    """Of questions about an image: how many there were, how many of them flagged or rejected, and how many bad, [3] int64."""
    found: np.ndarray = counts(asked).sum(0)
    return found


def open_to(tariff: Tariff | None, so_far: np.ndarray) -> np.ndarray:
    """How many more questions are answered at once, whatever becomes of them, about images with these counts so far [m, 3], [m]."""
    left: np.ndarray = (tariff or Tariff()).left(*so_far.T)
    return left


def allowed(tariff: Tariff | None, so_far: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which questions are answered at once, whatever becomes of them: their indices.

    so_far: [m, 3], the counts of their images. places: [m], how many questions about its image come before each, answered or not.
    """
    found: np.ndarray = np.flatnonzero(places - so_far[:, 0] < open_to(tariff, so_far))
    return found


def closed(tariff: Tariff | None, so_far: np.ndarray, ids: np.ndarray) -> Closed:
    """The refusal of questions about images, of these ``ids`` [m], about which no more is answered. so_far: [m, 3], their counts."""
    assert tariff is not None
    message = f"Expected no more questions about image {int(ids[0])}, {_why(tariff, so_far[0])}, but there were."
    return Closed(message, dict(zip(ids.tolist(), so_far[:, 0].tolist(), strict=True)))


def _why(tariff: Tariff, so_far: np.ndarray) -> str:
    if tariff.locked(so_far[1]):
        return f"which is locked out after {tariff.lock_out:,} flagged queries"
    spent = short(float(tariff.money(*so_far)))
    return f"of whose money, {short(tariff.most or 0)}, {spent} is spent, and a query may cost {short(tariff.worst)}"


def faults(tariff: Tariff, image: int, asked: Sequence[Question]) -> Iterator[str]:
    """Do the questions about an image keep to the tariff?"""
    each = counts(asked)
    before = np.cumsum(each, 0) - each
    over = np.flatnonzero(open_to(tariff, before) < 1)
    if len(over):
        more = len(asked) - int(over[0])
        yield f"Expected no more queries about image {image}, {_why(tariff, before[over[0]])}, but there were {more} more."
