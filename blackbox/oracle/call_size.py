"""CallSize: how many rows a call should carry."""

from __future__ import annotations

import math
from collections import Counter


class CallSize:
    """Finds how many rows a call should carry, from the calls that are made anyway.

    Small calls waste the target's fixed cost, large ones overflow its caches, and both change with the load of the machine.
    So the rate of each size (a power of two; a call counts for the nearest) is kept, the fastest is used, and the two sizes
    beside it are tried twice when they are new and once more after every ``_AGAIN`` calls.

    Args:
        largest: the most rows of a call.
    """

    _AGAIN = 64
    _LATEST = 0.25  # weight of the newest call in a size's rate

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.top = largest.bit_length() - 1
        self.level = min(5, self.top)  # sizes are 2**level: start from 32 rows
        self.calls = 0
        self.rate: dict[int, float] = {}
        self.tried: Counter[int] = Counter()
        self.last: dict[int, int] = {}  # the number of the last call of a level

    @property
    def best(self) -> int:
        """The size that is now taken for the fastest."""
        return 1 << self.level

    def next(self, waiting: int) -> int:
        """Rows for the next call when ``waiting`` rows are to be evaluated: an even share of about as many calls as
        the best size makes of them."""
        calls = max(round(waiting / self._wanted(waiting)), -(-waiting // self.largest), 1)
        return -(-waiting // calls)

    def _wanted(self, waiting: int) -> int:
        for level in (self.level + 1, self.level - 1):
            known = self.tried[level] >= 2 and self.calls - self.last[level] < self._AGAIN
            if 0 <= level <= self.top and not known and 1 << level <= waiting:
                return 1 << level
        return self.best

    def tell(self, size: int, seconds: float) -> None:
        """Learn from a call of ``size`` rows that took so long."""
        if size < 1:
            return
        level = min(round(math.log2(size)), self.top)
        rate = size / max(seconds, 1e-9)
        self.calls += 1
        self.tried[level] += 1
        self.last[level] = self.calls
        # The first call of a size pays for its kernels, so it does not stay in the mean.
        seen = self.rate.get(level, rate)
        self.rate[level] = rate if self.tried[level] <= 2 else seen + self._LATEST * (rate - seen)
        ahead = max(self.rate, key=self.rate.__getitem__)
        if self.rate[ahead] > 1.02 * self.rate.get(self.level, 0.0):
            self.level = ahead
