"""A sweep's outcomes as results of single runs, so that their tables and pictures serve for a sweep too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.specs.threat import read_threat
from blackbox.sweep.columns import of_result
from blackbox.sweep.study import Point
from blackbox.sweep.table import Table

if TYPE_CHECKING:
    from blackbox.report.shown import Shown
    from blackbox.results import AttackResult
    from surrogates import TransferMatrix

MISSING = {"by": "cells", "error": "", "message": ""}  # as `blackbox.results.ended.why` says what ended a run


def result(table: Table, point: Point, shown: Shown | None = None) -> AttackResult | None:
    """The query attack at one point; None where no cell of it is done.

    A cell keeps neither images nor why a sample ended: ``x_adv`` is empty, and what neither succeeded nor was wrong clean
    counts as out of budget. Images of missing cells stand at the end, unknown (their ids are negative: not known either).
    ``shown``: the few images that are kept, of which is known what the target called them.
    """
    import torch

    from blackbox.protocol import Status
    from blackbox.results import AttackResult

    found, grid = table.outcomes.get(point, {}), table.plan.study.attack
    if not found or grid is None:
        return None
    config = {
        "attack": point.what, "target": point.target, "access": grid.shows, "budget": table.plan.most(point),
        "seed": point.seed, "targeted": grid.targeted is not None, "votes": grid.votes or 1, "eight_bit": grid.eight_bit,
        "stopped": MISSING, "goal": grid.goal, "table": table.plan.study.images.table,
        **({} if (prices := table.plan.tariff) is None else {"tariff": asdict(prices)}),
    }  # fmt: skip
    missing, names = table.unknown(point), of_result(prices is not None)
    columns = {name: torch.from_numpy(_longer(name, np.array(found[name]), missing)) for name in names}
    ends = [
        Status.SUCCESS if s else Status.BUDGET if a else Status.CLEAN_WRONG if grid.goal is None else Status.REACHED
        for s, a in zip(found["success"], found["attacked"], strict=True)
    ] + [Status.ERROR] * missing
    if shown is not None:
        for name, values in shown.said.items():
            column = torch.full((len(ends),), -1 if values.dtype.kind == "i" else torch.nan, dtype=torch.from_numpy(values).dtype)
            column[shown.index] = torch.from_numpy(values)
            columns[name] = column
    empty = torch.zeros(len(ends), 0)
    made: dict[str, Any] = dict(columns)
    return AttackResult(x_adv=empty, status=tuple(ends), threat=read_threat(point.threat), config=config, **made)


def _longer(name: str, column: np.ndarray, missing: int) -> np.ndarray:
    """A column with rows for images of which nothing is known."""
    if name == "ids":
        more = -np.arange(1, missing + 1)
    elif column.dtype.kind == "f":
        more = np.full(missing, np.nan)
    else:
        more = np.full(missing, -1 if name in ("clean_label", "verified") else 0)
    return np.concatenate([column, more.astype(column.dtype)])


def matrix(table: Table, seed: int) -> TransferMatrix | None:
    """The transfers of one seed; None where there is none. Images whose cells are missing are unknown.

    A sweep makes Gaussian noise for each source and preset; here stands that of the largest, as in a matrix of one run.
    """
    from surrogates import TransferMatrix
    from surrogates.crafting import presets

    grid = table.plan.study.transfer
    points = [p for p in table.outcomes if p.kind == "transfer" and p.seed == seed and table.outcomes[p]]
    if grid is None or not points:
        return None
    every = np.unique(np.concatenate([table.outcomes[p]["ids"] for p in points]))
    first = [table.outcomes[p] for p in points]
    labels, goals = _spread(every, first, "y"), _spread(every, first, "goal") if "goal" in first[0] else None
    threats = tuple(read_threat(t) for t in grid.threats)
    made = TransferMatrix.empty(
        tuple(grid.sources), tuple(grid.targets), tuple(grid.presets), threats, labels, goals, every, 1, seed
    )
    made.stopped = MISSING
    made.steps[:] = [(grid.steps or presets.get(p).steps) if presets.get(p).steps > 1 else 1 for p in grid.presets]
    largest = np.full((len(threats), len(grid.targets)), -1.0)
    for point in points:
        found = table.outcomes[point]
        s, a = grid.sources.index(point.source), grid.presets.index(point.what)
        e, t = grid.threats.index(point.threat), grid.targets.index(point.target)
        at = np.searchsorted(every, found["ids"])
        made.clean_source[s, at], made.clean_target[t, at] = found["clean_source"], found["clean_target"]
        made.adv_source[s, a, e, at], made.adv_target[s, a, e, t, at] = found["adv_source"], found["adv_target"]
        made.linf[s, a, e, at], made.l2[s, a, e, at] = found["linf"], found["l2"]
        if float(found["l2"].mean()) > largest[e, t]:
            largest[e, t] = float(found["l2"].mean())
            made.noise_target[e][:, t, at] = found["noise_target"].T
    return made


def _spread(every: np.ndarray, parts: Sequence[dict[str, np.ndarray]], name: str) -> np.ndarray:
    out = np.full(len(every), -1, np.int64)
    for part in parts:
        out[np.searchsorted(every, part["ids"])] = part[name]
    return out
