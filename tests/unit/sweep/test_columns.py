"""Cells as bytes: read together as the format's own reader reads each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load

from blackbox.sweep.columns import joined, pack


def cell(rows: int, seed: int) -> bytes:
    draw = np.random.default_rng(seed)
    shared = torch.from_numpy(draw.normal(size=rows))
    return pack({
        "success": draw.random(rows) < 0.5, "label": draw.integers(-1, 9, rows).astype(np.int8), "queries": torch.arange(rows),
        "distance": shared, "loss": shared, "small": draw.normal(size=rows).astype(np.float32),
        "print": torch.from_numpy(draw.integers(0, 256, (rows, 16)).astype(np.uint8)), "noise": draw.integers(0, 9, (rows, 2)),
    })  # fmt: skip


@pytest.mark.parametrize("rows", [[4], [4, 4, 4], [4, 4, 1], [1, 3, 3, 2]])
def test_joined_is_one_after_the_other(rows: list[int]) -> None:
    cells = [cell(n, seed) for seed, n in enumerate(rows)]
    found, apart = joined(iter(cells)), [load(each) for each in cells]
    assert found.keys() == apart[0].keys()
    for name, column in found.items():
        np.testing.assert_array_equal(column, np.concatenate([each[name] for each in apart]))
        assert column.dtype == apart[0][name].dtype and column.flags.writeable


def test_the_order_of_columns_is_of_no_matter() -> None:
    """Nor is there anything for no cell."""
    found = joined([pack({"y": np.arange(3), "a": np.zeros(3)}), pack({"a": np.ones(2), "y": np.arange(2)})])
    assert found["a"].tolist() == [0, 0, 0, 1, 1] and found["y"].tolist() == [0, 1, 2, 0, 1]
    assert joined([]) == {}
