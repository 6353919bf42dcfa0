"""The settings of a run: fixed before the first query, read by every part of the engine, changed by none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from blackbox.checkpoint import fingerprint
from blackbox.goals.objective import Objective
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Attack
from blackbox.threat import Threat


@dataclass(frozen=True)
class Samples:
    """The samples to attack, all on the CPU.

    x: [N, \\*shape] float32 clean images. y: [N] true labels. goal: [N] the label to leave or the class to reach.
    ids: [N] uint64, on which a sample's draws depend. start: [N, \\*shape] images that the attack may start from.
    """

    x: Tensor
    y: Tensor
    goal: Tensor
    ids: np.ndarray
    start: Tensor | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all columns, by which a checkpoint or a journal recognises its run."""
        return fingerprint(self.x, self.y, self.goal, self.ids, *([] if self.start is None else [self.start]))


@dataclass(frozen=True)
class RunSpec:
    """The settings of a run.

    Args:
        attack, threat, objective: what to run, within which bounds, towards which goal.
        samples: what is attacked.
        budget: the most queries a sample may cost, its clean check included.
        name: the attack's name in reports.
        seed: of all draws.
        cohort: rows that step together; affects time and memory, never a result.
        votes: 1, or an odd number of fresh answers, all charged, whose majority must confirm a success.
        eight_bit: at the end round every example to an 8-bit image, see `blackbox.engine.rounding`, and verify it.
        checkpoint: the file from which a killed run continues; None for none.
        max_bad: the most bad queries a sample may make, see `Ledger`; None: as many as the budget.
    """

    attack: Attack
    threat: Threat
    objective: Objective
    samples: Samples
    budget: int
    name: str = ""
    seed: int = 0
    cohort: int = 128
    votes: int = 1
    eight_bit: bool = False
    checkpoint: Path | None = None
    max_bad: int | None = None

    def identity(self, oracle: Oracle) -> dict[str, Any]:
        """The settings that a checkpoint or a journal must agree with to continue this run."""
        module = type(self.attack).__module__
        return {
            # one from a file (`blackbox.plugins`): its module's name ends in the file's hash
            **({"attack's file": module.rpartition("_")[2]} if module.startswith("blackbox_own_") else {}),
            "attack": repr(self.attack),
            "threat": repr(self.threat),
            "objective": repr(self.objective),
            "access": oracle.access.name,
            "channel": f"probe={oracle.probe}, resolution={oracle.resolution}, k={oracle.k}, "
            f"noise={oracle.noise}, randomised={oracle.randomised}",
            "votes": self.votes,
            **({} if self.max_bad is None else {"bad queries": self.max_bad}),
            "budget": self.budget,
            "seed": self.seed,
            "samples": self.samples.fingerprint,
            "weights": oracle.weights(),
        }
