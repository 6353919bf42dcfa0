"""What the sums of rows of scores tell: probabilities, percentages, or probabilities times another number."""

from __future__ import annotations

import numpy as np

HALF = 8e-3  # how far row sums are from one in half precision, where each entry is off by 2**-9
_SLACK = 0.2  # by which row sums of probabilities may exceed one


def most_of(classes: int) -> float:
    """The most that a row of probabilities of ``classes`` sums to, where they are rounded or noisy."""
    return 1 + max(_SLACK, classes / 512)  # half a byte for each class


def fractions(shares: np.ndarray) -> bool:
    """Whether rows ``shares`` [m, C], percentages divided by 100, were shares already: they sum to one hundredth."""
    sums, shown = 100 * shares.sum(1), (shares > 0).sum(1)
    # the largest of C classes have at least their part of 100 %
    small = (sums <= 1 + HALF) & (sums > 0) & ((sums >= 1 - HALF) | (sums < 99.0 * shown / shares.shape[1]))
    return bool(small.any())


class Watch:
    """Tells from one answer after another whether rows of at least 0 all sum to the same number, as scaled probabilities do.

    Rows that resemble each other sum to nearly the same whatever they are, so a row counts only if it differs from the first
    one much more than its sum does.
    """

    def __init__(self) -> None:
        self.first: np.ndarray | None = None
        self.seen = 0
        self.open = True

    def same(self, p: np.ndarray) -> bool:
        """Whether three rows that differ, of those seen until now, have the same sum; ``open`` becomes False once two have not."""
        if not self.open or float(p.min()) < 0:
            self.open = False
            return False
        if self.first is None:
            self.first = p[0].astype(np.float64)
        total = float(self.first.sum())
        apart = np.abs(p - self.first).max(1)
        counts = apart > 0.02 * max(total, 1e-30)
        off = np.abs(p.sum(1) - total)
        if bool((off[counts] > 1e-3 * total).any()):
            self.open = False
            return False
        self.seen += int(counts.sum())
        return self.seen >= 2
