"""Evaluator: plans become calls that cohorts share; an error names the sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.protocol import Ask
from blackbox.testing import Recording
from tests.toys import RandomSigns
from tests.unit.engine.parts import ONE, X, cohort_at, parts


def test_cohorts_share_calls_and_hear_their_own_answers() -> None:
    seen = Recording(ONE)
    p = parts(target=seen, rows_per_call=4)
    u = torch.tensor([[0.0, 0.0], [0.1, 0.0]])
    one, two = cohort_at(p, [0, 1], Ask(X[:2], u)), cohort_at(p, [2], Ask(X[2:], u))
    p.evaluator.answer([one, two])
    assert seen.sizes == [4, 2] and p.ledger.spent.tolist() == [2, 2, 2]
    for cohort in (one, two):
        assert cohort.plan is not None
        tell = cohort.plan.tell(cohort.task)
        assert torch.allclose(tell.loss, (cohort.task.x0[:, None] + u[None])[..., 0] - 0.5)


def test_an_ask_answered_in_part_is_answered_to_its_end() -> None:
    seen = Recording(ONE)
    p = parts(target=seen)
    cohort = cohort_at(p)
    cohort.plan = p.accounts.admit(cohort)
    cohort.plan.add(np.array([7.0], np.float32), np.array([False]))
    p.evaluator.answer([cohort])
    assert seen.count == 2 and cohort.plan.answers()[0][0] == 7 and p.ledger.spent.tolist() == [0, 1, 1]


def test_who_asks_for_nothing_costs_nothing() -> None:
    p = parts(target=Recording(ONE))
    cohort = cohort_at(p, ask=Ask(X, mask=torch.zeros(3, dtype=torch.bool)))
    p.evaluator.answer([cohort])
    assert p.oracle.calls == 0 and cohort.plan is not None and not cohort.plan.tell(cohort.task).paid.any()


def test_an_error_names_the_sample() -> None:
    def nan_above(x: Tensor) -> Tensor:
        return torch.where(x[:, :1] > 0.35, torch.nan, ONE(x))

    p = parts(target=nan_above)
    with pytest.raises(bb.TargetError, match="sample 12") as caught:
        p.evaluator.answer([cohort_at(p)])
    assert caught.value.row == 2 and not p.ledger.spent.any()


def test_an_informed_attack_is_told_what_the_target_shows() -> None:
    @dataclass(frozen=True)
    class Informed(RandomSigns):
        informed: ClassVar[bool] = True

    p = parts(Informed())
    cohort = cohort_at(p, ask=Ask(X, mask=torch.tensor([True, False, True])))
    p.evaluator.answer([cohort])
    assert cohort.plan is not None and cohort.task.goal is not None
    shown = cohort.plan.tell(cohort.task).shown
    assert torch.equal(shown[[0, 2]], ONE(X)[[0, 2]]) and shown[1].isnan().all()


@pytest.mark.parametrize("probe", [False, True])
def test_a_point_that_is_not_finite_is_never_shown_and_is_the_attacks_fault(probe: bool) -> None:
    seen = Recording(ONE)
    p = parts(target=seen, name="mine")
    far = torch.tensor([[0.0, 0.0], [0.0, torch.nan], [0.0, 0.0]])
    ask = Ask(X, far[1:2]) if probe else Ask(X + far)
    with pytest.raises(ValueError, match=f"finite points from the attack mine, but one for sample {10 if probe else 11} holds NaN"):
        p.evaluator.answer([cohort_at(p, ask=ask)])
    assert seen.count == 0 and not p.ledger.spent.any()


@pytest.mark.parametrize("name", ["bandits", "nes", "square", "simba", "zoo", "fd-ifgsm"])
def test_a_masked_class_is_no_difference(name: str) -> None:
    """The logit of the class to reach is -inf wherever one looks: the search finds nothing, and asks about finite points only."""
    masked = Recording(lambda x: torch.cat([ONE(x), torch.full((len(x), 1), -torch.inf)], 1))
    oracle = bb.Oracle(masked, "logits", 3, returns="logits")
    norm = bb.attacks.get(name).norms[0]
    result = bb.attack(oracle, X, torch.zeros(3, dtype=torch.int64), name, {"Linf": bb.Linf, "L2": bb.L2}[norm](0.2), 30, target=2)
    assert not result.success.any() and bool(masked.shown.isfinite().all()) and oracle.rows == int(result.queries.sum())
