"""Every query of every attack on rows of a table is a valid row, to the bit; and what a result says of them is so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox.testing import Recording
from tests.each_attack import shown_to, threat_of

DRAWS = np.random.default_rng(8)
N = 3
NAMES = ["age", "years", "income", "weight", "sex", "red", "green", "blue", "owns", "rents", "region"]
X = np.stack(
    [
        DRAWS.integers(20, 60, N), DRAWS.integers(0, 40, N), DRAWS.uniform(1e4, 9e4, N), DRAWS.uniform(0.001, 0.003, N),
        DRAWS.integers(0, 2, N), [0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 1], DRAWS.integers(0, 4, N),
    ], 1,
).astype(float)  # fmt: skip
TABLE = bb.Tabular(
    [(18, 90), (0, 45), (0, 1e5), (0.001, 0.003), (0, 1), *[None] * 5, (0, 3)],
    columns=NAMES, integer=["age", "years"], increasing=["age"], immutable=["sex", "owns", "rents"],
    categorical={"colour": ["red", "green", "blue"], "home": ["owns", "rents"], "region": "region"},
)  # fmt: skip
SCALED = TABLE.scale(X).shape[1]
NET = torch.nn.Linear(SCALED, 3)
with torch.no_grad():
    NET.weight.copy_(torch.tensor(DRAWS.normal(size=(3, SCALED)), dtype=torch.float32))
    Y = NET(TABLE.scale(X)).argmax(1)


def answers(x: Tensor) -> Tensor:
    """A target on rows of the table, in its own units."""
    assert x.dtype == torch.float64 and x.shape[1] == len(NAMES)
    out: Tensor = NET(TABLE.layout.scale(x))
    return out


def all_valid(x: Tensor) -> bool:
    """Whether each row [m, d] is valid for one of the clean ones."""
    return bool(np.any([TABLE.valid(x, torch.tensor(X[i]).expand_as(x)) for i in range(N)], 0).all())


SERVED = [name for name in bb.attacks.names() if not getattr(bb.attacks.get(name), "needs_images", False)]


@pytest.mark.parametrize("name", SERVED)
def test_every_query_is_a_valid_row(name: str) -> None:
    model = Recording(answers)
    more = {"prior": sg.prior([NET])} if getattr(bb.attacks.get(name), "needs_prior", False) else {}
    oracle = bb.Oracle(model, shown_to(name), 3)
    threat = threat_of(name, bb.L2(1.1), bb.Linf(0.4), bb.L0(3))
    result = bb.attack(oracle, X, Y, name, threat, 8 if name.endswith("bo") else 25, table=TABLE, **more)
    asked = model.shown
    assert all_valid(asked) and oracle.rows == int(result.queries.sum()) and len(asked) >= oracle.rows
    assert TABLE.valid(result.x_adv, X).all() and result.x_adv.dtype == torch.float64
    far = TABLE.distance(result.x_adv, X, threat)
    assert bool((far <= threat.eps + threat.tolerance)[result.success].all())
    assert torch.equal(far[result.success], result.distance[result.success])


def test_every_candidate_of_a_search_in_a_ball_is_in_it() -> None:
    """Whole numbers are made so towards the clean row where the nearest is outside."""
    model, threat = Recording(answers), bb.Linf(0.0378)  # 2.7 years of age
    bb.attack(bb.Oracle(model, "logits", 3), X, Y, "square", threat, 25, table=TABLE)
    far = torch.stack([TABLE.distance(x := model.shown, X[i : i + 1].repeat(len(x), 0), threat) for i in range(N)]).amin(0)
    assert bool((far <= threat.eps + threat.tolerance).all()) and bool((far > 0.03).any())


def test_the_watch_sees_what_is_no_row() -> None:
    good = torch.tensor(X)
    for column, value in ((0, 37.5), (0, 19.0), (1, 46.0), (2, -1.0), (4, 2.0), (5, 0.5), (8, 2.0), (10, 1.5)):
        bad = good.clone()
        bad[:, column] = value
        assert not all_valid(bad), NAMES[column]
    assert all_valid(good)
