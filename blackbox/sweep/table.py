"""The results of a study: raw outcomes of each grid point, and rates derived from them."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.results.words import of_inputs
from blackbox.statistics import Rate, TwoLevel, few, rate_estimate
from blackbox.sweep.columns import joined
from blackbox.sweep.plan import Plan
from blackbox.sweep.store import Store
from blackbox.sweep.study import Point
from blackbox.tariff import short


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

    @property
    def goal(self) -> str:
        """The goal of its query attacks that is not one class, as it is written; empty where it is one."""
        grid = self.plan.study.attack
        return "" if grid is None else grid.goal or ""

    @property
    def kind(self) -> str:
        """What its inputs are called: images, or rows of a table."""
        return self.plan.kind

    def rate(self, point: Point) -> Rate:
        """Images fooled, of those that the target had right, and, where there is a class to reach, did not name so; with another goal the
        inputs that reach it, of those that did not unchanged."""
        found = self.outcomes[point]
        if not found:
            return Rate(0, 0, unknown=self.unknown(point))
        return replace(Rate.of(*_hits(point, found)), unknown=self.unknown(point))

    def several(self) -> dict[Point, list[Point]]:
        """The points that differ in their seeds alone, by the first of them; of those with more than one seed."""
        groups: dict[Point, list[Point]] = {}
        for point in self.outcomes:
            groups.setdefault(point._replace(seed=0), []).append(point)
        return {points[0]: points for points in groups.values() if len(points) > 1}

    def pooled(self, points: Sequence[Point]) -> TwoLevel:
        """The share fooled, an image's seeds averaged first, with a 95 % interval over images; of images known with every seed."""
        found = [self.outcomes[p] for p in points]
        if not all(found):
            return TwoLevel(**asdict(rate_estimate([])), runs=len(points))
        ids = reduce(np.intersect1d, [f["ids"] for f in found])
        rows = [{name: column[np.isin(f["ids"], ids)] for name, column in f.items()} for f in found]
        hits, among = zip(*(_hits(p, f) for p, f in zip(points, rows, strict=True)), strict=True)
        return TwoLevel(**asdict(rate_estimate(np.stack(hits), np.stack(among))), runs=len(points))

    def by_seed(self, points: Sequence[Point]) -> str:
        """``71 to 89``: the smallest and the largest rate of a seed, in per cent; how many are incomplete, if any are."""
        each = [self.rate(p) for p in points]
        rates, cut = [100 * rate.value for rate in each if rate.n], sum(rate.unknown > 0 for rate in each)
        text = f"{min(rates):.0f} to {max(rates):.0f}" if rates else "unknown"
        return f"{text}; {cut} of {len(each)} incomplete" if cut else text

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
        charged = np.where(found["success"], found["queries"], self.plan.most(point))[found["attacked"]]
        return float(charged.mean()), float(np.median(charged))

    def money(self, point: Point) -> float | None:
        """What the queries at a point cost in all; None without a tariff."""
        found, prices = self.outcomes[point], self.plan.tariff
        if prices is None or point.kind != "attack" or not found:
            return None
        return float(prices.money(*(found[name].clip(0).astype(np.float64).sum() for name in ("queries", "flagged", "bad"))))

    def records(self) -> list[dict[str, Any]]:
        """One dict a point, for a CSV file."""
        out = []
        for point in self.outcomes:
            rate, noise, (mean, median) = self.rate(point), self.noise(point), self.queries(point)
            found = "reached" if self.goal and point.kind == "attack" else "fooled"
            asked = self.outcomes[point].get("queries")
            out.append({
                **point._asdict(), "images": len(self.outcomes[point].get("y", ())), found: rate.k, "of": rate.n,
                "rate": rate.value, "low": rate.low, "high": rate.high, "unknown": rate.unknown,
                "noise": noise.value if noise else "",
                "mean_queries": mean, "median_queries": median, "spent": int(asked.sum()) if asked is not None else "",
                **({} if (paid := self.money(point)) is None else {"money": paid}),
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
            share = "reached" if self.goal and kind == "attack" else "fooled"
            rows = [["target", head, "threat", "seed", *extra, f"{share}, % [95 %]", "n"]]
            for p in points:
                noise, rate = self.noise(p), self.rate(p)
                more = (
                    [f"{p.budget:,}", f"{self.queries(p)[0]:.1f}" if rate.n else "–"]
                    if kind == "attack"
                    else [p.source, cell(noise) if noise else "–"]
                )
                rows.append([p.target, p.what, p.threat, str(p.seed), *more, cell(rate), str(rate.n)])
            for points in self.several().values():
                if points[0].kind == kind:
                    rows.append(self._pooled_row(points))
            out.append(lay(rows, left=3))
        told = ["fooled: of the images that the target had right, with Wilson interval"]
        if self.goal:
            told[0] = f"Goal: {self.goal}; reached: of the inputs that did not reach it unchanged, with Wilson interval"
            if self.plan.study.transfer is not None:
                told[0] += "\nfooled: of the images that the target had right"
        if bills := {p: paid for p in self.outcomes if (paid := self.money(p)) is not None}:
            told[0] += f"\nTariff: {self.plan.tariff}; money in all: "
            told[0] += "; ".join(f"{point} {short(paid)}" for point, paid in bills.items())
        if self.several():
            told[0] += "; pooled: an image's seeds are averaged first, and the interval is over images"
        if warning := few(self.plan.count):
            told[0] += f"\n{warning}"
        cut = [f"{self.incomplete}."] if self.incomplete else []
        return of_inputs("\n\n".join([*cut, *out, *told]), self.kind)

    def _pooled_row(self, points: Sequence[Point]) -> list[str]:
        p, mean = points[0], self.pooled(points)
        charged = np.mean([self.queries(each)[0] for each in points])
        more = [f"{p.budget:,}", f"{charged:.1f}" if mean.n else "–"] if p.kind == "attack" else [p.source, ""]
        known = f"{100 * mean.value:.0f} [{100 * mean.low:.0f}, {100 * mean.high:.0f}]" if mean.n else "unknown"
        return [p.target, p.what, p.threat, f"{len(points)} pooled", *more, f"{known}, by seed {self.by_seed(points)}", str(mean.n)]

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``rates.csv`` and ``summary.txt``; the raw outcomes are in the store."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        records = self.records()
        with open(path / "rates.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(name for record in records for name in record)))
            writer.writeheader()
            # NaN, of what is not known, is an empty field
            writer.writerows({name: "" if value != value else value for name, value in r.items()} for r in records)
        (path / "summary.txt").write_text(f"{self}\n")
        return path


def _hits(point: Point, found: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Which images were fooled, and which are in the denominator."""
    if point.kind == "attack":
        return found["success"], found["attacked"]
    return _fooled(found, found["adv_target"]), _right(found)


def _fooled(found: dict[str, np.ndarray], named: np.ndarray) -> np.ndarray:
    return named == found["goal"] if "goal" in found else named != found["y"]


def _right(found: dict[str, np.ndarray]) -> np.ndarray:
    clean = found["clean_target"]
    return (clean == found["y"]) & (clean != found["goal"] if "goal" in found else True)
