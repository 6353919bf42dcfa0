"""What is logged of a sweep: a run for each point of the grid, when its last cell is done, with its settings.

The process that keeps the store writes them, whoever did the cells: threads, processes, Dask and Ray workers need no logger.
A query attack is logged as `blackbox.loggers.attack` logs one, a transfer by its rates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from blackbox.loggers.attack import AttackLog, strip
from blackbox.loggers.logger import Log, running
from blackbox.sweep import loading, pictures, views
from blackbox.sweep.columns import joined
from blackbox.sweep.plan import Plan
from blackbox.sweep.store import Store
from blackbox.sweep.study import Point
from blackbox.sweep.table import Table

_FIXED = ("access", "channels", "votes", "eight_bit", "targeted", "tariff", "steps")  # what a grid does not vary


class SweepLog:
    """Logs the points that are completed; of a study that was finished before, all of them.

    Args:
        done: the cells that the store held before.
    """

    def __init__(self, log: Log, plan: Plan, store: Store, done: Iterable[str]) -> None:
        self.log, self.plan, self.store = log, plan, store
        self.left: dict[Point, set[str]] = {}
        self.cells: dict[Point, list[str]] = {}
        self.point_of = {cell.key: cell.point for cell in plan.cells()}
        held = set(done)
        for cell in plan.cells():
            self.cells.setdefault(cell.point, []).append(cell.key)
            if cell.key not in held:
                self.left.setdefault(cell.point, set()).add(cell.key)
        if not self.left:
            for point in plan.points:
                self._point(point)

    def add(self, keys: Iterable[str]) -> None:
        """Cells are done: log the points that they complete, also with cells of another process that shares the store."""
        for point in dict.fromkeys(self.point_of[key] for key in keys):
            self.left[point] = {key for key in self.left.get(point, ()) if not self.store.has(key)}
            if not self.left[point]:
                self._point(point)

    def _point(self, point: Point) -> None:
        if not self.log:
            return
        found = self.store.columns(self.cells[point])
        table = Table(self.plan, {point: joined(found[key] for key in self.cells[point])})
        if point.kind == "attack":
            result = views.result(table, point)
            assert result is not None
            grid = self.plan.study.attack
            kept = AttackLog(self.log, self._settings(point), point.budget, bool(grid and grid.eight_bit))
            kept.finish(result, None)
            self._examples(point, result.first_success_query)
            self.log.end("done")
            return
        with running(self.log, self._settings(point)):
            rate, noise = table.rate(point), table.noise(point)
            values = {"final/success_rate": rate.value} if rate.n else {}
            if noise is not None and noise.n:
                values["final/noise_rate"] = noise.value
            self.log.scalars(0, values)

    def _settings(self, point: Point) -> dict[str, Any]:
        study = self.plan.study
        grid = study.attack if point.kind == "attack" else study.transfer
        assert grid is not None
        fixed = {k: v for k, v in grid.model_dump().items() if k in _FIXED}
        name = re.sub(r"[^\w.=+-]+", "-", str(point).replace("/", "_"))
        return {
            "run": f"{study.name}/{name}", "verb": "sweep", "study": study.name, **point._asdict(), "images": self.plan.count, **fixed,
        }  # fmt: skip

    def _examples(self, point: Point, first: Any) -> None:
        """The few images that the store keeps of the point."""
        packed = self.store.images([self.plan.first[point]]).get(self.plan.first[point])
        shown = loading.images(self.plan.study)
        if packed is None or shown.data.images.ndim != 4:
            return
        import torch

        index, change, _ = pictures.unpack(packed)
        for i, moved in zip(index.tolist(), change, strict=True):
            clean = shown.data.images[i]
            picture = strip(clean, clean + torch.from_numpy(moved).to(clean))
            self.log.images(int(first[i]), {f"example/{int(shown.index[i])}": picture})
