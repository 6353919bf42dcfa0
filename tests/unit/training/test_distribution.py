"""Distribution-relevant training: the distance against its closed form on a linear net, and what it does to a net."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import surrogates as sg
from surrogates.training.distribution import ScoreMatching, distance

DRAWS = np.random.default_rng(4)
IMAGES = torch.tensor(DRAWS.uniform(size=(40, 1, 4, 4)), dtype=torch.float32)
LABELS = (IMAGES[:, 0, :2].mean((1, 2)) > IMAGES[:, 0, 2:].mean((1, 2))).long()
DATA = sg.Dataset(IMAGES, LABELS, ("a", "b"))
ONE = replace(sg.refine.SHARP, epochs=6, lr=0.05)


def test_the_distance_of_a_linear_net_is_the_closed_form() -> None:
    w = torch.tensor(DRAWS.normal(size=(3, 16)))
    x = torch.tensor(DRAWS.uniform(size=(5, 16)))
    v, y, step = torch.tensor(DRAWS.choice([-1.0, 1.0], (5, 16))), torch.tensor([0, 1, 2, 0, 1]), 1e-4
    given = x.clone().requires_grad_()
    found = distance(given, given @ w.T, (x + step * v) @ w.T, (x - step * v) @ w.T, y, step)
    p = (x @ w.T).softmax(1)
    g, along = w[y] - p @ w, v @ w.T  # of log p(y | x): w_y - sum p w; along v the variance of w v under p, negative
    curved = -((p * along**2).sum(1) - (p * along).sum(1) ** 2)
    assert torch.allclose(found.detach(), g.square().sum(1) + 2 * curved, rtol=1e-5, atol=1e-5)


def test_training_brings_the_distance_down_and_weight_0_is_plain_training() -> None:
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Softplus(), nn.Flatten(), nn.Linear(24, 2)).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for layer in (net[0], net[4]):
            layer.reset_parameters()
    none, much = (sg.refine.dra(net, DATA, ONE, weight=weight) for weight in (0.0, 0.5))
    plain = sg.train(copy.deepcopy(net), DATA, ONE)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain.parameters(), none.parameters(), strict=True))

    v = torch.tensor(DRAWS.choice([-1.0, 1.0], IMAGES.shape), dtype=torch.float32)

    def far(model: nn.Module) -> float:
        x, step = IMAGES.clone().requires_grad_(), 4 / 255
        return float(distance(x, model(x), model(x + step * v), model(x - step * v), LABELS, step).mean().detach())

    assert far(much) < 2 * far(none) < 0
    again = sg.refine.dra(net, DATA, ONE, weight=0.5)
    assert all(torch.equal(a, b) for a, b in zip(much.state_dict().values(), again.state_dict().values(), strict=True))
    with pytest.raises(ValueError, match="weight of at least 0"):
        ScoreMatching(-1.0)


