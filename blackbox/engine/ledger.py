"""`Ledger`: the columns that record every sample's queries and results."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.engine.cohort import Cohort
from blackbox.goals.excerpt import packed, unpacked
from blackbox.protocol import Status

LIVE = -1
CODES = {status: code for code, status in enumerate(Status)}
STATUSES = list(Status)


@dataclass
class Ledger:
    """Columns over all N samples; every rate is derived from them.

    Attributes:
        spent: queries charged.
        first: the number of the query that first succeeded, 0 where none did.
        distance: of the example kept, in the threat's norm; inf where there is none.
        best: the largest loss seen at a candidate.
        loss0: the loss at the clean image.
        label0, sure0: the target's label there and its probability, NaN where only labels are shown.
        label1, sure1: the same for the example kept, when it was verified; -1 where it was not.
        status: LIVE or an index into `STATUSES`.
        verified: 1 the example was adversarial again in a fresh, uncharged call, 0 it was not, -1 it was not verified.
        rounded: the same for the example rounded to 8 bits, if that was requested.
        trace: (sample, query, distance) whenever a nearer example was found.
        parts: [N, P] queries of each of the attack's parts, as named in `Ask.part`.
        winner: the part that succeeded first, -1 where none is known.
        flagged: queries that the target rejected, or that its detector flagged.
        bad: queries charged whose answer was not what the attacker wants; a rejected one is among them.
        shut: samples about which the target answers no more (`blackbox.oracle.asking.LockedOut`).
        answers: by the sample what a report shows of its answers, see `blackbox.engine.answers`.
        x: [N, \\*shape] the example kept: the adversarial one, else the candidate with the largest loss.
    """

    spent: np.ndarray
    first: np.ndarray
    distance: np.ndarray
    best: np.ndarray
    loss0: np.ndarray
    label0: np.ndarray
    sure0: np.ndarray
    label1: np.ndarray
    sure1: np.ndarray
    status: np.ndarray
    verified: np.ndarray
    rounded: np.ndarray
    trace: list[tuple[int, int, float]]
    x: Tensor
    parts: np.ndarray
    winner: np.ndarray
    flagged: np.ndarray
    bad: np.ndarray
    shut: np.ndarray
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, x: Tensor, parts: int = 0) -> Ledger:
        """Make an empty ledger for images [N, \\*shape] and an attack with this number of parts."""
        n = len(x)
        return cls(
            spent=np.zeros(n, np.int64),
            first=np.zeros(n, np.int64),
            distance=np.full(n, np.inf, np.float32),
            best=np.full(n, -np.inf, np.float32),
            loss0=np.full(n, np.nan, np.float32),
            label0=np.full(n, -1, np.int64),
            sure0=np.full(n, np.nan, np.float32),
            label1=np.full(n, -1, np.int64),
            sure1=np.full(n, np.nan, np.float32),
            status=np.full(n, LIVE, np.int8),
            verified=np.full(n, -1, np.int8),
            rounded=np.full(n, -1, np.int8),
            trace=[],
            x=x.clone(),
            parts=np.zeros((n, parts), np.int32),
            winner=np.full(n, -1, np.int16),
            flagged=np.zeros(n, np.int64),
            bad=np.zeros(n, np.int64),
            shut=np.zeros(n, np.bool_),
        )

    @property
    def live(self) -> np.ndarray:
        """The samples that are not finished, [N] bool."""
        return self.status == LIVE

    def close(self, samples: np.ndarray, status: Status) -> None:
        """Finish those of the samples (indices) that are still live."""
        open_ = samples[self.status[samples] == LIVE]
        self.status[open_] = CODES[status]

    def stop(self, budget: int) -> None:
        """End a run early: samples that have spent the budget are finished, the others are marked as errors."""
        everyone = np.arange(len(self.status))
        self.close(everyone[self.spent >= budget], Status.BUDGET)
        self.status[(self.first > 0) & ~self.live] = CODES[Status.SUCCESS]  # as at the end of a whole run
        self.close(everyone, Status.ERROR)

    def store(self, cohort: Cohort) -> None:
        """Copy the examples that a cohort has kept."""
        self.x[torch.from_numpy(cohort.samples)] = cohort.best.to(self.x.device)

    def state(self) -> dict[str, Tensor]:
        """The columns as tensors, to be saved."""
        columns = {f.name: torch.as_tensor(getattr(self, f.name)).clone() for f in fields(self) if f.name not in ("trace", "answers")}
        said = torch.from_numpy(np.frombuffer(packed(self.answers).encode(), np.uint8).copy())
        return {**columns, "trace": torch.tensor(self.trace, dtype=torch.float64).view(-1, 3), "answers": said}

    @classmethod
    def restore(cls, state: dict[str, Tensor]) -> Ledger:
        """The inverse of `state`."""
        trace = [(int(sample), int(query), distance) for sample, query, distance in state["trace"].tolist()]
        new = cls.open(state["x"], state["parts"].shape[1])  # columns missing from an older file stay empty
        columns = {
            f.name: state[f.name].numpy() if f.name in state else getattr(new, f.name)
            for f in fields(cls)
            if f.name not in ("x", "trace", "answers")
        }
        answers = unpacked(state["answers"].numpy().tobytes().decode()) if "answers" in state else {}
        return cls(**columns, trace=trace, x=state["x"], answers=answers)
