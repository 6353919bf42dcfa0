"""A patch whose place is free is crafted where it does most on the nets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import blackbox as bb
import surrogates as sg
from blackbox.placing import find


class Weighted(nn.Module):
    """Two classes; each pixel pulls by its weight: what a patch does is the sum of those below it."""

    def __init__(self, weights: torch.Tensor, bias: float) -> None:
        super().__init__()
        self.weights, self.bias = nn.Parameter(weights), bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pull = (x[:, 0] * self.weights).flatten(1).sum(1) - self.bias
        return torch.stack([-pull, pull], 1)


WEIGHTS = torch.rand(7, 9, generator=torch.Generator().manual_seed(0)) * 0.1
WEIGHTS[4:6, 5:8] = 1.0  # the best place of a patch of 2 x 3
NET, X = Weighted(WEIGHTS, 6.0), torch.full((3, 1, 7, 9), 0.5)
PATCH = bb.Patch((2, 3))


def test_the_best_place_is_found_and_everything_outside_stays() -> None:
    made = sg.craft(NET, X, torch.zeros(3, dtype=torch.int64), "pgd", threat=PATCH, steps=10)
    changed = (made != X)[:, 0]
    assert bool((changed == PATCH.at(torch.tensor([[4, 5]] * 3), (1, 7, 9))[:, 0]).all()) and bool((made[:, 0, 4:6, 5:8] == 1).all())


def test_a_mask_is_kept_and_rows_do_not_depend_on_their_company() -> None:
    mask = torch.ones(7, 9, dtype=torch.bool)
    mask[:, 5:] = False
    y = torch.zeros(3, dtype=torch.int64)
    made = sg.craft(NET, X, y, "i-fgsm", threat=PATCH, mask=mask)
    assert not bool((made != X)[..., 5:].any()) and bool((made != X).flatten(1).any(1).all())
    alone = sg.craft(NET, X[1:2], y[1:2], "i-fgsm", threat=PATCH, mask=mask, ids=[1])
    assert torch.equal(alone[0], made[1])


def test_a_misleading_gradient_is_found_out_by_trying() -> None:
    x0 = torch.full((1, 1, 4, 4), 0.5)

    def loss(x: torch.Tensor) -> torch.Tensor:  # steep at the clean image and flat beyond in the corner; the other one goes on
        return (3 * (x[:, 0, :2, :2] - 0.5).clamp(-0.01, 0.01) + (x[:, 0, 2:, 2:] - 0.5)).flatten(1).sum(1)

    def gradient(x: torch.Tensor) -> torch.Tensor:
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(loss(x).sum(), x)[0]

    assert find(bb.Patch(2), x0, gradient, loss).tolist() == [[2, 2]]


def test_transfer_of_free_patches_beside_noise_in_a_random_place() -> None:
    oracle = bb.Oracle(NET, classes=2, returns="logits")
    matrix = sg.transfer_matrix({"own": NET}, {"hidden": oracle}, X, [0, 0, 0], attacks=["i-fgsm"], threats=[PATCH])
    assert matrix.complete and matrix.rate("own", "hidden", "i-fgsm", PATCH).n == 3
    with pytest.raises(ValueError, match="Expected a patch that fits into images of 7 x 9 pixels"):
        sg.craft(NET, X, [0, 0, 0], "i-fgsm", threat=bb.Patch(8))


def test_a_prior_finds_the_place_for_an_attack_that_searches_none() -> None:
    oracle = bb.Oracle(NET, classes=2, returns="logits")
    y = torch.zeros(3, dtype=torch.int64)
    for attack in ("transfer-start", "auto"):
        result = bb.attack(oracle, X, y, attack, PATCH, 20, prior=sg.prior([NET]))
        changed = (result.x_adv != X)[:, 0].any(0)
        assert bool(result.success.all()) and str(result.threat) == "patch 2x3 free" and int(result.queries.max()) <= 3
        assert changed.nonzero().min(0).values.tolist() == [4, 5] and changed.nonzero().max(0).values.tolist() == [5, 7]
        assert result.config["prior"]["gradients_per_image"] >= 6, "the place is paid for with gradients, and they are counted"
    with pytest.raises(bb.UnsupportedThreat, match="or give a prior"):
        bb.attack(oracle, X, y, "square", PATCH, 20)


def test_a_prior_finds_the_place_for_each_goal() -> None:
    def number(x: torch.Tensor) -> torch.Tensor:
        return (x[:, 0] * WEIGHTS).flatten(1).sum(1, keepdim=True)

    class Number(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.one * number(x)

    goal = bb.goals.Regression(number(X).numpy()[:, 0] + [0, 0.1, 0.2], by=2, way="up")
    oracle = bb.Oracle(lambda x: number(x)[:, 0], access="answers")
    result = bb.attack(oracle, X, None, "hybrid", PATCH, 20, goal=goal, prior=sg.prior([Number()]))
    assert bool(result.success.all()) and int(result.queries.max()) <= 3
