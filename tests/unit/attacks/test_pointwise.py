"""Pointwise: an example changes what it must, and each entry as little as it can."""

from __future__ import annotations

import math

import torch
from torch import Tensor

import blackbox as bb

X = torch.full((4, 12), 0.25)


def corner(x: Tensor) -> Tensor:
    """Class 1 where entry 3 is above 0.6 and entry 7 below 0.1: a step of two entries, as a tree has."""
    hit = ((x[:, 3] > 0.6) & (x[:, 7] < 0.1)).float()
    return torch.stack([1 - hit, hit], 1)


def test_of_twelve_entries_the_two_that_matter_change_as_far_as_they_must() -> None:
    start = X.clone()
    start[:, 3], start[:, 7], start[:, :3] = 1.0, 0.0, 0.9
    attack = bb.attacks.build("pointwise", halvings=6)
    r = bb.attack(bb.Oracle(corner, "labels", 2), X, [0] * 4, attack, bb.L2(math.inf), 60, start=start)
    assert bool(r.success.all()) and (r.x_adv != X).sum(1).tolist() == [2] * 4
    assert bool((r.x_adv[:, 3] < 0.62).all()) and bool((r.x_adv[:, 7] > 0.08).all())


def test_the_first_pass_costs_one_query_an_entry() -> None:
    start = X.clone()
    start[:, :8] = 0.9
    start[:, 7] = 0.0
    r = bb.attack(bb.Oracle(corner, "labels", 2), X, [0] * 4, "pointwise", bb.L2(math.inf), 2 + 8, start=start)
    assert (r.x_adv != X).sum(1).tolist() == [2] * 4 and r.queries.tolist() == [10] * 4  # clean, start, eight entries


def test_it_begins_again_when_a_pass_gains_nothing() -> None:
    """Two ways lead to class 1; from a start on the dear one the cheap one is found by another start."""

    def two(x: Tensor) -> Tensor:
        hit = ((x[:, 0] > 0.95) | (x[:, 1] > 0.3)).float()
        return torch.stack([1 - hit, hit], 1)

    start = X.clone()
    start[:, 0] = 1.0
    r = bb.attack(bb.Oracle(two, "labels", 2), X, [0] * 4, "pointwise", bb.L2(math.inf), 300, start=start)
    assert bool((r.distance < 0.1).all())
