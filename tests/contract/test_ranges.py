"""Shares of eps and ranges of single entries are kept to the bit in every query of every attack, and change nothing where they are
all."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
import surrogates as sg
from blackbox.testing import Recording
from tests.each_attack import shown_to, threat_of

SHAPE = (3, 6, 6)
DRAWS = np.random.default_rng(7)
X = torch.tensor(DRAWS.uniform(0.3, 0.7, (3, *SHAPE)), dtype=torch.float32)
WEIGHTS = torch.tensor(DRAWS.uniform(0.2, 1, (3, *SHAPE)) * (DRAWS.uniform(size=(3, *SHAPE)) < 0.8), dtype=torch.float32)
LOWER = X - torch.tensor(DRAWS.uniform(0, 0.4, (3, *SHAPE)), dtype=torch.float32)
UPPER = X + torch.tensor(DRAWS.uniform(0, 0.4, (3, *SHAPE)), dtype=torch.float32)
NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(108, 4))
with torch.no_grad():
    NET[1].weight.copy_(torch.tensor(DRAWS.normal(size=(4, 108)), dtype=torch.float32))
    Y = NET(X).argmax(1)


def answers(x: Tensor) -> Tensor:
    """The net row by row: the same answers in any company."""
    return torch.stack([NET(row[None])[0] for row in x])


def outside(asked: Tensor, lower: Tensor, upper: Tensor) -> int:
    """How many images [m, \\*shape] leave the ranges of every clean one."""
    inside = torch.stack([((asked >= lower[i]) & (asked <= upper[i])).flatten(1).all(1) for i in range(len(X))])
    return int((~inside.any(0)).sum())


@cache
def prior() -> object:
    return sg.prior([NET])


def run(name: str, model: Recording, rows: list[int], cohort: int = 128, **more: object) -> bb.AttackResult:
    if getattr(bb.attacks.get(name), "needs_prior", False):
        more["prior"] = prior()
    threat = threat_of(name, bb.Linf(0.3), bb.L2(2.0), bb.L0(20))
    oracle = bb.Oracle(model, shown_to(name), 4, rows_per_call=None if cohort > 1 else 1)
    weights = WEIGHTS if threat.norm != "L0" else WEIGHTS > 0
    columns = {"mask": weights[rows], "ranges": (LOWER[rows], UPPER[rows])}
    return bb.attack(oracle, X[rows], Y[rows], name, threat, 10 if name == "bo" else 24, ids=rows, cohort=cohort, **columns, **more)


@pytest.mark.parametrize("name", bb.attacks.names())
def test_every_query_keeps_to_shares_and_ranges(name: str) -> None:
    model = Recording(answers)
    result = run(name, model, [0, 1, 2])
    lower, upper = (torch.where(WEIGHTS > 0, bound, X) for bound in (LOWER.clamp_min(0), UPPER.clamp_max(1)))
    assert outside(model.shown, lower, upper) == 0
    assert bool(((result.x_adv >= lower) & (result.x_adv <= upper)).all())
    change = (result.x_adv - X).abs() / torch.where(WEIGHTS > 0, WEIGHTS, 1.0)
    if result.threat.norm != "L0":
        far = {"Linf": change.flatten(1).amax(1), "L2": change.flatten(1).norm(dim=1), "L1": change.flatten(1).sum(1)}
        reach, own = far[result.threat.norm][result.success], result.threat
        assert bool((reach <= own.eps * (1 + 1e-6)).all())
        assert bool(((reach - result.distance[result.success]).abs() < 1e-6 * own.eps).all())
    alone = run(name, Recording(answers), [2], cohort=1)
    for column in ("x_adv", "queries", "success"):
        assert torch.equal(getattr(alone, column), getattr(result, column)[[2]])


@pytest.mark.parametrize("two_sided", [True, False])
def test_a_difference_at_an_entry_that_cannot_change_is_zero(two_sided: bool) -> None:
    """It was 0 / 0, and the engine refused the attack's next point; with one side the shape did not fit either."""
    fixed = torch.zeros(SHAPE, dtype=torch.bool)
    fixed[:, ::2] = True
    attack = bb.attacks.build("fd-fgsm", estimator=bb.estimators.Coordinates(two_sided=two_sided))
    ranges = (torch.where(fixed, X, 0.1), torch.where(fixed, X, 0.9))
    result = bb.attack(bb.Oracle(NET, "logits", 4), X, Y, attack, bb.L2(0.5), 60, ranges=ranges)
    assert bool((result.x_adv == X)[:, fixed].all()) and bool((result.x_adv != X).any())
