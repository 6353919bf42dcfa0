"""What is left of a call when the target answers no more about some of its samples."""

from __future__ import annotations

import numpy as np

from blackbox.answer import Plan
from blackbox.engine.cohort import Cohort

Piece = tuple[Cohort, Plan, int]
"""Of a call: the next n evaluations of a plan."""


def without(pieces: list[Piece], rows: np.ndarray) -> list[Piece]:
    """The pieces of a call without some of its ``rows``, which their plans then have no more: nobody pays for them."""
    out, start = [], 0
    for cohort, plan, n in pieces:
        gone = rows[(rows >= start) & (rows < start + n)] - start
        start += n
        if len(gone):
            plan.row, plan.col = (np.delete(each, plan.done + gone) for each in (plan.row, plan.col))
            plan.all_pay = False
        if n > len(gone):
            out.append((cohort, plan, n - len(gone)))
    return out
