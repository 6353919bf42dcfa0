"""The settings of a run: fixed before the first query, read by every part of the engine, changed by none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.bounds import Bounds
from blackbox.checkpoint import fingerprint
from blackbox.goals.base import Goal
from blackbox.goals.objective import Objective
from blackbox.goals.twins import as_classes
from blackbox.oracle.oracle import Oracle, Reply
from blackbox.protocol import Attack, Status
from blackbox.tabular.rows import TableRows
from blackbox.tariff import Tariff
from blackbox.threat import Threat


@dataclass(frozen=True)
class Samples:
    """The samples to attack, all on the CPU.

    x: [N, \\*shape] float32 clean images. y: [N] true labels. goal: [N] the label to leave or the class to reach.
    ids: [N] uint64, on which a sample's draws depend. start: [N, \\*shape] images that the attack may start from.
    mask: [N, \\*shape] bool, which entries may change; None where all may. weights: [N, \\*shape] the share of eps that each may
    use. ranges: the lowest and the highest value of each, both [N, \\*shape]. table: rows of a table, of which ``x`` are the scaled
    columns.
    """

    x: Tensor
    y: Tensor
    goal: Tensor
    ids: np.ndarray
    start: Tensor | None = None
    mask: Tensor | None = None
    table: TableRows | None = None
    weights: Tensor | None = None
    ranges: tuple[Tensor, Tensor] | None = None

    @property
    def inputs(self) -> Tensor:
        """What the target is asked about the clean samples: ``x``, or the rows of a table that it stands for."""
        return self.x if self.table is None else self.table.x

    @cached_property
    def aims(self) -> np.ndarray:
        return self.goal.numpy(force=True)

    @cached_property
    def labels(self) -> np.ndarray:
        return self.y.numpy(force=True)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all columns, by which a checkpoint or a journal recognises its run."""
        more = (self.start, self.mask, None if self.table is None else self.table.x)
        named = {"weights": self.weights, "lower": self.ranges and self.ranges[0], "upper": self.ranges and self.ranges[1]}
        bounds = [v for name, t in named.items() if t is not None for v in (np.frombuffer(name.encode(), np.uint8), t)]
        return fingerprint(self.x, self.y, self.goal, self.ids, *(t for t in more if t is not None), *bounds)

    def bounds(self, threat: Threat, who: np.ndarray, minimises: bool = False, device: torch.device | str = "cpu") -> Bounds | None:
        """What the entries of samples ``who`` may become, as an attack that ``minimises`` or not sees it; None: no more is said."""
        if self.weights is None and self.ranges is None:
            return None
        index = torch.from_numpy(who)

        def pick(v: Tensor | None) -> Tensor | None:
            return None if v is None else v[index].to(device)

        ranges = None if self.ranges is None else (self.ranges[0][index].to(device), self.ranges[1][index].to(device))
        return Bounds.of(threat, self.x[index].to(device), pick(self.mask), pick(self.weights), ranges, minimises)

    def distance(self, threat: Threat, x: Tensor, who: np.ndarray) -> np.ndarray:
        """The distances of images ``x`` [m, \\*shape] from the clean ones of samples ``who``, [m], with their weights."""
        if self.weights is None:
            return threat.distance(x, self.x[torch.from_numpy(who)].to(x.device)).numpy(force=True)
        bounds = self.bounds(threat, who, device=x.device)
        assert bounds is not None
        return bounds.distance(threat, x).numpy(force=True)


@dataclass(frozen=True)
class RunSpec:
    """The settings of a run.

    Args:
        attack, threat, objective: what to run, within which bounds, towards which class.
        goal: instead of a class, a goal that is bound to the samples.
        samples: what is attacked.
        budget: the most queries a sample may cost, its clean check included.
        shared: samples share the sum of their budgets, and one may cost so many; None: each has its own.
        name: the attack's name in reports.
        seed: of all draws.
        cohort: rows that step together; affects time and memory, never a result.
        votes: 1, or an odd number of fresh answers, all charged, whose majority must confirm a success.
        eight_bit: at the end round every example to an 8-bit image, see `blackbox.engine.rounding`, and verify it.
        checkpoint: the file from which a killed run continues; None for none.
        asked: the threat that was asked for, where the search runs with another: a patch, which is a mask to it.
        aimed: the attack with priors aimed at the goal (`blackbox.prior.Aimed`); None where it has none.
        max_bad: the most bad queries a sample may make, see `Ledger`; None: as many as the budget.
        tariff: what a sample may cost in money, and after how many flagged queries it is locked out; None: no limit.
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
    goal: Goal | None = None
    shared: int | None = None
    asked: Threat | None = None
    aimed: Any = None
    tariff: Tariff | None = None

    @property
    def most(self) -> int:
        """The most queries that a sample may cost."""
        return self.budget if self.shared is None else self.shared

    def judge(self, reply: Reply, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss and success of the ``reply`` to inputs of samples ``who`` [m], both [m].

        Raises:
            GoalError: the goal cannot judge an answer.
        """
        if self.goal is None:
            return self.objective.judge(reply, self.samples.aims[who])
        return self.goal.verdict(reply, who)

    def shown_classes(self, oracle: Oracle) -> int:
        """How many classes an informed attack is shown: the target's, or the two of a goal (`as_classes`)."""
        return oracle.classes if self.goal is None else 2

    def shown(self, reply: Reply, loss: np.ndarray, adv: np.ndarray, oracle: Oracle) -> np.ndarray:
        """What an informed attack is shown of a reply, [m, classes], and of the loss and success judged of it."""
        if self.goal is None:
            return self.objective.shown(reply, oracle.classes)
        return as_classes(loss, adv, self.goal.level(oracle.access))

    def done(self, reply: Reply, adv: np.ndarray, who: np.ndarray) -> np.ndarray:
        """Which clean inputs are not to be attacked, by the reply to them: misclassified ones, or those that reach the goal."""
        return reply.label.numpy(force=True) != self.samples.labels[who] if self.goal is None else adv

    @property
    def not_attacked(self) -> Status:
        """The status of these."""
        return Status.CLEAN_WRONG if self.goal is None else Status.REACHED

    def identity(self, oracle: Oracle) -> dict[str, Any]:
        """The settings that a checkpoint or a journal must agree with to continue this run."""
        module = type(self.attack).__module__
        return {
            # one from a file (`blackbox.plugins`): its module's name ends in the file's hash
            **({"attack's file": module.rpartition("_")[2]} if module.startswith("blackbox_own_") else {}),
            "attack": repr(self.attack),
            "threat": repr(self.threat),
            "objective": repr(self.objective) if self.goal is None else self.goal.identity(),
            "access": oracle.access.name,
            "channel": f"probe={oracle.probe}, resolution={oracle.resolution}, k={oracle.k}, "
            f"noise={oracle.noise}, randomised={oracle.randomised}",
            "votes": self.votes,
            **({} if self.max_bad is None else {"bad queries": self.max_bad}),
            **({} if self.tariff is None else {"tariff": repr(self.tariff)}),
            "budget": self.budget,
            "seed": self.seed,
            "samples": self.samples.fingerprint,
            **({} if self.samples.table is None else {"table": repr(self.samples.table.about)}),
            "weights": oracle.weights(),
            **({} if self.shared is None else {"shared": self.shared}),
        }
