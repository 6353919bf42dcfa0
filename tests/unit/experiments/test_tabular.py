"""ART's attacks on tables are counted row by row, held to valid rows where they are to be, and told what they break."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import blackbox as bb
from experiments.peers.adapters import Spent
from experiments.peers.tabular import Counter
from experiments.studies import tabular

TABLE = bb.Tabular({"years": (0, 8), "income": (0, 100), "kept": (0, 1)}, integer=["years"], immutable=["kept"])
CLEAN = torch.tensor([[4.0, 20.0, 0.0]], dtype=torch.float64)


def rich(rows: np.ndarray) -> np.ndarray:
    """Class 1 above 50 of income, or with a half year."""
    hit = ((rows[:, 1] > 50) | (rows[:, 0] % 1 == 0.5)).astype(float)
    return np.stack([1 - hit, hit], 1)


def counter(held: bool, budget: int = 6) -> Counter:
    return Counter(rich, TABLE, CLEAN, 0, budget, held)


def test_rows_are_counted_and_the_clean_check_is_the_first() -> None:
    c = counter(held=False)
    c(c.scaled)
    assert c.rows == 1
    c(np.array([[0.5, 0.9, 0.0], [0.5, 0.6, 0.0], [0.5, 0.7, 0.0]]))
    assert c.rows == 4 and [(at, round(far, 6)) for at, _, far in c.reached] == [(2, 0.7), (3, 0.4)]
    with pytest.raises(Spent):
        c(np.array([[0.5, 0.55, 0.0]] * 3))
    assert c.rows == 6 and c.reached[-1][0] == 5
    with pytest.raises(Spent):
        c(np.array([[0.5, 0.52, 0.0]]))


def test_what_is_no_row_is_told_and_projected_or_held() -> None:
    half = np.array([[0.5625, 0.2, 0.3]])  # four and a half years, and a column that stays moved
    raw, held = counter(held=False), counter(held=True)
    assert raw(half)[0].argmax() == 1 and held(half)[0].argmax() == 0
    told = raw.told((2, 6))
    assert told["violates"][0] == ["integer", "immutable"] and told["near"] == [None, None] and told["raw"][0] == 0.30644
    assert held.told((6,)) == {"raw": [None], "violates": [None], "near": [None]}
    held(np.array([[0.6, 0.6, 0.9]]))
    assert held.told((6,)) == {"raw": [0.41908], "violates": [[]], "near": [0.41908]}  # five years


def test_a_column_that_did_not_move_is_no_violation() -> None:
    """What float32 adds on the way to [0, 1] and back is not the peer's."""
    table = bb.Tabular({"years": (0, 77), "kept": (0.1, 0.7), "income": (0, 3)}, integer=["years"], immutable=["kept"])
    clean = torch.tensor([[13.0, 0.3, 1.1]], dtype=torch.float64)
    c = Counter(lambda rows: np.array([[0.0, 1.0]] * len(rows)), table, clean, 0, 9, held=False)
    z = np.repeat(c.scaled, 2, 0)
    z[0, 2], z[1, 0] = 0.9, np.float32(20 / 77)
    c(z)
    assert table.valid(torch.from_numpy(c.to_rows(z)), clean.repeat(2, 1)).all() and c.told((9,))["violates"] == [[]]


def test_the_made_up_table_is_one() -> None:
    frame, y, kinds = tabular.credit(50)
    table = bb.Tabular.from_data(frame, **kinds)
    assert table.valid(frame, frame).all() and set(table.categorical) == {"job", "home", "region"} and 0.4 <= y.mean() <= 0.6
