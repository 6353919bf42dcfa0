"""GreedyPixel: its order, its colours, its queries."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

import blackbox as bb
from blackbox.attacks.greedy_pixel import GreedyPixel
from blackbox.testing import Affine
from blackbox.testing.driver import drive, task
from blackbox.testing.priors import LinearPrior

SHAPE = (3, 2, 2)
WEIGHT = torch.tensor([[[1.0, 0.0], [4.0, -2.0]], [[-1.0, 0.5], [-4.0, 2.0]], [[1.0, 0.0], [4.0, -2.0]]])  # pixel 2 matters most, 1 least


def rise(points: Tensor) -> Tensor:
    return ((points - 0.5) * WEIGHT).flatten(1).sum(1) - 1


def test_the_surrogate_orders_the_pixels_and_the_target_chooses_the_colour() -> None:
    x = torch.full((1, *SHAPE), 0.5)
    prior = LinearPrior(torch.stack([torch.zeros(SHAPE), WEIGHT])[None], torch.zeros(1, 2))
    t = task(x, loss0=rise(x), goal=torch.zeros(1, dtype=torch.long), low=x - 0.1, high=x + 0.1)
    attack = GreedyPixel(prior)
    s = attack.init(t)
    assert s.order.tolist() == [[2, 3, 0, 1]] and prior.gradients == 1
    for k, place in enumerate(s.order[0].tolist()):
        before = s.x.flatten(2)
        s, asked = drive(attack.step(t, s, k), t, rise)
        change = (s.x.flatten(2) - before)[0]
        assert asked.tolist() == [8] and not change[:, [i for i in range(4) if i != place]].any()
        weight = WEIGHT.flatten(1)[:, place]
        assert torch.allclose(change[weight != 0, place], 0.1 * weight[weight != 0].sign())
    _, asked = drive(attack.step(t, s, 4), t, rise)  # the next pass: one of the eight colours is there already
    assert asked.tolist() == [7] and prior.gradients == 2


def test_a_pixel_that_no_colour_makes_better_stays() -> None:
    x = torch.full((2, *SHAPE), 0.5)
    t = replace(task(x, loss0=torch.zeros(2)), low=x - 0.1, high=x + 0.1)
    attack = GreedyPixel()
    s, asked = drive(attack.step(t, attack.init(t), 0), t, lambda points: -(points - 0.5).flatten(1).abs().sum(1))
    assert torch.equal(s.x, x) and asked.tolist() == [8, 8]


def test_few_pixels_are_changed_where_few_suffice() -> None:
    x = torch.full((4, 1, 6, 6), 0.5)
    weight = torch.zeros(2, 1, 6, 6)
    weight[1, 0, 2, 3], weight[1, 0, 4, 4] = 5.0, -3.0
    prior = LinearPrior(weight[None], torch.zeros(1, 2))
    oracle = bb.Oracle(Affine(weight, torch.tensor([0.0, -1.55])), "logits", 2)
    r = bb.attack(oracle, x, torch.zeros(4, dtype=torch.long), GreedyPixel(prior), bb.Linf(0.1), 20)
    assert r.success.all() and ((r.x_adv != x).flatten(1).sum(1) == 2).all() and (r.queries <= 5).all()


def test_entries_are_pixels_where_there_are_many_channels() -> None:
    x = torch.full((1, 5, 2, 2), 0.5)
    t = replace(task(x, loss0=torch.zeros(1)), low=x - 0.1, high=x + 0.1)
    attack = GreedyPixel()
    s, asked = drive(attack.step(t, attack.init(t), 0), t, lambda points: (points - 0.5).flatten(1).sum(1))
    assert asked.tolist() == [2] and s.order.shape == (1, 20) and int((s.x != x).sum()) == 1
