"""Shares of eps and ranges of entries: the nearest point, what all of it leaves as it was, rounding, resuming, sharing, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.bounds import Bounds

SHAPE = (3, 5, 5)
DRAWS = np.random.default_rng(2)
X = torch.tensor(DRAWS.uniform(0.3, 0.7, (4, *SHAPE)), dtype=torch.float32)
WEIGHTS = torch.tensor(DRAWS.uniform(0.05, 1, (4, *SHAPE)) * (DRAWS.uniform(size=(4, *SHAPE)) < 0.8), dtype=torch.float32)
RANGES = (X - 0.15, X + 0.2 * WEIGHTS)
SLOPE = torch.tensor(DRAWS.normal(size=SHAPE), dtype=torch.float32)


def linear(x: Tensor) -> Tensor:
    value = torch.stack([(row * SLOPE).sum() for row in x])
    return torch.stack([torch.zeros_like(value), value], 1)


Y = (linear(X)[:, 1] > 0).long()
MARGIN = linear(X)[:, 1].abs()


def oracle(access: str = "logits") -> bb.Oracle:
    return bb.Oracle(linear, access, 2, returns=None if access == "labels" else "logits")


@pytest.mark.parametrize("threat", [bb.L2(0.4), bb.L1(1.5)], ids=str)
def test_projection_is_the_nearest_point(threat: bb.Threat) -> None:
    """Each point of the set is at an angle of 90 degrees or more to the way there (the projection onto a convex set)."""
    bounds = Bounds.of(threat, X, WEIGHTS > 0, WEIGHTS, (X - 9, X + 9))
    assert bounds is not None
    x = X + 0.4 * torch.tensor(DRAWS.normal(size=X.shape), dtype=torch.float32)
    wide = type(threat)(threat.eps, -9.0, 9.0)
    bounds = Bounds(X, X - 9 * (WEIGHTS > 0), X + 9 * (WEIGHTS > 0), WEIGHTS)
    made = bounds.project(wide, x)
    assert bool((bounds.distance(wide, made) - threat.eps).abs().max() < 1e-5) and torch.equal(bounds.project(wide, made), made)
    way = (x - made) * (WEIGHTS > 0)
    for _ in range(20):
        other = bounds.project(wide, X + WEIGHTS * torch.tensor(DRAWS.normal(size=X.shape), dtype=torch.float32))
        assert bool((((other - made) * way).flatten(1).sum(1) < 1e-4).all())


@pytest.mark.parametrize("threat", [bb.Linf(0.1), bb.L2(0.4), bb.L1(1.5)], ids=str)
def test_rounding_leads_no_small_share_out_of_the_ball(threat: bb.Threat) -> None:
    """float32 rounds an entry by 3e-8; divided by a share of 1e-3 that is far more than the tolerance."""
    bounds = Bounds.of(threat, X, None, torch.full_like(X, 1e-3), None)
    assert bounds is not None
    made = bounds.project(threat, X + 0.1 * torch.tensor(DRAWS.normal(size=X.shape), dtype=torch.float32))
    far = bounds.distance(threat, made)
    assert bool((far <= threat.eps + threat.tolerance).all()) and bool((far >= 0.9 * threat.eps).all())


ALL = (("square", bb.Linf(0.05)), ("square", bb.L2(0.3)), ("sparse", bb.L0(4)), ("square", bb.L1(1)), ("surfree", bb.L2(0.3)))


@pytest.mark.parametrize(("attack", "threat"), ALL)
def test_what_is_all_changes_nothing(attack: str, threat: bb.Threat) -> None:
    def run(**more: Any) -> bb.AttackResult:
        return bb.attack(oracle("labels" if attack == "surfree" else "logits"), X, Y, attack, threat, 40, **more)

    plain = run()
    for more in ({"mask": torch.ones(SHAPE)}, {"ranges": (0, 1)}, {"ranges": (np.zeros((5, 5)), torch.ones(4, *SHAPE))}):
        other = run(**more)
        assert all(torch.equal(getattr(plain, c), getattr(other, c)) for c in ("x_adv", "queries", "success"))


@pytest.mark.parametrize(("attack", "kind", "q"), [("hop-skip-jump", bb.L2, 2), ("rays", bb.Linf, 1)])
def test_a_walk_comes_to_what_is_nearest_by_the_shares(attack: str, kind: type[bb.Threat], q: float) -> None:
    result = bb.attack(oracle("labels"), X, Y, attack, kind(np.inf), 700, mask=WEIGHTS)
    best = MARGIN / torch.linalg.vector_norm((WEIGHTS * SLOPE).flatten(1), q, dim=1)
    assert bool((result.distance >= 0.999 * best).all()) and bool((result.distance <= 1.35 * best).all())


@pytest.mark.parametrize("share", [1.2, 0.99])
def test_a_search_reaches_what_the_shares_allow_and_no_more(share: float) -> None:
    best = MARGIN / (WEIGHTS * SLOPE).abs().flatten(1).sum(1)
    for i in range(2):
        threat = bb.Linf(share * float(best[i]))
        result = bb.attack(oracle(), X[i : i + 1], Y[i : i + 1], "square", threat, 500 if share > 1 else 100, mask=WEIGHTS[i : i + 1])
        assert bool(result.success) is (share > 1)


@pytest.mark.parametrize("threat", [bb.Linf(0.1), bb.L2(0.5)], ids=str)
@pytest.mark.parametrize("grain", [1, 255])
def test_eight_bit_images_keep_to_them(threat: bb.Threat, grain: int) -> None:
    """Of an 8-bit original and of one that is none."""
    x = X if grain == 1 else (X * 255).round() / 255
    lower, upper = x - 0.1, x + 0.08 * WEIGHTS
    y, more = (linear(x)[:, 1] > 0).long(), {"mask": WEIGHTS, "ranges": (lower, upper)}
    result = bb.attack(oracle(), x, y, "square", threat, 150, eight_bit=True, **more)
    moved = result.x_adv != x
    assert bool(moved.any()) and bool(((result.x_adv >= lower) & (result.x_adv <= upper)).all()) and not bool(moved[WEIGHTS == 0].any())
    level = result.x_adv[moved] * 255
    assert bool(((level - level.round()).abs() < 1e-4).all())
    assert bool((result.distance[result.success] <= threat.eps + threat.tolerance).all())


def test_a_run_with_other_ranges_does_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    def run(file: Path | None, **more: Any) -> bb.AttackResult:
        return bb.attack(oracle(), X, Y, "square", bb.Linf(0.02), 50, cohort=2, checkpoint=file, **more)

    first = run(tmp_path / "c", ranges=RANGES, mask=WEIGHTS)
    again = run(tmp_path / "c", ranges=RANGES, mask=WEIGHTS)
    assert torch.equal(first.x_adv, again.x_adv)
    wider = (RANGES[0], X + 0.3)
    for more in ({"ranges": RANGES}, {"mask": WEIGHTS}, {"ranges": wider, "mask": WEIGHTS}, {"ranges": RANGES, "mask": WEIGHTS / 2}):
        with pytest.raises(bb.CheckpointError, match="samples"):
            run(tmp_path / "c", **more)


def test_a_run_goes_on_from_where_it_was_broken_off(tmp_path: Path) -> None:
    calls = 0

    def fails(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt
        return linear(x)

    def run(model: Any, **more: Any) -> bb.AttackResult:
        target = bb.Oracle(model, "labels", 2, rows_per_call=5)
        return bb.attack(target, X, Y, "hop-skip-jump", bb.L2(0.2), 120, mask=WEIGHTS, ranges=RANGES, **more)

    with pytest.raises(KeyboardInterrupt):
        run(fails, checkpoint=tmp_path / "c")
    assert torch.equal(run(fails, checkpoint=tmp_path / "c").x_adv, run(linear).x_adv)


def test_a_shared_budget_keeps_to_them() -> None:
    result = bb.attack(oracle(), X, Y, "square", bb.Linf(0.2), 30, mask=WEIGHTS, ranges=RANGES, shared_budget=True)
    assert bool(((result.x_adv >= RANGES[0]) & (result.x_adv <= RANGES[1])).all()) and int(result.queries.sum()) <= 120
    assert "in a range of its own" in result.summary() and "% of eps on average" in result.summary()


def test_an_eps_of_each_entry() -> None:
    eps = 0.1 * WEIGHTS
    result = bb.attack(oracle(), X, Y, "square", budget=100, **bb.per_entry(eps))
    assert bool(((result.x_adv - X).abs() <= eps + 1e-7).all()) and result.threat == bb.Linf(float(eps.max()))
    for bad, said in ((-eps, "at least 0"), (0 * eps, "at least 0"), (eps / 0, "at least 0")):
        with pytest.raises(ValueError, match=said):
            bb.per_entry(bad)
    with pytest.raises(ValueError, match="counts pixels"):
        bb.per_entry(eps, bb.L0)


def test_what_cannot_be_is_refused_before_any_query() -> None:
    target, nan, low = oracle(), WEIGHTS.clone(), X - 0.1
    nan[2, 0, 0, 0] = torch.nan
    low[1, 0, 0, 1] = 0.9
    for more, said in (
        ({"mask": nan}, "sample 2 it ranges from nan"),
        ({"mask": 3 * WEIGHTS}, r"bb\.per_entry\(eps\)"),
        ({"ranges": (low, 1)}, "of sample 1 entry 1 is"),
        ({"ranges": low}, "ranges to be"),
        ({"ranges": (low[:, :2], 1)}, r"ranges \(lower\) of shape"),
        ({"ranges": (nan, 1)}, "its range"),
        ({"ranges": (torch.cat([low[:1], X[1:]]), X)}, r"the ends of those of sample 1 are the same \(3 such\)"),
        ({"ranges": (X - (WEIGHTS > 0.5).float() * 0.1, X), "mask": WEIGHTS <= 0.5}, "sample 0 are the same"),
    ):
        with pytest.raises(ValueError, match=said):
            bb.attack(target, X, Y, "square", bb.Linf(0.1), 30, **more)
    with pytest.raises(ValueError, match="mask of bools with L0 4"):
        bb.attack(target, X, Y, "sparse", bb.L0(4), 30, mask=WEIGHTS)
    with pytest.raises(ValueError, match=r"bb\.L2 or bb\.L1 itself"):
        bb.per_entry(WEIGHTS, bb.L2(1))  # type: ignore[arg-type]
    assert target.rows == 0
