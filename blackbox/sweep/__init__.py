"""Sweeps: a grid of attacks or transfers, planned first, run on one machine or many, kept cell by cell.

    from blackbox.sweep import Study
    table = Study.load("study.toml").run("runs/study.sqlite", jobs=2)
    print(table)

A study is data (`study`); it unfolds into cells (`plan`), which workers work off (`work`) under joblib (`run`); every cell's
raw outcomes go to a store as they come (`store`), and every rate is derived from them (`table`). A cell's result is a
function of the study alone: not of workers, shards, restarts or the order of things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.lazy import lazy

_WHERE = {
    "Plan": "blackbox.sweep.plan",
    "Store": "blackbox.sweep.store",
    "StoreError": "blackbox.sweep.store",
    "Study": "blackbox.sweep.study",
    "Table": "blackbox.sweep.table",
}
__all__ = list(_WHERE)

if TYPE_CHECKING:
    from blackbox.sweep.plan import Plan
    from blackbox.sweep.store import Store, StoreError
    from blackbox.sweep.study import Study
    from blackbox.sweep.table import Table

__getattr__, __dir__ = lazy(__name__, _WHERE)
