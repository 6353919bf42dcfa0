"""The engine keeps its promises, asked through four attacks of different kinds.

One proposes a point a step, one asks for many probes at once, one minimises a distance by labels, one has parts and a prior.
What depends on the attack itself is asked of every attack in `test_attacks`.
"""

from __future__ import annotations

from typing import ClassVar

from blackbox import attacks
from blackbox.testing import EngineContract
from blackbox.testing.priors import LinearPrior
from tests.toys import Differences


class Engine(EngineContract):
    run_budget = 60
    budgets: ClassVar[tuple[int, ...]] = (1, 2, 7, 33, 61)
    optimum_budget = 400
    test_reaches_the_optimum = None
    test_seeds = None
    test_state_leads_with_rows = None


class TestOnePointAStep(Engine):
    attack = "square"
    norms = ("Linf", "L2")


class TestManyProbesAStep(Engine):
    attack = Differences()  # which leaves the budget to the engine


class TestSmallestDistanceByLabels(Engine):
    attack = "sign-flip"
    access = "labels"


class TestPartsAndAPrior(Engine):
    run_budget = 30
    attack = attacks.build("hybrid", prior=LinearPrior.of_problem(3))
    goals = (False,)
