"""BayesLinear on targets whose best point is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.attacks.bayes_linear import BayesLinear
from blackbox.proposals.smooth import Smooth
from blackbox.testing import Affine, Recording
from blackbox.testing.priors import LinearPrior

SHAPE = (3, 6, 6)


def smooth_target(gap: float) -> tuple[Affine, float]:
    """An affine target with two classes and a smooth gradient; at a change of ``gap`` along its signs it turns."""
    w = torch.from_numpy(Smooth().draw(np.random.default_rng(3).standard_normal((2, *SHAPE), dtype=np.float32)))
    g = w[1] - w[0]
    bias = -gap * float(g.abs().sum()) - 0.5 * float(g.sum())
    return Affine(w, torch.tensor([0.0, bias])), float(g.abs().sum())


@pytest.mark.parametrize("share, most", ((0.9, 150), (0.995, 600)))
def test_comes_to_the_best_vertex_of_an_affine_target(share: float, most: int) -> None:
    """Where only points turn the class that gain a share of what the best vertex gains, it finds one."""
    target, _ = smooth_target(0.1 * share)
    x, y = torch.full((2, *SHAPE), 0.5), torch.zeros(2, dtype=torch.int64)
    result = bb.attack(bb.Oracle(target, "scores", 2), x, y, "bayes-linear", bb.Linf(0.1), most, seed=0)
    assert result.success.all(), result.queries


def test_the_gradient_of_surrogates_is_asked_first() -> None:
    target, _ = smooth_target(0.1 * 0.99)
    x, y = torch.full((1, *SHAPE), 0.5), torch.zeros(1, dtype=torch.int64)
    prior = LinearPrior(target.weight[None], target.bias[None])
    result = bb.attack(bb.Oracle(target, "scores", 2), x, y, BayesLinear(prior=prior), bb.Linf(0.1), 10, seed=0)
    assert result.queries.tolist() == [2]


def test_a_prior_keeps_rows_apart() -> None:
    target, _ = smooth_target(0.1 * 0.995)
    x, y = torch.linspace(0.4, 0.5, 3)[:, None, None, None].expand(3, *SHAPE), torch.zeros(3, dtype=torch.int64)
    attack = BayesLinear(prior=LinearPrior.noise(2, 2, SHAPE))
    whole, alone = (
        bb.attack(bb.Oracle(target, "scores", 2), x, y, attack, bb.Linf(0.1), 60, seed=0, cohort=cohort) for cohort in (3, 1)
    )
    assert torch.equal(whole.x_adv, alone.x_adv) and torch.equal(whole.queries, alone.queries)


def test_large_images_move_in_tiles() -> None:
    seen = Recording(Affine(torch.randn(2, 1, 64, 48, generator=torch.Generator().manual_seed(0)) / 100, torch.tensor([9.0, 0.0])))
    x, y = torch.full((1, 1, 64, 48), 0.5), torch.zeros(1, dtype=torch.int64)
    bb.attack(bb.Oracle(seen, "logits", 2), x, y, BayesLinear(draws=2), bb.Linf(0.1), 6, seed=0)
    moved = (seen.shown[1:] - 0.5).sign()
    assert torch.equal(moved[:, :, ::2], moved[:, :, 1::2])


@pytest.mark.parametrize("wrong", ({"draws": 0}, {"window": 3}, {"explore": -1.0}, {"noise": 0.0}, {"trust": 0.0}, {"rivals": 0}))
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        BayesLinear(**wrong)  # type: ignore[arg-type]
