"""The components of the contracts' checks: the cases, the problems, and one run."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, ClassVar

import torch
from torch import Tensor

import blackbox.attacks
import blackbox.run
from blackbox.adopted import as_attack
from blackbox.oracle.oracle import Oracle
from blackbox.results import AttackResult
from blackbox.testing.problems import THREATS, Case, Problem, affine_problem
from blackbox.testing.targets import Affine, Model, ReluNet
from blackbox.threat import Threat


class AttackRuns:
    """Settings, cases and runs of one attack; the settings are explained at `AttackContract`."""

    attack: ClassVar[Any] = None
    shape: ClassVar[tuple[int, ...]] = (3, 4, 4)
    samples: ClassVar[int] = 5
    norms: ClassVar[tuple[str, ...] | None] = None
    goals: ClassVar[tuple[bool, ...]] = (False, True)
    access: ClassVar[str] = "logits"
    optimum_budget: ClassVar[int] = 3000
    optimum_factor: ClassVar[dict[str, float] | None] = None
    optimum_share: ClassVar[float] = 1.0
    run_budget: ClassVar[int] = 120
    randomised: ClassVar[bool] = True

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases(), ids=str)
        if "norm_case" in metafunc.fixturenames:
            metafunc.parametrize("norm_case", self.norm_cases(), ids=str)

    @classmethod
    def cases(cls) -> list[Case]:
        """All combinations of norms and goals."""
        norms = cls.norms or tuple(cls.built().norms)
        return [Case(norm, targeted) for norm in norms for targeted in cls.goals]

    @classmethod
    def norm_cases(cls) -> list[Case]:
        """One case for each norm, with alternating goals, for checks that do not depend on the goal."""
        norms = dict.fromkeys(case.norm for case in cls.cases())
        return [Case(norm, cls.goals[i % len(cls.goals)]) for i, norm in enumerate(norms)]

    @classmethod
    def built(cls) -> Any:
        """The attack object under test."""
        if cls.attack is None:
            raise TypeError(f"Expected {cls.__name__} to set `attack` to a registered name or an attack object.")
        # a copy, as in another process: an object's memory must not carry over
        made = blackbox.attacks.build(cls.attack) if isinstance(cls.attack, str) else copy.deepcopy(cls.attack)
        return as_attack(made)

    def problem(self, case: Case, alike: bool = False) -> Problem:
        """An affine target with images whose smallest distances are known."""
        known = affine_problem(case.norm, self.shape, self.samples, targeted=case.targeted, alike=alike)
        return dataclasses.replace(known, x=known.x.clone(), y=known.y.clone())

    def random_problem(self, shape: tuple[int, ...], case: Case) -> Problem:
        """Grey images of any shape, and an affine target of three classes with random weights."""
        rng = torch.Generator().manual_seed(0)
        target = Affine(torch.randn(3, *shape, generator=rng), torch.zeros(3))
        x = 0.3 + 0.4 * torch.rand(2, *shape, generator=rng)
        y = target(x).argmax(1)
        goal = (y + 1) % 3 if case.targeted else None
        return Problem(target, x, y, goal, target.distance(x, y, "L1" if case.norm == "L0" else case.norm))

    def between(self, case: Case, problem: Problem) -> Threat:
        """A radius at which some samples succeed and others do not: just above the median optimum."""
        return THREATS[case.norm](1.1 * float(problem.optimum.median()))

    def oracle(self, target: Any, classes: int, access: str | None = None, rows_per_call: int | None = None) -> Oracle:
        """A new oracle. The tests of accounts fix the rows of a call, so that failures happen in a known call."""
        k = min(5, classes)
        return Oracle(target, access or self.access, classes, k=k, returns="logits", rows_per_call=rows_per_call)

    def run(self, oracle: Oracle, x: Tensor, y: Tensor, attack: Any, threat: Threat, budget: int, **settings: Any) -> AttackResult:
        """One run; override it to check another engine."""
        return blackbox.run.attack(oracle, x, y, attack, threat, budget, **settings)

    def _run(
        self, case: Case, problem: Problem, threat: Threat, budget: int, *, target: Any = None, rows: Any = None, **settings: Any
    ) -> AttackResult:
        index = torch.arange(len(problem.x)) if rows is None else torch.as_tensor(rows)
        x, y = (problem.x, problem.y) if rows is None else (problem.x[index], problem.y[index])
        access, per_call = settings.pop("access", None), settings.pop("rows_per_call", None)
        oracle = self.oracle(target or problem.target, len(problem.target.weight), access, per_call)
        goal = None if problem.goal is None else problem.goal[index]
        attack = settings.pop("attack", None) or self.built()
        settings.setdefault("ids", 10 + 3 * index)
        return self.run(oracle, x, y, attack, threat, budget, target=goal, **settings)

    def _bent(self, problem: Problem) -> Model:
        """A nonlinear target with the same number of classes."""
        return ReluNet.random(self.shape, len(problem.target.weight))

    def _labelled(self, problem: Problem, target: Model) -> Problem:
        """The images with this target's own labels, one of which is made wrong, so that a clean-wrong sample takes part."""
        y = target(problem.x).argmax(1)
        classes = len(problem.target.weight)
        if target is not problem.target:
            y[-1] = (y[-1] + 1) % classes
        goal = None if problem.goal is None else (y + 1) % classes
        return dataclasses.replace(problem, y=y, goal=goal)

    def _at_the_edges(self, x: Tensor) -> Tensor:
        """Images in which some entries lie on the box's faces."""
        flat = x.clone().flatten(1)
        flat[:, ::3], flat[:, 1::5] = 0.0, 1.0
        return flat.view_as(x)
