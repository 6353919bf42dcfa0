"""Verification: fresh answers, uncharged, in columns of their own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

import blackbox as bb
from blackbox.engine.verification import round_off, verify
from blackbox.testing import Failing
from tests.unit.engine.parts import ONE, Parts, X, parts


def found(p: Parts, x: Tensor, *who: int) -> None:
    """Say that these samples were fooled by ``x``."""
    led = p.ledger
    led.x = x.clone()
    led.first[list(who)] = 3
    led.distance[list(who)] = (x - X).abs().amax(1)[list(who)]


def test_examples_are_looked_at_once_more_without_a_charge() -> None:
    p = parts(access="scores")
    found(p, torch.tensor([[0.6, 0.2], [0.3, 0.3], [0.4, 0.4]]), 0, 2)
    verify(p.spec, p.oracle, p.ledger)
    assert p.ledger.verified.tolist() == [1, -1, 0] and p.ledger.label1.tolist() == [1, -1, 0]
    assert p.oracle.rows == 0 and p.oracle.counts["verify"] == 2 and not p.ledger.spent.any()
    assert np.isnan(p.ledger.sure1[1]) and p.ledger.sure1[0] > 0.5


def test_what_was_verified_before_a_stop_is_not_asked_again() -> None:
    p = parts()
    found(p, X, 0, 1)
    p.ledger.verified[0] = 1
    verify(p.spec, p.oracle, p.ledger)
    assert p.oracle.counts["verify"] == 1 and p.ledger.verified.tolist() == [1, 0, -1]


def test_a_target_that_fails_by_then_costs_no_result() -> None:
    p = parts(target=Failing(ONE, 1))
    found(p, X, 0)
    verify(p.spec, p.oracle, p.ledger)
    assert p.ledger.verified.tolist() == [-1, -1, -1]


def test_a_majority_of_fresh_answers() -> None:
    said = iter([1, 0, 1])
    p = parts(target=lambda x: torch.nn.functional.one_hot(torch.tensor([next(said)] * len(x)), 2).float(), votes=3)
    found(p, X, 0)
    verify(p.spec, p.oracle, p.ledger)
    assert p.ledger.verified.tolist() == [1, -1, -1] and p.oracle.counts["verify"] == 3


def test_rounding_goes_towards_the_original_and_is_verified() -> None:
    near, far = 0.5 + 0.4 / 255, 0.6
    p = parts(threat=bb.Linf(0.45), cohort=2)
    found(p, torch.tensor([[near, 0.2], [far, 0.3], [0.4, 0.4]]), 0, 1)
    round_off(p.spec, p.oracle, p.ledger)
    levels = p.ledger.x * 255
    changed = p.ledger.x != X
    assert torch.allclose(levels[changed], levels[changed].round(), atol=1e-4) and changed[:2, 0].all()
    assert p.ledger.rounded.tolist() == [1, 1, -1] and p.ledger.label1.tolist() == [1, 1, -1]
    assert levels[0, 0].round() == 128  # 127.9 falls to 127, below the threshold, so the nearest level is tried
    assert p.oracle.counts["verify"] == 3 and p.ledger.distance[0] == p.ledger.x[0, 0] - X[0, 0]
    assert p.ledger.distance[1] <= far - 0.3 and np.isinf(p.ledger.distance[2])
