"""One budget for a set of images: never exceeded, the same whatever the cohorts, nothing for the hopeless before the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.testing import Affine

D, N, EPS = 40, 12, 0.1
W = torch.randn(2, D, generator=torch.Generator().manual_seed(5))
NET = Affine(W, -W.sum(1) / 2)  # two classes, the boundary through the middle of the box
FAR = torch.linspace(1.6, 0.1, N)  # from the boundary, in radii: the first are hopeless
X = 0.5 + EPS * FAR[:, None] * (W[0] - W[1]).sign()
Y = torch.zeros(N, dtype=torch.int64)


def run(attack: Any = "square", n: int = N, budget: int = 30, **more: Any) -> bb.AttackResult:
    oracle = bb.Oracle(NET, more.pop("access", "logits"), 2, returns="logits", rows_per_call=more.pop("rows", 7))
    result = bb.attack(oracle, X[:n], Y[:n], attack, bb.Linf(EPS), budget, **{"shared_budget": True, **more})
    assert oracle.counts["attack"] == int(result.queries.sum()) <= n * budget  # double entry, and the whole is never exceeded
    return result


def same(a: bb.AttackResult, b: bb.AttackResult) -> bool:
    return a.status == b.status and all(torch.equal(getattr(a, c), getattr(b, c)) for c in ("queries", "first_success_query", "x_adv"))


@pytest.mark.parametrize("attack", ["square", "nes", "hop-skip-jump"])
def test_the_whole_is_never_exceeded_and_cohorts_do_not_matter(attack: str) -> None:
    whole, pieces = run(attack), run(attack, cohort=5, rows=3)
    assert same(whole, pieces)


def test_what_plain_runs_leave_over_goes_to_those_who_need_more_and_the_hopeless_wait() -> None:
    plain, shared = run("simba", shared_budget=False), run("simba")
    assert int(shared.success.sum()) > int(plain.success.sum()) and not (plain.success & ~shared.success).any()
    assert int(plain.queries.max()) <= 30 < int(shared.queries.max())
    near = shared.queries[~shared.success]  # from the farthest to the nearest
    assert len(near) > 2 and int(near[0]) <= 4 < int(near.max()) and not shared.success[0]  # the farthest had its first slice alone


def test_the_cap_holds_and_is_told() -> None:
    result = run("square", cap=40)
    assert int(result.queries.max()) <= 40 and result.config["budget"] == 40
    assert result.config["shared_budget"] == {"total": 30 * N, "an_image": 30}
    assert "shared budget    360 for all images, 30 an image on average, at most 40 for one" in result.summary()
    assert "budget 30" not in result.summary()


def test_the_set_matters_its_order_does_not() -> None:
    ids, turned = np.arange(N), np.arange(N)[::-1].copy()
    a = run("square", ids=ids)
    oracle = bb.Oracle(NET, "logits", 2, returns="logits", rows_per_call=7)
    b = bb.attack(oracle, X[turned], Y[turned], "square", bb.Linf(EPS), 30, shared_budget=True, ids=turned)
    assert torch.equal(a.queries, b.queries.flip(0)) and torch.equal(a.x_adv, b.x_adv.flip(0))
    assert not torch.equal(run("square", n=9).queries, a.queries[:9])  # the others' leavings are missing


def test_a_plain_run_is_what_it_was() -> None:
    assert "shared_budget" not in run("square", shared_budget=False).config


def test_a_journal_goes_on_where_a_target_failed(tmp_path: Path) -> None:
    from blackbox.testing import Failing

    whole = run("square")
    oracle = bb.Oracle(Failing(NET, 30), "logits", 2, returns="logits", rows_per_call=7, name="t")
    with pytest.raises(bb.TargetError):
        bb.attack(oracle, X, Y, "square", bb.Linf(EPS), 30, shared_budget=True, journal=tmp_path / "j")
    oracle = bb.Oracle(NET, "logits", 2, returns="logits", rows_per_call=7, name="t")
    again = bb.attack(oracle, X, Y, "square", bb.Linf(EPS), 30, shared_budget=True, journal=tmp_path / "j")
    assert same(whole, again) and oracle.counts["attack"] < int(again.queries.sum())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"checkpoint": "c"}, "no checkpoint with shared_budget.*journal"), ({"cap": 20}, "cap to be"),
        ({"cap": 50, "shared_budget": False}, "cap= with shared_budget=True"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_a_query(more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        run(**more)
