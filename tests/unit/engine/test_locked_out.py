"""A target that answers no more about some samples: their search ends, what was answered counts, and the others go on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.oracle.asking import LockedOut, asked
from blackbox.testing.problems import affine_problem
from tests.toys import Differences

PROBLEM = affine_problem("L2", (3, 4, 4), 5, targeted=False)
CLASSES = len(PROBLEM.target.weight)


class Closing:
    """Answers ``most`` rows about each sample with an even id; of a call that holds more it answers none."""

    def __init__(self, most: int, noise: float = 0.0) -> None:
        self.most, self.noise, self.answered = most, noise, np.zeros(5, int)
        self.draw = torch.Generator().manual_seed(0)

    def __call__(self, x: Tensor) -> Any:
        now = asked()
        assert now is not None
        if now.charged:
            ids = now.ids.astype(int)
            number = self.answered[ids] + np.array([np.count_nonzero(ids[:i] == sample) for i, sample in enumerate(ids)])
            if len(over := np.flatnonzero((ids % 2 == 0) & (number >= self.most))):
                raise LockedOut("no more about these", over)
            np.add.at(self.answered, ids, 1)
        scores = PROBLEM.target(x)
        return scores + self.noise * torch.randn(scores.shape, generator=self.draw)


@pytest.mark.parametrize("attack", ["square", Differences()], ids=["square", "probes"])
@pytest.mark.parametrize("rows", [None, 3])
def test_its_search_ends_and_the_others_go_on(attack: Any, rows: int | None) -> None:
    target = Closing(11)
    oracle = bb.Oracle(target, "scores", CLASSES, returns="logits", rows_per_call=rows)
    r = bb.attack(oracle, PROBLEM.x[:5], PROBLEM.y[:5], attack, bb.L2(0.02), 40)
    assert r.queries.tolist() == target.answered.tolist() == [11, 40, 11, 40, 11]
    assert oracle.rows == int(r.queries.sum()) and oracle.failed == 0
    assert set(r.status) == {bb.Status.BUDGET} and r.config["locked_out"] == 3


def test_a_claim_that_can_no_longer_be_confirmed_is_none() -> None:
    target = Closing(3)  # the clean check and two rows: of the five votes that a success needs at least three are missing
    oracle = bb.Oracle(target, "scores", CLASSES, returns="logits", randomised=True)
    r = bb.attack(oracle, PROBLEM.x[:5], PROBLEM.y[:5], "square", bb.L2(6.0), 40, votes=5)
    assert r.success.tolist() == [False, True, False, True, False]
    assert r.queries.tolist() == target.answered.tolist() and (r.queries[::2] == 3).all() and oracle.rows == int(r.queries.sum())
