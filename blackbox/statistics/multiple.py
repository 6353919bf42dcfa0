"""Several tests at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """The p-values [m] of m tests, adjusted so that one or more of them falls below a level by chance alone with a probability of
    at most that level, however the tests depend on one another (Holm 1979, "A simple sequentially rejective multiple test
    procedure")."""
    given = np.asarray(p, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    steps = given[order] * np.arange(len(given), 0, -1)
    out = np.empty_like(given)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out
