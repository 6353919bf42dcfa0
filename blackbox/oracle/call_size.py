"""`CallSize`: chooses how many rows a call has."""

from __future__ import annotations

import math
from collections import Counter


class CallSize:
    """Finds the fastest number of rows a call from the timing of the calls that are made anyway.

    Small calls waste the target's fixed cost, large ones overflow its caches, and both change with the load of the machine.
    So the speed of each size (a power of two; a call counts for the nearest) is recorded and the fastest is used; the two
    neighbouring sizes are tried twice at first, and again after every ``_AGAIN`` calls.

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
        """The size that currently seems fastest."""
        return 1 << self.level

    def next(self, waiting: int) -> int:
        """The rows of the next call when ``waiting`` rows remain: they are divided evenly into calls of about the best size."""
        calls = max(round(waiting / self._wanted(waiting)), -(-waiting // self.largest), 1)
        return -(-waiting // calls)

    def _wanted(self, waiting: int) -> int:
        for level in (self.level + 1, self.level - 1):
            known = self.tried[level] >= 2 and self.calls - self.last[level] < self._AGAIN
            if 0 <= level <= self.top and not known and 1 << level <= waiting:
                return 1 << level
        return self.best

    def tell(self, size: int, seconds: float) -> None:
        """Record the duration of a call of ``size`` rows."""
        if size < 1:
            return
        level = min(round(math.log2(size)), self.top)
        rate = size / max(seconds, 1e-9)
        self.calls += 1
        self.tried[level] += 1
        self.last[level] = self.calls
        # The first call of a size includes the setup of its kernels, so it is not kept in the mean.
        seen = self.rate.get(level, rate)
        self.rate[level] = rate if self.tried[level] <= 2 else seen + self._LATEST * (rate - seen)
        ahead = max(self.rate, key=self.rate.__getitem__)
        if self.rate[ahead] > 1.02 * self.rate.get(self.level, 0.0):
            self.level = ahead
