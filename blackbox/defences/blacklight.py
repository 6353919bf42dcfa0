"""`Blacklight`: a stateful detector that remembers queries and flags those that resemble an earlier one."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from blackbox.defences.stateful import Stateful

Memory = defaultdict[int, "array[int]"]
"""hash -> the numbers of the queries that have it"""


class Blacklight(Stateful):
    """Fingerprints every query and flags one that shares many hashes with an earlier one.

    Li et al. 2022, "Blacklight: scalable defense for neural networks against query-based black-box attacks" (USENIX
    Security, arXiv:2006.14042): a secret offset is added to every pixel modulo 256, pixels are rounded to steps of
    ``step``, every window of ``window`` consecutive ones is hashed, and the ``kept`` largest hashes are the
    fingerprint. A query that shares more than ``threshold`` of them with any one earlier query is flagged.

    Departs from the paper: a keyed 64-bit hash replaces salted SHA-256, since nobody here tries to invert it; memory is
    cleared by `reset`, not each day. Every query is remembered, flagged ones too.

    An input with no more hashes than the threshold could never be flagged; such inputs are refused.

    Args:
        window, step, kept, threshold: the paper's settings for 32 x 32 images; it uses ``window=50`` on large ones.
        action, accounts, lock: see `blackbox.defences.stateful.Stateful`; "replay" repeats the answer of the most similar earlier
            query, so that the attacker learns nothing new.
        seed: of the secret offsets and hashes.
    """

    ACTIONS: ClassVar[tuple[str, ...]] = ("answer", "replay", "reject")

    def __init__(
        self,
        model: Any,
        window: int = 20,
        step: int = 50,
        kept: int = 50,
        threshold: int = 25,
        action: str = "answer",
        seed: int = 0,
        accounts: int = 1,
        lock: int = 0,
    ) -> None:
        if window < 1 or not 1 <= step <= 255 or not 0 <= threshold < kept:
            raise ValueError(
                "Expected window of at least 1, step from 1 to 255 and threshold below kept, but they were "
                f"window={window}, step={step}, threshold={threshold}, kept={kept}."
            )
        self.window, self.step, self.kept, self.threshold, self.seed = window, step, kept, threshold, seed
        super().__init__(model, action, accounts, lock)

    def empty(self) -> Memory:
        return defaultdict(lambda: array("q"))

    def features(self, x: Tensor) -> Sequence[np.ndarray]:
        return self.fingerprints(x)

    def seen(self, memory: Memory, feature: np.ndarray, number: int) -> int | None:
        nearest, shared = self.nearest(memory, feature, self.threshold)
        remember(memory, feature, number)
        return nearest if shared > self.threshold else None

    def check(self, x: Tensor) -> None:
        d = x[:1].numel()
        if len(x) and (most := d - min(self.window, d) + 1) < self.least:
            raise ValueError(
                f"Expected inputs of at least {self.least + self.window - 1} entries for {self}, but they have {d}: of these it makes "
                f"{most} hashes, and flags what shares {self.least} with an earlier one, so that it would flag nothing. Give a smaller "
                "window= or threshold=."
            )

    @property
    def least(self) -> int:
        """Shared hashes below which nothing is ever flagged."""
        return self.threshold + 1

    def fingerprints(self, x: Tensor) -> list[np.ndarray]:
        """The largest hashes of each image of ``x`` [m, \\*shape]: uint64, at most ``kept``, all different."""
        pixels = x.flatten(1).numpy(force=True)
        d = pixels.shape[1]
        window = min(self.window, d)
        secret = np.random.default_rng((self.seed, d))
        offset = secret.integers(0, 256, d).astype(np.float64)
        level = np.rint(((pixels * 255.0 + offset) % 256.0) / self.step).astype(np.int64)
        # a rolling hash (Karp & Rabin 1987) modulo 2**64 of random numbers, one for each level
        base = int(secret.integers(0, 2**63, dtype=np.uint64)) * 2 + 1
        values = secret.integers(0, 2**64, 256 // self.step + 2, dtype=np.uint64)
        powers, inverse = _powers(base, d), _powers(pow(base, -1, 2**64), d)
        sums = np.zeros((len(pixels), d + 1), np.uint64)
        np.cumsum(values[level] * powers, axis=1, out=sums[:, 1:])
        total = (sums[:, window:] - sums[:, : d - window + 1]) * inverse[: d - window + 1]
        total ^= total >> np.uint64(32)
        total *= np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(29)
        return [self._largest(row) for row in total]

    def _largest(self, hashes: np.ndarray) -> np.ndarray:
        """The largest different ones."""
        some = 4 * self.kept
        if some < len(hashes):
            top = np.unique(np.partition(hashes, len(hashes) - some)[-some:])
            if len(top) >= self.kept:
                return top[-self.kept :]
        return np.unique(hashes)[-self.kept :]

    def nearest(self, memory: Memory, hashes: np.ndarray, more_than: int) -> tuple[int | None, int]:
        """The earlier query that shares the most hashes, and how many, if they are more than ``more_than``; else None and 0."""
        found = [np.frombuffer(posts, np.int64) for h in hashes.tolist() if (posts := memory.get(h))]
        if len(found) <= more_than:
            return None, 0
        shared = np.bincount(np.concatenate(found))
        best = int(shared.argmax())
        return (best, int(shared[best])) if shared[best] > more_than else (None, 0)


@lru_cache(maxsize=8)
def _powers(base: int, count: int) -> np.ndarray:
    """base**0, base**1, ... modulo 2**64."""
    out, power = np.empty(count, np.uint64), 1
    for i in range(count):
        out[i], power = power, power * base % 2**64
    return out


def remember(memory: Memory, hashes: np.ndarray, number: int) -> None:
    """Store the fingerprint of query ``number``."""
    for h in hashes.tolist():
        memory[h].append(number)
