"""Nothing outside the mask changes, in no query of any attack, to the bit; and inside it an attack reaches what can be reached."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox.testing import Recording
from tests.each_attack import shown_to, threat_of

SHAPE = (3, 8, 8)
DRAWS = np.random.default_rng(5)
X = torch.tensor(DRAWS.uniform(0.3, 0.7, (3, *SHAPE)), dtype=torch.float32)
MASK = torch.tensor(DRAWS.uniform(size=(3, *SHAPE)) < 0.5)
NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))
with torch.no_grad():
    NET[1].weight.copy_(torch.tensor(DRAWS.normal(size=(4, 192)), dtype=torch.float32))
    Y = NET(X).argmax(1)


def changed_outside(x: Tensor) -> bool:
    """Whether images [m, *shape] each differ from every clean one outside its mask."""
    same = torch.stack([((x == X[i]) | MASK[i]).flatten(1).all(1) for i in range(len(X))])
    return not bool(same.any(0).all())


@pytest.mark.parametrize("name", bb.attacks.names())
def test_no_query_changes_anything_outside(name: str) -> None:
    more = {"prior": sg.prior([NET])} if getattr(bb.attacks.get(name), "needs_prior", False) else {}
    model = Recording(NET)
    oracle = bb.Oracle(model, shown_to(name), 4)
    threat = threat_of(name, bb.Linf(0.3), bb.L2(2.0), bb.L0(20))
    result = bb.attack(oracle, X, Y, name, threat, 40, mask=MASK, **more)
    assert not changed_outside(model.shown) and oracle.rows == int(result.queries.sum())
    assert bool(((result.x_adv == X) | MASK).all())
    reach = threat.distance(result.x_adv, X)[result.success]
    assert bool((reach <= threat.eps + threat.tolerance).all()) and torch.equal(reach, result.distance[result.success])


def test_without_a_mask_a_query_does() -> None:
    model = Recording(NET)
    bb.attack(bb.Oracle(model, "logits", 4), X, Y, "square", bb.Linf(0.3), 10)
    assert changed_outside(model.shown)


def test_the_optimum_inside_the_mask_is_reached_and_no_more() -> None:
    """Of a linear number the largest change within eps is eps times the absolute weights inside the mask."""
    w = NET[1].weight[0].detach()

    def number(x: Tensor) -> Tensor:
        return torch.stack([(row.flatten() * w).sum() for row in x])

    most = 0.1 * (w.abs() * MASK.flatten(1)).sum(1)
    for share, found in ((0.8, True), (1.001, False)):
        goal = bb.goals.Regression(number(X), by=share * most, way="up")
        result = bb.attack(bb.Oracle(number, "answers"), X, None, "square", bb.Linf(0.1), 1500, goal=goal, mask=MASK)
        assert bool(result.success.all()) is found and bool(result.success.any()) is found


def test_a_mask_of_pixels_or_one_for_all_and_what_is_no_mask() -> None:
    pixels = torch.zeros(8, 8, dtype=torch.bool)
    pixels[2:5] = True
    results = [
        bb.attack(bb.Oracle(NET, "logits", 4), X, Y, "square", bb.L2(1.0), 30, mask=mask)
        for mask in (pixels, pixels.expand(SHAPE), pixels.expand(3, *SHAPE).numpy())
    ]
    assert all(torch.equal(results[0].x_adv, r.x_adv) for r in results[1:]) and "12.5 % of the entries" not in results[0].summary()
    assert "37.5 % of the entries" in results[0].summary()
    oracle = bb.Oracle(NET, "logits", 4)
    none = MASK.clone()
    none[1] = False
    for mask, said in (
        (MASK.int(), "hold bools"),
        (2.0 * MASK, "for sample 0 it ranges from 0 to 2"),
        (MASK[:, :2], "mask of shape"),
        (none, "sample 1 it is all False"),
    ):
        with pytest.raises(ValueError, match=said):
            bb.attack(oracle, X, Y, "square", bb.L2(1.0), 30, mask=mask)
    assert oracle.rows == 0
