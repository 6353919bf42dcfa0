"""Old names of public modules, and what users have written against the old tree."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import pytest
import torch

import blackbox as bb
import surrogates as sg
from blackbox.adopted import as_attack
from blackbox.moved import MOVED
from blackbox.targets.info import info_of


@pytest.mark.parametrize("old", list(MOVED))
def test_an_old_name_is_the_same_module(old: str) -> None:
    assert importlib.import_module(old) is importlib.import_module(MOVED[old])


def test_no_old_name_takes_the_place_of_a_public_one() -> None:
    """An imported module becomes its package's attribute: `bb.pool` was a module once somebody had imported the old one."""
    for package in (bb, sg):
        for name in package.__all__:
            old = f"{package.__name__}.{name}"
            assert old not in MOVED or getattr(package, name) is importlib.import_module(MOVED[old]), old


def test_a_module_below_an_old_name_is_no_second_copy() -> None:
    from surrogates.acquire.base import Strategy
    from surrogates.parts.losses import Logit

    assert Logit is sg.parts.Logit and isinstance(sg.acquire.Random(), Strategy)


class Delegates:
    """An attack that passes on all that it does not have, and counts its steps."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.steps = inner, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def step(self, t: bb.Task, s: Any, k: int) -> Any:
        self.steps += 1
        return self.inner.step(t, s, k)


@dataclass(frozen=True, slots=True)
class Slots:
    access: bb.Access = bb.Access.LABELS
    norms: tuple[str, ...] = ("Linf",)

    def init(self, t: bb.Task) -> torch.Tensor:
        return t.x0

    def step(self, t: bb.Task, s: torch.Tensor, k: int) -> bb.Steps[torch.Tensor]:
        yield bb.Ask(t.x0 + t.eps)
        return s


def run(attack: Any, threat: bb.Threat) -> bb.AttackResult:
    from blackbox.testing import affine_problem

    problem = affine_problem("Linf", samples=5, seed=0)
    return bb.attack(bb.Oracle(problem.target, "labels", 3, returns="logits"), problem.x, problem.y, attack, threat, 150)


def test_an_attack_that_does_not_inherit_is_run_as_it_is() -> None:
    """Its own object is stepped, and what it passes on counts as its own."""
    mine = Delegates(bb.attacks.SignFlip())
    alone, wrapped = run("sign-flip", bb.Linf(0.001)), run(mine, bb.Linf(0.001))
    assert mine.steps > 0 and wrapped.queries.equal(alone.queries) and wrapped.x_adv.equal(alone.x_adv)
    assert as_attack(mine).minimises and repr(as_attack(mine)) == repr(mine)
    assert int(run(Slots(), bb.Linf(0.3)).queries.max()) > 1


def test_what_a_subclass_says_of_a_target_is_believed() -> None:
    class Chancy(bb.targets.FunctionTarget):
        probe, noise, randomised = 0.05, 0.1, True

    target = Chancy(lambda x: x.flatten(1)[:, :3])
    oracle = bb.Oracle(target, "scores", 3)
    assert (oracle.probe, oracle.noise, oracle.randomised) == (0.05, 0.1, True)
    assert info_of(bb.targets.Rounded(target, 2)).randomised
    target.name = "mine"
    assert bb.Oracle(target, "scores", 3).name == "mine"
