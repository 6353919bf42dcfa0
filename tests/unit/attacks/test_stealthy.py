"""Bad queries: how they are counted and limited, and what the stealthy searches save of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox import stealth
from blackbox.answer import run_steps
from blackbox.testing.driver import task
from blackbox.testing.problems import affine_problem

PROBLEM = affine_problem("L2", (3, 4, 4), 5, targeted=False)


def run(attack: Any, norm: str = "L2", budget: int = 300, **settings: Any) -> bb.AttackResult:
    oracle = bb.Oracle(PROBLEM.target, "labels", len(PROBLEM.target.weight), returns="logits")
    return bb.attack(oracle, PROBLEM.x, PROBLEM.y, attack, getattr(bb, norm)(float("inf")), budget, **settings)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_a_walk_ends_at_the_boundary_with_one_bad_query_a_stage(stages: int) -> None:
    t = task(torch.zeros(4, 1, 1, 1), minimises=True)
    edge = torch.tensor([0.1234, 0.5, 0.777, 0.98])
    asked: list[tuple[int, bool]] = []

    def answer(points: Tensor, row: Any) -> Any:
        adv = points.flatten(1)[:, 0] >= edge[torch.as_tensor(row)]
        asked.extend(zip(row.tolist(), adv.tolist(), strict=True))
        return adv.float().numpy(), adv.numpy()

    every = torch.ones(4, dtype=torch.bool)
    steps = stealth.walk(lambda r: r.view(-1, 1, 1, 1), torch.zeros(4), torch.ones(4), 0.001, every, stages)
    found = run_steps(steps, t, answer)
    assert ((found >= edge) & (found - edge <= 0.00101)).all()
    assert all(sum(not adv for i, adv in asked if i == row) <= stages for row in range(4))
    assert len(asked) / 4 <= stages * 1000 ** (1 / stages) + stages


def test_bad_queries_are_those_that_are_not_adversarial() -> None:
    shown: list[int] = []

    class Seen:
        def __call__(self, x: Tensor) -> Tensor:
            out: Tensor = PROBLEM.target(x)
            shown.extend(out.argmax(1).tolist())
            return out

    oracle = bb.Oracle(Seen(), "labels", len(PROBLEM.target.weight), returns="logits")
    r = bb.attack(oracle, PROBLEM.x[:1], PROBLEM.y[:1], "hop-skip-jump", bb.L2(float("inf")), 200)
    assert r.queries.tolist() == [200]
    assert r.bad.tolist() == [sum(label == int(PROBLEM.y[0]) for label in shown[:200])]
    assert r.to_pandas()["bad"].tolist() == r.bad.tolist() == [row["bad"] for row in r.records()]


@pytest.mark.parametrize("name", ["rays", "hop-skip-jump", "stealthy-opt"])
def test_the_limit_of_bad_queries_is_kept_to_the_query(name: str) -> None:
    r = run(name, "Linf" if name == "rays" else "L2", 3000, max_bad=37)
    assert r.bad.tolist() == [37] * 5 and (r.queries < 3000).all() and (r.queries > 37).all()
    assert "at most 37 allowed" in r.summary() and r.config["max_bad"] == 37
    first = run(name, "Linf" if name == "rays" else "L2", 3000, max_bad=1)
    assert first.bad.tolist() == first.queries.tolist() == [1] * 5  # the clean check is a bad query


def test_a_limit_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bad"):
        run("hop-skip-jump", max_bad=0)


@pytest.mark.parametrize(("plain", "norm"), [("rays", "Linf"), ("opt", "L2"), ("hop-skip-jump", "L2")])
def test_stealthy_searches_come_nearer_for_the_same_bad_queries(plain: str, norm: str) -> None:
    usual, stealthy = (run(name, norm, 20_000, max_bad=60) for name in (plain, f"stealthy-{plain}"))
    assert (stealthy.bad <= 60).all() and (usual.bad <= 60).all()
    assert stealthy.queries.sum() > usual.queries.sum()
    assert stealthy.distance.log().mean() <= usual.distance.log().mean()
