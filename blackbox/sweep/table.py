"""The results of a study: raw outcomes of each grid point, and rates derived from them."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.statistics import Rate
from blackbox.sweep.columns import joined
from blackbox.sweep.plan import Plan
from blackbox.sweep.store import Store
from blackbox.sweep.study import Point


@dataclass(frozen=True)
class Table:
    """Outcomes by point of the grid; ``outcomes[point]`` maps a column's name to an array over the images done.

    failures: what went wrong, by cell. done, total: cells. Images of cells that failed or are not done are unknown: in no
    rate but in its ``unknown``.
    """

    plan: Plan
    outcomes: dict[Point, dict[str, np.ndarray]]
    failures: dict[str, str] = field(default_factory=dict)
    done: int = 0
    total: int = 0

    @classmethod
    def read(cls, plan: Plan, store: Store, failures: dict[str, str] | None = None) -> Table:
        """Read the cells of a plan that a store holds."""
        cells = plan.cells()
        found = store.columns(cell.key for cell in cells)
        outcomes: dict[Point, dict[str, np.ndarray]] = {point: {} for point in plan.points}
        for point, some in groupby(cells, key=lambda cell: cell.point):
            outcomes[point] = joined(found[cell.key] for cell in some if cell.key in found)
        return cls(plan, outcomes, failures or {}, len(found), len(cells))

    def rate(self, point: Point) -> Rate:
        """Images fooled, of those that the target had right (and, with a goal, did not call the goal)."""
        found = self.outcomes[point]
        if not found:
            return Rate(0, 0, unknown=self.unknown(point))
        if point.kind == "attack":
            rate = Rate.of(found["success"], found["attacked"])
        else:
            rate = Rate.of(_fooled(found, found["adv_target"]), _right(found))
        return replace(rate, unknown=self.unknown(point))

    def unknown(self, point: Point) -> int:
        """How many images of a point are unknown, because their cells failed or are not done."""
        return self.plan.count - len(self.outcomes[point].get("y", ()))

    @property
    def incomplete(self) -> str:
        """The sentence for a table that lacks cells: how many, and why as far as it is known; empty where all are done."""
        missing = self.total - self.done
        if not missing:
            return ""
        text = f"INCOMPLETE: {missing:,} of {self.total:,} cells are missing, and their images unknown"
        reason = next(iter(self.failures.values()), "")
        return f"{text}: {len(self.failures):,} of them failed ({reason})" if reason else text

    def noise(self, point: Point) -> Rate | None:
        """The same for noise of the same size: the worse of the kinds there are. None for a query attack."""
        found = self.outcomes[point]
        if point.kind == "attack" or not found:
            return None
        kinds = [k for k in found["noise_target"].T if (k >= 0).all()]
        worst = max((Rate.of(_fooled(found, k), _right(found)) for k in kinds), key=lambda r: r.k, default=None)
        return None if worst is None else replace(worst, unknown=self.unknown(point))

    def queries(self, point: Point) -> tuple[float, float]:
        """Mean and median queries over attacked images, a failure charged at the budget; NaN where there are none."""
        found = self.outcomes[point]
        if point.kind != "attack" or not found or not found["attacked"].any():
            return float("nan"), float("nan")
        charged = np.where(found["success"], found["queries"], point.budget)[found["attacked"]]
        return float(charged.mean()), float(np.median(charged))

    def records(self) -> list[dict[str, Any]]:
        """One dict a point, for a CSV file."""
        out = []
        for point in self.outcomes:
            rate, noise, (mean, median) = self.rate(point), self.noise(point), self.queries(point)
            asked = self.outcomes[point].get("queries")
            out.append({
                **point._asdict(), "images": len(self.outcomes[point].get("y", ())), "fooled": rate.k, "of": rate.n,
                "rate": rate.value, "low": rate.low, "high": rate.high, "unknown": rate.unknown,
                "noise": noise.value if noise else "",
                "mean_queries": mean, "median_queries": median, "spent": int(asked.sum()) if asked is not None else "",
            })  # fmt: skip
        return out

    def __str__(self) -> str:
        from blackbox.plain_text import cell, lay

        out = []
        for kind, head in (("attack", "attack"), ("transfer", "preset")):
            points = [p for p in self.outcomes if p.kind == kind]
            if not points:
                continue
            extra = ["budget", "mean queries"] if kind == "attack" else ["source", "noise"]
            rows = [["target", head, "threat", "seed", *extra, "fooled, % [95 %]", "n"]]
            for p in points:
                noise, rate = self.noise(p), self.rate(p)
                more = (
                    [f"{p.budget:,}", f"{self.queries(p)[0]:.1f}" if rate.n else "–"]
                    if kind == "attack"
                    else [p.source, cell(noise) if noise else "–"]
                )
                rows.append([p.target, p.what, p.threat, str(p.seed), *more, cell(rate), str(rate.n)])
            out.append(lay(rows, left=3))
        cut = [f"{self.incomplete}."] if self.incomplete else []
        return "\n\n".join([*cut, *out, "fooled: of the images that the target had right, with Wilson interval"])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``rates.csv`` and ``summary.txt``; the raw outcomes are in the store."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        records = self.records()
        with open(path / "rates.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(records[0]))
            writer.writeheader()
            # NaN, of what is not known, is an empty field
            writer.writerows({name: "" if value != value else value for name, value in r.items()} for r in records)
        (path / "summary.txt").write_text(f"{self}\n")
        return path


def _fooled(found: dict[str, np.ndarray], named: np.ndarray) -> np.ndarray:
    return named == found["goal"] if "goal" in found else named != found["y"]


def _right(found: dict[str, np.ndarray]) -> np.ndarray:
    clean = found["clean_target"]
    return (clean == found["y"]) & (clean != found["goal"] if "goal" in found else True)
