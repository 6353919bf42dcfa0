"""Row-wise arithmetic: right, and the same to the bit whatever rows stand beside."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from blackbox.rowwise import differs, keep_better, row_dot, row_norm, row_sum, rows, unit, weighted_sum

FUNCTIONS = {
    "sum": row_sum,
    "dot": lambda v: row_dot(v, v.flip(1)),
    "norm1": lambda v: row_norm(v, 1),
    "norm2": lambda v: row_norm(v, 2),
    "norminf": lambda v: row_norm(v, math.inf),
    "unit": unit,
}


def values(n: int, d: int) -> Tensor:
    g = torch.Generator().manual_seed(n * 10_000 + d)
    return torch.randn(n, d, generator=g) * 10 ** torch.randn(n, d, generator=g)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("d", [1, 2, 3, 48, 783, 3072])
def test_a_row_is_bit_equal_alone_and_in_any_batch(name: str, d: int) -> None:
    f, v = FUNCTIONS[name], values(70, d)
    whole = f(v)
    for size in (1, 2, 3, 7, 64):
        assert torch.equal(torch.cat([f(part) for part in v.split(size)]), whole)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(0))
    assert torch.equal(f(v[order]), whole[order])


@given(n=st.integers(1, 9), d=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_against_float64(n: int, d: int) -> None:
    v = values(n, d)
    scale = v.double().abs().sum(1)
    assert bool(((row_sum(v).double() - v.double().sum(1)).abs() <= 1e-6 * scale).all())
    assert torch.allclose(row_norm(v, 2).double(), v.double().norm(dim=1), rtol=1e-5)
    assert torch.allclose(row_norm(v, 1).double(), scale, rtol=1e-5)
    assert torch.equal(row_norm(v, math.inf), v.abs().amax(1))


def test_shapes_and_the_empty_row() -> None:
    assert row_sum(torch.ones(2, 3, 4, 5)).tolist() == [60, 60]
    assert row_sum(torch.ones(3, 0)).tolist() == [0, 0, 0]
    assert row_sum(torch.ones(0, 3)).shape == (0,)
    assert rows(torch.ones(2), torch.ones(2, 3, 4)).shape == (2, 1, 1)
    assert unit(torch.zeros(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="1, 2 or inf, but it was 3"):
        row_norm(torch.ones(1, 1), 3)


def test_weighted_sum_is_the_matrix_product_and_bit_equal_by_row() -> None:
    w, u = values(33, 20), values(20, 30).view(20, 5, 6)
    whole = weighted_sum(w, u)
    assert torch.allclose(whole.double(), torch.einsum("nq,qab->nab", w.double(), u.double()), rtol=1e-3, atol=1e-2)
    assert torch.equal(torch.cat([weighted_sum(part, u) for part in w.split(1)]), whole)
    assert torch.equal(torch.cat([weighted_sum(part, u) for part in w.split(5)]), whole)


def test_climbing_keeps_what_is_better_and_nothing_else() -> None:
    x, new = torch.zeros(4, 2), torch.ones(4, 2)
    loss, value = torch.tensor([0.0, 0.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, -1.0, math.nan])
    best, reached = keep_better(x, loss, new, value)
    assert best[:, 0].tolist() == [1, 0, 0, 0] and reached.tolist() == [1, 0, 0, 0]
    assert not bool(x.any()) and not bool(loss.any())  # what was handed in stays as it was
    same, still = keep_better(x, loss, new, torch.full((4,), -1.0))
    assert torch.equal(same, x) and torch.equal(still, loss)


def test_rows_that_differ_in_one_entry_differ() -> None:
    a = values(3, 5)
    b = a.clone()
    b[1, 4] += 1
    assert differs(a, b).tolist() == [False, True, False]
