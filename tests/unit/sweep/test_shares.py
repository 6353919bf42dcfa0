"""How cells are shared out, and how a large store is resumed."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from blackbox.sweep import Store, Table
from blackbox.sweep.columns import pack
from blackbox.sweep.plan import Cell, Plan
from blackbox.sweep.run import shares
from blackbox.sweep.study import Point, Study


def test_a_share_is_a_block_with_all_its_targets_in_order() -> None:
    points = [Point("transfer", target, "fgsm", "linf:0.1", 0, source="a") for target in ("t", "u")]
    points.append(Point("attack", "t", "square", "linf:0.1", 0, 10))
    cells = [Cell(f"{p.kind}{p.target}{i}", p, i, i + 4) for p in points for i in (0, 4, 8)]
    left = [c for c in cells if c.key != "transfert0"]  # the first target has its first block
    assert [[c.key for c in share] for share in shares(left, None)] == [
        ["transferu0"], ["transfert4", "transferu4"], ["transfert8", "transferu8"], ["attackt0"], ["attackt4"], ["attackt8"],
    ]  # fmt: skip
    assert [len(share) for share in shares(left, 1)] == [5, 3]
    assert [len(share) for share in shares(left, 2)] == [3, 2, 2, 1]


def _resumed(folder: Path, blocks: int) -> float:
    """Processor seconds to plan, share out and read back a finished study of two points with `blocks` cells each."""
    grid = {"targets": "digits:knn", "attacks": "square", "threats": "linf:0.1", "budgets": 10, "seeds": [0, 1]}
    plan = Plan(Study(block=1, attack=grid), blocks, {"": "", "digits:knn": ""})
    blob = pack({name: [1] for name in ("y", "ids", "queries", "success", "attacked", "loss")})
    with Store(folder) as store:
        begin = time.process_time()
        cells = plan.cells()
        assert sum(map(len, shares(cells, None))) == 2 * blocks
        planned = time.process_time() - begin
        store.add({"key": cell.key, "columns": blob, "seconds": 0.1, "host": "h", "error": ""} for cell in cells)
        begin = time.process_time()
        table = Table.read(plan, store)
        assert table.done == table.total == len(store.done()) == 2 * blocks
        read = time.process_time() - begin
    assert [len(o["y"]) for o in table.outcomes.values()] == [blocks, blocks]
    return planned + read


def test_the_time_to_resume_grows_as_the_cells_do(tmp_path: Path) -> None:
    """Once quadratic in the blocks of a point. Against itself and not against a clock, which says more of the machine:
    eight times the cells take about 8 times as long, and would take 64. The least of some tries on both sides: a busy machine only
    ever adds, and the garbage collector's passes grow with what other tests left. The limit in seconds (3 for 100,000 cells) is
    benchmarks' to measure."""
    gc.collect()
    gc.disable()
    try:
        few = min(_resumed(tmp_path / f"few{i}", 4_000) for i in range(5))
        assert any(_resumed(tmp_path / f"many{i}", 32_000) < 24 * few for i in range(5))
    finally:
        gc.enable()
