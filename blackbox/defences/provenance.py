"""`QPA`: a stateful detector that looks at the sequence from which a query comes."""

from __future__ import annotations

from typing import Any

import numpy as np

from blackbox.defences.blacklight import Blacklight, remember
from blackbox.defences.blacklight import Memory as Prints


class Memory:
    """What an account asked: fingerprints, the sequence of each query by its number, and the length of each sequence."""

    def __init__(self, prints: Prints) -> None:
        self.prints = prints
        self.sequence: dict[int, int] = {}
        self.length: dict[int, int] = {}


class QPA(Blacklight):
    """Flags a query that resembles an earlier one, and any that goes on with a sequence of queries that has grown too long.

    Li et al. 2025, "Query provenance analysis: efficient and robust defense against query-based black-box attacks" (IEEE S&P,
    arXiv:2405.20641): a new query is linked to the earlier one that it resembles most, even if it resembles it little; these
    links make sequences, and what a sequence is like tells an attack, whose queries descend from one another, from benign
    ones. An attacker who keeps just below a threshold of similarity is not below that of a link.

    Departs from the paper, of which the description was at hand, not the features that it learns from: a query resembles another
    by `Blacklight`'s fingerprints, from ``link`` shared hashes on; a sequence is an attack once it is longer than ``longest``,
    instead of by a detector of anomalies trained on benign sequences; nothing is forgotten. Every query is remembered, flagged
    ones too.

    Args:
        link: shared hashes from which a query is linked to an earlier one. longest: queries of a sequence that are let through.
        window, step, kept, threshold, action, seed, accounts, lock: see `Blacklight`.
    """

    ACTIONS = ("answer", "reject")

    def __init__(
        self,
        model: Any,
        link: int = 3,
        longest: int = 10,
        window: int = 20,
        step: int = 50,
        kept: int = 50,
        threshold: int = 25,
        action: str = "answer",
        seed: int = 0,
        accounts: int = 1,
        lock: int = 0,
    ) -> None:
        if not 1 <= link <= kept or longest < 1:
            raise ValueError(f"Expected link from 1 to kept={kept} and longest of at least 1, but they were {link} and {longest}.")
        self.link, self.longest = link, longest
        super().__init__(model, window, step, kept, threshold, action, seed, accounts, lock)

    def __str__(self) -> str:
        return "QPA"

    @property
    def least(self) -> int:
        return min(self.link, self.threshold + 1)

    def empty(self) -> Any:
        return Memory(super().empty())

    def seen(self, memory: Any, feature: np.ndarray, number: int) -> int | None:
        nearest, shared = self.nearest(memory.prints, feature, self.link - 1)
        remember(memory.prints, feature, number)
        sequence = number if nearest is None else memory.sequence[nearest]
        memory.sequence[number] = sequence
        memory.length[sequence] = length = memory.length.get(sequence, 0) + 1
        return nearest if shared > self.threshold or length > self.longest else None
