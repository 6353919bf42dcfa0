"""What an evaluation is of: images or rows of a table, with true classes or a goal, and which of them an answer says are lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checkpoint import fingerprint
from blackbox.checks import as_ids, as_images, as_labels
from blackbox.goals import base as goals
from blackbox.goals.base import Goal, GoalError
from blackbox.goals.selection import Selection
from blackbox.oracle.oracle import Oracle, Reply
from blackbox.protocol import Access
from blackbox.tabular import TableRows, Tabular
from blackbox.threat import Threat

LEVELS = ("labels", "scores")


@dataclass(frozen=True)
class Judged:
    """The inputs of an evaluation.

    x: [N, \\*shape] as an attack takes them and the target is asked: images, or rows in a table's own units. z: the same as an attack
    sees them: of a table the scaled columns. labels: [N]; -1 where a goal needs none. goal: bound to these inputs; given: as it was
    given. rows: of a table.
    """

    x: Tensor
    z: Tensor
    labels: Tensor
    ids: np.ndarray
    goal: Goal | None = None
    given: Goal | None = None
    rows: TableRows | None = None
    table: Tabular | None = None

    @classmethod
    def of(cls, oracle: Oracle, x: Any, y: Any, ids: Any, goal: Goal | None, table: Tabular | None) -> Judged:
        """Check what the user gave. Raises: ValueError, AccessError: as `blackbox.attack`."""
        rows = None if table is None else table.rows(x)
        z = as_images(x, "x").cpu() if rows is None else rows.z
        if y is None and goal is None:
            raise ValueError("Expected y, the true class of each input, but it was None. Without one give goal=, one of blackbox.goals.")
        unlabelled = y is None or oracle.access is Access.ANSWERS
        labels = torch.full((len(z),), -1) if unlabelled else as_labels(y, len(z), oracle.classes, "y", oracle.class_names)
        bound = None if goal is None else goals.bound(goal, oracle, len(z))
        return cls(z if rows is None else rows.x, z, labels, as_ids(ids, len(z)), bound, goal, rows, table)

    @property
    def unlabelled(self) -> bool:
        return bool((self.labels < 0).all())

    def wrong(self, reply: Reply, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of a reply to the inputs in the places ``at`` [m], those that it gets wrong, or that reach the goal, and those of which it
        says something, [m] bool each. Raises: GoalError, the goal cannot judge an answer; it names the sample."""
        known = ~reply.refused
        if self.goal is None:
            named = reply.label.numpy(force=True)
            return known & (named >= 0) & (named != self.labels.numpy()[at]), known & (named >= 0)
        try:
            return self.goal.verdict(reply, at)[1] & known, known
        except GoalError as error:
            which = "" if error.row is None else f" That answer was to sample {int(self.ids[at[error.row]])}."
            raise GoalError(f"{error}{which}", error.row) from error

    def some(self, left: np.ndarray) -> dict[str, Any]:
        """The arguments of `blackbox.attack` for the inputs in the places ``left``."""
        y = None if self.unlabelled else self.labels[left]
        of = None if self.given is None else Selection(self.given, left, len(self.z))
        return {"x": self.x[left], "y": y, "goal": of, "table": self.table, "ids": self.ids[left]}

    def shown(self, z: Tensor, threat: Threat) -> Tensor:
        """What the target is asked for points [N, \\*shape] as an attack sees them, within the threat."""
        return z if self.rows is None else self.rows.shown(z, None, threat)

    def identity(self) -> dict[str, str]:
        """By what a journal knows them: a hash of the inputs, their labels and their ids, and the goal and the table where there are."""
        held = {"goal": None if self.goal is None else self.goal.identity(), "table": None if self.rows is None else repr(self.rows.about)}
        return {"images": fingerprint(self.x, self.labels, self.ids), **{name: text for name, text in held.items() if text is not None}}


def lowest(goal: Goal | None) -> str:
    """The access level at which single inputs are asked about: the least that the goal can be judged by."""
    if goal is None:
        return "labels"
    return "scores" if goal.needs is Access.TOPK else goal.needs.name.lower()


def levels_of(goal: Goal | None, most: str | None = None) -> tuple[str, ...]:
    """The access levels of an evaluation by default: of labels and the most that the target shows (scores, if that is not known), those
    that show enough for the goal."""
    if goal is None or goal.needs is Access.LABELS:
        return LEVELS if most is None else tuple(dict.fromkeys((LEVELS[0], most)))
    return (lowest(goal) if most is None or goal.needs is Access.ANSWERS else most,)


def check_levels(given: Judged, attack: Any, name: str, levels: Sequence[str], oracle: Callable[[str], Oracle]) -> None:
    """Refuse levels that show too little for the attack or the goal, before anything is asked. Raises: ValueError, AccessError."""
    for level in levels:
        sees = Access.parse(level.partition(":")[0])
        if given.given is not None:
            sees = goals.bound(given.given, oracle(level), len(given.z)).level(sees)
        if sees < attack.access:
            more = "" if given.given is None else f", through the goal ({given.given})"
            raise ValueError(
                f"Expected levels that show at least {attack.access.name.lower()} for {name}, but one was {level}{more}. Say which: "
                f"--levels {attack.access.name.lower()}, or levels=."
            )
