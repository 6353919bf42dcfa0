"""The plan of a study: its cells, the most queries they may cost, and the hash by which each is known."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from blackbox.specs.goal_files import files_print
from blackbox.specs.model import file_print
from blackbox.specs.tariff import read_tariff
from blackbox.sweep import loading
from blackbox.sweep.loading import GOAL
from blackbox.sweep.study import Point, Study
from blackbox.tariff import Tariff

FORMAT = 1
"""Raised when a cell's result is another for the same study: cells of an older format are not read."""


class Cell(NamedTuple):
    """One block of images at one point. key: a hash of all that decides its result."""

    key: str
    point: Point
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """The cells of a study.

    count: images. prints: a hash of the images ("") and of each file that a spec names: workers with other files refuse.
    """

    study: Study
    count: int
    prints: dict[str, str]

    @classmethod
    def of(cls, study: Study) -> Plan:
        """Read the data and files that the study names, as they are now: what an earlier study of this process loaded is dropped.

        Raises:
            ValueError, FileNotFoundError: data or a model that is not there; says which.
        """
        loading.forget()
        data = loading.images(study)
        specs = {spec for grid in (study.attack, study.transfer) if grid is not None for spec in grid.targets}
        specs |= set(study.transfer.sources) if study.transfer else set()
        files = {spec: file_print(spec, study.own_endpoint) for spec in sorted(specs)}
        if study.attack is not None and study.attack.goal is not None:
            files[GOAL] = files_print(study.attack.goal)
        files |= {name: found for name in loading.methods(study) if (found := loading.method_print(name))}
        return cls(study, len(data.index), {"": loading.data_print(study), **files})

    @cached_property
    def points(self) -> list[Point]:
        """Every point of the grid, in the order of the study."""
        return self.study.points()

    def cells(self) -> list[Cell]:
        """Every cell, point by point."""
        return self._cells

    @cached_property
    def first(self) -> dict[Point, str]:
        """The key of the first block at each point."""
        return {cell.point: cell.key for cell in self.cells() if not cell.start}

    @cached_property
    def _cells(self) -> list[Cell]:
        blocks = [(i, min(i + self.study.block, self.count)) for i in range(0, self.count, self.study.block)]
        names = [f"{i}:{j}".encode() for i, j in blocks]
        out = []
        for point in self.points:
            start = hashlib.sha256(self._identity(point).encode())
            for (i, j), name in zip(blocks, names, strict=True):
                digest = start.copy()
                digest.update(name)
                out.append(Cell(digest.hexdigest()[:32], point, i, j))
        return out

    def _identity(self, point: Point) -> str:
        """All that decides the results at a point, as text."""
        files = [self.prints[point.target], self.prints.get(point.source, "")]
        if (method := self.prints.get(self._methods.get(point.what, point.what))) is not None:  # one's own attack, or a package's
            files.append(method)
        if point.kind == "attack" and self.prints.get(GOAL):
            files.append(self.prints[GOAL])
        fixed, how = self._settings[point.kind]
        return json.dumps([FORMAT, point, fixed, how, self.prints[""], files], sort_keys=True)

    @cached_property
    def _settings(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """By kind of point: what its grid does not vary, and what holds for the whole study."""
        study = self.study
        varied = ("targets", "attacks", "threats", "budgets", "seeds", "sources", "presets")
        how = {"block": study.block, "rows": study.rows, "classes": study.classes, "mean": study.mean, "std": study.std}
        how |= {k: v for k, v in (("returns", study.returns), ("batch", study.batch)) if v is not None}  # newer than old stores
        grids = {"attack": study.attack, "transfer": study.transfer}
        fixed = {kind: grid.model_dump() for kind, grid in grids.items() if grid is not None}
        newer = [("goal", None), ("tariff", None)]  # than old stores
        return {kind: ({k: v for k, v in grid.items() if k not in varied and (k, v) not in newer}, how) for kind, grid in fixed.items()}

    @cached_property
    def _methods(self) -> dict[str, str]:
        """An attack with its settings, as the points have it -> its name."""
        return {str(named): named.name for named in (self.study.attack.attacks if self.study.attack else ())}

    @cached_property
    def tariff(self) -> Tariff | None:
        """The prices of its query attacks; None where there are none."""
        return None if self.study.attack is None else read_tariff(self.study.attack.tariff)

    def most(self, point: Point) -> int:
        """The most queries of an image at a point of query attacks: its budget, or fewer where the money pays for no more."""
        return point.budget if self.tariff is None else self.tariff.budget(point.budget)

    def worst(self, cell: Cell) -> int:
        """The most queries a cell may cost."""
        n = cell.stop - cell.start
        if cell.point.kind == "attack":
            return n * self.most(cell.point)
        noise = self.study.transfer is not None and self.study.transfer.noise
        return n * (2 + (0 if not noise else 2 if cell.point.threat.lower().startswith("linf") else 1))

    def summary(self, done: dict[str, float] | None = None) -> str:
        """Cells, worst-case queries, and the time that is left by the cells done so far (seconds of each)."""
        done = done or {}
        cells = self.cells()
        left = [c for c in cells if c.key not in done]
        queries, rest = sum(map(self.worst, cells)), sum(map(self.worst, left))
        lines = [
            f"plan             {self.study.name}: {len(self.points):,} points × {-(-self.count // self.study.block):,} blocks "
            f"of {self.study.block} {self.kind}s = {len(cells):,} cells, at most {queries:,} queries",
        ]
        if len(left) < len(cells):
            spent = sum(done[c.key] for c in cells if c.key in done)
            rate = spent / max(queries - rest, 1)
            lines.append(
                f"left             {len(left):,} cells, at most {rest:,} queries, about {rate * rest:,.0f} s on one worker "
                f"(by the {len(cells) - len(left):,} cells done)"
            )
        return "\n".join(lines)

    @property
    def kind(self) -> str:
        """What its inputs are called: images, or rows of a table."""
        return "image" if self.study.images.table is None else "row"

    def job(self, cells: list[Cell]) -> dict[str, Any]:
        """Cells as they are sent to a worker: text, numbers and paths."""
        return {
            "study": self.study.text(),
            "prints": self.prints,
            "cells": [[*c[:1], list(c.point), *c[2:]] for c in cells],
        }
