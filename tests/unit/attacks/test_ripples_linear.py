"""RipplesLinear: which search an image goes on with, and that it does not matter who is beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.proposals.smooth import Smooth
from blackbox.testing import Affine

SHAPE = (3, 16, 16)
X = torch.linspace(0.49, 0.51, 3)[:, None, None, None].expand(3, *SHAPE)
Y = torch.zeros(3, dtype=torch.int64)


def smooth_target(share: float) -> Affine:
    """Linear, the gradient smooth: short waves do nothing; a point turns the class that gains ``share`` of what the best does."""
    w = torch.from_numpy(Smooth(3.0).draw(np.random.default_rng(3).standard_normal((2, *SHAPE), dtype=np.float32)))
    g = w[1] - w[0]
    return Affine(w, torch.tensor([0.0, -0.1 * share * float(g.abs().sum()) - 0.5 * float(g.sum())]))


def run(target: Any, attack: Any = "ripples-linear", budget: int = 120, access: str = "scores", **more: Any) -> bb.AttackResult:
    return bb.attack(bb.Oracle(target, access, 2), X, Y, attack, bb.Linf(0.1), budget, seed=0, **more)


def test_where_waves_do_nothing_the_answers_are_regressed() -> None:
    ours, ripples = run(smooth_target(0.5)), run(smooth_target(0.5), "ripples")
    assert ours.success.all() and int(ours.queries.sum()) < 0.5 * int(ripples.queries.sum())
    assert ours.config["parts"]["linear"]["successes"] == 3 and ours.config["parts"]["stripes"]["queries"] == 0


def test_an_image_whose_answers_are_too_far_from_linear_goes_back_to_ripples() -> None:
    parts = run(smooth_target(1.1), bb.attacks.build("ripples-linear", noise=0.0), budget=80).config["parts"]
    assert parts["linear"]["queries"] == 3 * 3 * 8 and parts["stripes"]["queries"] == 3 and parts["square"]["queries"] > 30


@pytest.mark.parametrize("cohort", [1, 2])
def test_rows_do_not_see_each_other(cohort: int) -> None:
    target = smooth_target(0.7)  # they are fooled one after the other
    whole, apart = run(target), run(target, cohort=cohort)
    assert torch.equal(whole.x_adv, apart.x_adv) and torch.equal(whole.queries, apart.queries)


@pytest.mark.parametrize("access, name", [("labels", "RippleLabels("), ("scores", "RipplesLinear(")])
def test_what_the_target_shows_decides(access: str, name: str) -> None:
    assert run(smooth_target(0.5), budget=4, access=access).config["parameters"].startswith(name)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="trial of at least 1"):
        bb.attacks.build("ripples-linear", trial=0)
