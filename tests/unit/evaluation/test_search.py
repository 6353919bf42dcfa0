"""A search in ranges: a known optimum is found, what is stopped early is exact, and a killed search goes on as it would have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import joblib
import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.evaluation import Tuned
from blackbox.evaluation.space import Range
from blackbox.protocol import Access, Ask
from tests.unit.evaluation.test_tuning import Border

BUDGET, BEST = 40, 0.3


@dataclass(frozen=True)
class Aim:
    """Stays at the image for as many queries as ``at`` is hundredths off 0.3, on every other image one longer; then jumps."""

    access: ClassVar[Access] = Access.SCORES
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    at: float = 0.5
    whole: int = 1

    def init(self, t: Any) -> Any:
        return t.ids % 2

    def step(self, t: Any, odd: Any, k: int) -> Any:
        wait = torch.from_numpy(round(100 * abs(self.at - BEST)) + odd.astype(np.int64))
        yield Ask(torch.where((k >= wait).view(-1, 1, 1, 1), t.x0 + 0.1, t.x0))
        return odd


X, Y = torch.full((8, 1, 2, 2), 0.45), torch.zeros(8, dtype=torch.int64)


def cost(at: float) -> list[int]:
    """Of each image: the clean check, the queries that it waits, and the one that finds it."""
    return [min(2 + round(100 * abs(at - BEST)) + i % 2, BUDGET) for i in range(8)]


def tune(trials: int = 25, **more: Any) -> Tuned:
    return bb.tune(bb.ranges(Aim, at=(0.01, 0.9)), {"border": Border()}, X, Y, bb.Linf(0.1), BUDGET, classes=2, trials=trials, **more)


@pytest.fixture(scope="module")
def whole() -> Tuned:
    return tune()


def test_the_known_optimum_is_found_and_every_cost_is_the_known_one(whole: Tuned) -> None:
    assert abs(whole.best.at - BEST) <= 0.02
    for name, attack in whole.attacks.items():
        found = whole.cost[name]["border"].tolist()
        assert found == cost(attack.at)[: len(found)]  # also of those that were stopped early: exact to the row
        assert name == f"at={attack.at}" and (len(found) < 8) == (name in whole.stopped)
    assert whole.stopped and whole.chosen not in whole.stopped
    assert f"{whole.chosen} *" in whole.table() and "† stopped early" in whole.table()


def test_who_is_stopped_is_worse_than_the_median_before(whole: Tuned) -> None:
    means = [np.mean(v["border"][:2]) for v in whole.cost.values()]
    for i, name in enumerate(whole.cost):
        if name in whole.stopped and len(whole.cost[name]["border"]) == 2:
            assert i >= 5 and means[i] > np.median(means[:i])


def test_jobs_change_nothing_and_with_one_block_none_is_stopped() -> None:
    with joblib.parallel_config(backend="threading"):
        assert same(tune(8, jobs=2), tune(8))
    assert not tune(8, blocks=1).stopped


def same(a: Tuned, b: Tuned) -> bool:
    return list(a.attacks) == list(b.attacks) and a.stopped == b.stopped and str(a.cost) == str(b.cost)


def test_random_and_several_models() -> None:
    space = bb.ranges(Aim, at=(0.01, 0.9, "log"), whole=[1, 2])
    found = bb.tune(space, {"a": Border(), "b": Border()}, X, Y, bb.Linf(0.1), BUDGET, classes=2, trials=3, sampler="random")
    assert len(found.attacks) == 3 and all(set(each) == {"a", "b"} for each in found.cost.values())


def test_ranges_are_read_as_the_settings_are_typed() -> None:
    space = bb.ranges(Aim, at=(0, 1), whole=(1, 3))
    assert space.settings == {"at": Range(0, 1), "whole": Range(1, 3, whole=True)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing was given"),
        ({"at": 0.1}, r"Expected at to be \(low, high\)"),
        ({"at": (0.5, 0.1)}, "the smaller first"),
        ({"at": (0, 1, "log")}, "above 0"),
    ],
)
def test_what_is_no_range(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bb.ranges(Aim, **given)


def test_an_end_that_the_attack_refuses_is_said_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="p_init"):
        bb.ranges("square", p_init=(0.5, 1.5))
    with pytest.raises(ValueError, match="tpe, random"):
        tune(sampler="best")
