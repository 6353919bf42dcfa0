"""ART's attacks on rows of a table: each row behind a counter that knows what a valid row is.

ART sees every column scaled by its range to [0, 1], as its users scale them. *Raw*, the target is asked about whatever ART sends; what
of that is no valid row is counted, and its nearest example is projected onto the valid rows at the end. *Held*, each row is projected
before it is answered, as the engine does with ours; then it has no violations, and is a search over the same rows as ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
from experiments.peers.adapters import Spent, of_ours
from experiments.peers.turns import seed_all

Predict = Callable[[np.ndarray], np.ndarray]  # rows [m, d] in the table's units -> probabilities [m, C]


@dataclass(frozen=True)
class Setting:
    """One way to run a peer. why: on whose word."""

    peer: str
    label: str
    options: dict[str, Any] = field(default_factory=dict)
    why: str = "its defaults"


NOTEBOOK = "the settings of ART's own notebooks on tables (ZOO on XGBoost, LightGBM and scikit-learn)"
ZOO = {
    "confidence": 0.0, "binary_search_steps": 10, "initial_const": 1e-3, "use_resize": False, "use_importance": False, "nb_parallel": 1,
    "batch_size": 1,
}  # fmt: skip
SETTINGS = (
    Setting("HopSkipJump", "defaults"),
    Setting("HopSkipJump", "fewer probes", {"init_eval": 25, "max_eval": 1000}, "a budget of hundreds has more steps so"),
    Setting("BoundaryAttack", "defaults"),
    Setting("BoundaryAttack", "larger steps", {"delta": 0.1, "epsilon": 0.1}, "rows are farther from the boundary than images"),
    Setting("ZooAttack", "notebook", {**ZOO, "learning_rate": 0.1, "max_iter": 20, "variable_h": 0.2}, NOTEBOOK),
    Setting("ZooAttack", "notebook, wide", {**ZOO, "learning_rate": 0.1, "max_iter": 20, "variable_h": 0.8}, NOTEBOOK),
)


class Counter:
    """Counts what a peer asks about one row, looks at every answer, stops it at the budget; the clean check is the first query.

    Attributes:
        reached: (number of the query, row in the table's units, distance) whenever an adversarial row came nearer.
    """

    def __init__(self, predict: Predict, table: bb.Tabular, x: Tensor, y: int, budget: int, held: bool) -> None:
        self.predict, self.table, self.y, self.budget, self.held = predict, table, y, budget, held
        self.clean = table.rows(x)
        low, high = np.array(table.ranges).T
        self.low, self.width = low, np.where(high > low, high - low, 1.0)
        self.integer = np.array([name in table.integer for name in table.columns])
        self.rows = 1
        self.reached: list[tuple[int, np.ndarray, float]] = []
        self.scaled = self.to_scaled(x.numpy())

    def to_scaled(self, x: np.ndarray) -> np.ndarray:
        return ((x - self.low) / self.width).astype(np.float32)

    def to_rows(self, z: np.ndarray) -> np.ndarray:
        """Back to the table's units; what float32 adds to a column that was not moved, or to a whole number, is no violation."""
        z = z.astype(np.float32)
        x = self.low + z.astype(np.float64) * self.width
        whole = self.integer & (np.abs(x - np.round(x)) < 1e-5 * self.width)
        x = np.where(whole, np.round(x), x)
        x = np.where((z >= 0) & (z <= 1), x.clip(self.low, self.low + self.width), x)
        found: np.ndarray = np.where(z == self.scaled, self.clean.x.numpy(), x)
        return found

    def valid(self, x: np.ndarray) -> np.ndarray:
        """The nearest valid rows."""
        rows, layout = torch.from_numpy(x), self.clean.layout
        return layout.settled(rows[:, layout.numeric], layout.choices(rows), self.clean.x.expand(len(x), -1)).numpy()

    def distance(self, x: np.ndarray) -> np.ndarray:
        """In L2 over scaled columns, a change of category counted as one; of a row that is none, column by column."""
        rows = torch.from_numpy(x)
        if self.held or not self.table.categorical:
            return self.clean.distance(bb.L2(math.inf), rows, torch.zeros(len(x), dtype=torch.int64)).numpy()
        moved = ((x - self.clean.x.numpy()) / self.width) ** 2
        found: np.ndarray = np.sqrt(moved.sum(1))
        return found

    def __call__(self, z: np.ndarray) -> np.ndarray:
        z = np.atleast_2d(z)
        if len(z) == 1 and self.rows == 1 and np.array_equal(z.astype(np.float32), self.scaled):
            return self.predict(self.clean.x.numpy())  # the clean check, which is paid
        x = self.to_rows(z)
        x = self.valid(x) if self.held else x
        if (room := self.budget - self.rows) <= 0:
            raise Spent
        out = self.predict(x)
        far = self.distance(x[:room])
        for i in np.flatnonzero(out[:room].argmax(1) != self.y):
            if not self.reached or far[i] < self.reached[-1][2]:
                self.reached.append((self.rows + int(i) + 1, x[i], float(far[i])))
        self.rows += min(len(z), room)
        if len(z) > room:
            raise Spent
        return out

    def told(self, budgets: Sequence[int]) -> dict[str, list[Any]]:
        """After each number of queries, of the nearest example: its distance, what of a row it violates, and the distance of the
        nearest valid row where that fools the target too (asked about without charge). None where there is none."""
        out: dict[str, list[Any]] = {"raw": [], "violates": [], "near": []}
        for budget in budgets:
            some = [found for found in self.reached if found[0] <= budget]
            if not some:
                for cells in out.values():
                    cells.append(None)
                continue
            row = some[-1][1][None]
            broken = self.table.violations(torch.from_numpy(row), self.clean.x)
            kept = self.valid(row)
            fools = self.predict(kept)[0].argmax() != self.y
            far = self.clean.distance(bb.L2(math.inf), torch.from_numpy(kept)).item()
            out["raw"].append(round(some[-1][2], 5))
            out["violates"].append([kind for kind, hit in broken.items() if hit[0]])
            out["near"].append(round(far, 5) if fools else None)
        return out


def run(
    how: Setting, predict: Predict, table: bb.Tabular, x: Tensor, y: Sequence[int], budget: int, held: bool, seed: int
) -> tuple[list[Counter], list[str]]:
    """A peer on each row; what went wrong, where something did."""
    from art.attacks import evasion
    from art.estimators.classification import BlackBoxClassifier

    kind, counters, wrong = getattr(evasion, how.peer), [], []
    norm = {} if how.peer != "HopSkipJump" else {"norm": 2}
    free = np.array([name not in table.immutable for name in table.columns], dtype=np.float32)
    for i in range(len(x)):
        counter = Counter(predict, table, x[i : i + 1], int(y[i]), budget, held)
        counters.append(counter)
        seed_all(seed + i)
        model = BlackBoxClassifier(counter, counter.scaled.shape[1:], 2, clip_values=(0.0, 1.0))
        try:
            attack = kind(model, verbose=False, targeted=False, **norm, **how.options)
            more = {"mask": free[None]} if how.peer == "HopSkipJump" else {}
            attack.generate(counter.scaled.copy(), np.eye(2, dtype=np.float32)[[int(y[i])]], **more)
        except Exception as error:
            if not of_ours(error):
                wrong.append(f"row {i}: {type(error).__name__}: {str(error)[:80]}")
    return counters, wrong
