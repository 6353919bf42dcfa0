"""The decomposition of transfer over a factorial of nets, against closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import surrogates as sg
from blackbox.threat import Linf
from surrogates.analysis.factorial import FACTORS, Cell, sums_of_squares
from surrogates.transfer.runs import Run

T = Linf(0.1)


def test_an_additive_table_decomposes_exactly() -> None:
    """Rate = 0.5 +- 0.1 (data) +- 0.05 (architecture): with 8 cells of 2, squares 16 * 0.01 and 16 * 0.0025, no more."""
    data, arch = np.array([1, -1]) * 0.1, np.array([1, -1]) * 0.05
    table = (0.5 + data[:, None, None, None] + arch[:, None, None]) * np.ones((2, 2, 2, 2))
    found = sums_of_squares(table, FACTORS)
    assert found["data"] == pytest.approx(0.16) and found["architecture"] == pytest.approx(0.04)
    assert all(v == pytest.approx(0) for k, v in found.items() if k not in ("data", "architecture"))
    table[..., 0] += 0.02
    table[..., 1] -= 0.02
    assert sums_of_squares(table, FACTORS)["replicates"] == pytest.approx(16 * 0.0004)
    anything = np.random.default_rng(0).random((2, 3, 2, 4))
    parts = sums_of_squares(anything, ("a", "b", "c"))
    assert len(parts) == 8 and sum(parts.values()) == pytest.approx(((anything - anything.mean()) ** 2).sum())
    crossed = np.array([[1.0, -1.0], [-1.0, 1.0]])[..., None]
    assert sums_of_squares(crossed, ("a", "b"))["a:b"] == pytest.approx(4)


def factorial_matrix(fooled: dict[Cell, int], n: int = 20) -> tuple[sg.TransferMatrix, dict[str, Cell]]:
    """Nets of which each fools the target on its first so many images."""
    names = tuple(map(str, fooled))
    m = sg.TransferMatrix.empty(names, ("t",), ("fgsm",), (T,), np.zeros(n), None, np.arange(n, dtype=np.uint64), 16)
    m.clean_source[:], m.clean_target[:], m.adv_source[:] = 0, 0, 1
    for i, k in enumerate(fooled.values()):
        m.adv_target[i, 0, 0, 0] = np.arange(n) < k
    assert m.runs[0] == Run(names[0], 0, 0)
    return m, dict(zip(names, fooled, strict=True))


def test_transfer_is_decomposed_over_the_factorial_nets() -> None:
    levels = (("same", "disjoint"), ("same", "other"), ("same", "new"))
    fooled = {
        Cell(*key, replicate): 10 + 4 * (key[0] == "same") + 2 * (key[1] == "same")
        for key in itertools.product(*levels)
        for replicate in (1, 2)
    }
    m, cells = factorial_matrix(fooled)
    found = sg.decompose(m, cells, "t", "fgsm", T)
    assert found.total == pytest.approx(16 * (0.1**2 + 0.05**2))
    assert found["data"].share.value == pytest.approx(0.8) and found["architecture"].share.value == pytest.approx(0.2)
    assert found["replicates"].squares == pytest.approx(0) == found["data:architecture"].squares
    assert found["data"].effect == (("same", pytest.approx(0.75)), ("disjoint", pytest.approx(0.55)))
    assert found["data"].share.low < 0.8 < found["data"].share.high and "disjoint 55 %" in found.table()
    del cells[next(iter(cells))]
    with pytest.raises(ValueError, match="1 to 2 times"):
        sg.decompose(m, cells, "t", "fgsm", T)
    with pytest.raises(ValueError, match="same images"):
        sg.decompose(m, cells, "t", "fgsm", T, given="both-correct")


def test_nets_that_do_not_differ_leave_nothing_to_decompose() -> None:
    m, cells = factorial_matrix({Cell(a, b, c): 5 for a in "12" for b in "12" for c in "12"})
    found = sg.decompose(m, cells, "t", "fgsm", T)
    assert found.total == pytest.approx(0) and np.isnan(found["data"].share.value) and "nan" in found.table()
