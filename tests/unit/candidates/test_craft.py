"""Crafting through a prior: views of the image, and steps that shrink."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.candidates import CraftGoal, craft
from blackbox.candidates.start import mirrors, start
from blackbox.candidates.views import moved
from blackbox.prior import Pull
from blackbox.protocol import Task
from blackbox.testing.driver import task
from blackbox.testing.priors import LinearPrior


class Seen(LinearPrior):
    """One member, two classes, the second logit <w, x>: its gradient is w wherever it is asked; it keeps what it was shown."""

    def __init__(self, w: Tensor) -> None:
        super().__init__(torch.stack([torch.zeros_like(w), w])[None], torch.zeros(1, 2))
        self.seen: list[Tensor] = []

    def gradient(self, x: Tensor, pull: Pull) -> Tensor:
        self.seen.append(x.clone())
        return super().gradient(x, pull)


def leaving(x: Tensor, eps: float, targeted: bool = False, **more: Any) -> Task:
    """A task whose rows are to leave class 0, or to reach class 1."""
    return task(x, threat=bb.Linf(eps), goal=torch.full((len(x),), int(targeted)), targeted=targeted, **more)


def images(n: int = 6, side: int = 20) -> Tensor:
    return torch.rand(n, 2, side, side, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25


def move(one: Tensor, shown: Tensor) -> tuple[int, int]:
    """By how many pixels the image was moved before it was shown."""
    allowed = itertools.product(range(-2, 3), repeat=2)
    return next(by for by in allowed if torch.equal(moved(one[None], torch.tensor([by]))[0], shown))


def test_an_image_is_moved_down_and_right_and_black_follows() -> None:
    x = torch.arange(1.0, 10.0).view(1, 1, 3, 3).expand(3, 1, 3, 3)
    shifted = moved(x, torch.tensor([[0, 0], [1, 0], [-1, 2]]))
    assert torch.equal(shifted[0], x[0])
    assert shifted[1, 0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert shifted[2, 0].tolist() == [[0, 0, 4], [0, 0, 7], [0, 0, 0]]


def test_the_gradient_through_a_view_is_moved_back() -> None:
    """<moved(x), g> = <x, moved back(g)> for every x and g: it is the transpose, as the chain rule wants it."""
    x, g = images(), images().flip(3)
    by = torch.tensor([[0, 0], [2, -1], [-2, 2], [1, 1], [0, -2], [5, 19]])
    left, right = (moved(x, by) * g).double().flatten(1).sum(1), (x * moved(g, -by)).double().flatten(1).sum(1)
    torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(left, (x * moved(g, by)).double().flatten(1).sum(1))


def test_views_move_by_up_to_a_tenth_of_the_sides_and_are_a_rows_own() -> None:
    x, prior = images(), Seen(torch.ones(2, 20, 20))
    t = leaving(x, 0.1)
    craft(t, prior, x, CraftGoal.of(t), steps=12, step=0.0, diverse="a tag")
    found = [[move(x[i], seen[i]) for seen in prior.seen] for i in range(len(x))]
    assert len({tuple(moves) for moves in found}) == len(x), "the rows were moved alike"
    every = {a for moves in found for by in moves for a in by}
    assert every == {-2, -1, 0, 1, 2}
    again = Seen(torch.ones(2, 20, 20))
    some = leaving(x[2:4], 0.1, ids=np.array([2, 3]))
    craft(some, again, x[2:4], CraftGoal.of(some), steps=12, step=0.0, diverse="a tag")
    assert all(torch.equal(a, b[2:4]) for a, b in zip(again.seen, prior.seen, strict=True))


def test_a_step_follows_the_gradient_moved_back() -> None:
    w = torch.randn(2, 20, 20, generator=torch.Generator().manual_seed(2))
    x, prior = images(), Seen(w)
    t = leaving(x, 0.1)
    made = craft(t, prior, x, CraftGoal.of(t), steps=1, step=0.5, diverse="a tag")
    for i in range(len(x)):
        by = move(x[i], prior.seen[0][i])
        torch.testing.assert_close(made[i], x[i] + 0.05 * moved(w[None], -torch.tensor([by]))[0].sign())


def test_views_are_mirrored_where_they_may_be_and_the_gradient_is_mirrored_back() -> None:
    w = torch.randn(2, 20, 20, generator=torch.Generator().manual_seed(2))
    x, prior = images(), Seen(w)
    t = leaving(x, 0.1)
    may = torch.tensor([True, False] * 3)
    made = craft(t, prior, x, CraftGoal.of(t), steps=1, step=0.5, diverse="a tag", mirror=may)
    turned = []
    for i in range(len(x)):
        try:
            by, back = move(x[i], prior.seen[0][i]), lambda g: g
        except StopIteration:
            by, back = move(x[i].flip(2), prior.seen[0][i]), lambda g: g.flip(2)
            turned.append(i)
        torch.testing.assert_close(made[i], x[i] + 0.05 * back(moved(w[None], -torch.tensor([by]))[0]).sign())
    assert turned and all(may[turned]) and len(turned) < 3, "some of those that may, at random"


def test_an_image_is_mirrored_where_the_prior_finds_the_same_class_in_the_mirror() -> None:
    side = torch.ones(2, 20, 20)
    side[..., 10:] = -1.0
    x = images()
    x[:3, :, :, :10] += 0.2  # 80 brighter on the left than on the right, and in the mirror 80 less
    sided = LinearPrior(torch.stack([torch.zeros_like(side), side])[None], torch.tensor([[40.0, 0.0]]))
    assert mirrors(sided, x).tolist() == [False, False, False, True, True, True]
    assert mirrors(Seen(torch.ones(2, 20, 20)), x).all()
    assert not mirrors(Seen(torch.ones(2, 9, 9)), images(side=9)).any(), "too small for views"
    assert not mirrors(LinearPrior(torch.ones(1, 2, 7), torch.zeros(1, 2)), torch.rand(4, 7)).any(), "vectors have no mirror"


def test_shares_of_the_members_take_turns_with_their_part_of_the_goal() -> None:
    """Five members with gradients of their own, dealt out to two: 0, 2, 4 and then 1, 3."""
    rng = torch.Generator().manual_seed(3)
    w = torch.zeros(5, 2, 2, 4, 4)
    w[:, 1] = torch.randn(5, 2, 4, 4, generator=rng)
    x = images(4, side=4)
    t = leaving(x, 0.2)
    weights = torch.rand(4, 5, generator=rng)
    prior = LinearPrior(w, torch.zeros(5, 2))
    made = craft(t, prior, x, CraftGoal.of(t, weights), steps=2, step=0.1, shares=2)
    expected = x
    for which in ([0, 2, 4], [1, 3]):
        g = sum(weights[:, m].view(4, 1, 1, 1) * w[m, 1] for m in which)
        expected = expected + 0.02 * torch.as_tensor(g).sign()
    torch.testing.assert_close(made, expected)
    one = LinearPrior(w[:1], torch.zeros(1, 2))
    torch.testing.assert_close(craft(t, one, x, CraftGoal.of(t), 2, 0.1, shares=2), x + 0.04 * w[0, 1].sign())


@pytest.mark.parametrize("anneal", [True, False])
def test_annealed_steps_shrink_by_a_half_cosine(anneal: bool) -> None:
    x, prior = images(side=4), Seen(torch.ones(2, 4, 4))
    t = leaving(x, 0.2)
    end = craft(t, prior, x, CraftGoal.of(t), 4, 0.1, anneal=anneal)
    points = [*prior.seen, end]
    lengths = [float((after - before).amax()) / 0.02 for before, after in itertools.pairwise(points)]
    assert lengths == pytest.approx([(1 + math.cos(math.pi * i / 4)) / 2 if anneal else 1 for i in range(4)], rel=1e-4)


@pytest.mark.parametrize("targeted", [False, True])
def test_the_start_of_a_search_ends_in_the_corner_of_an_affine_prior(targeted: bool) -> None:
    """Of images too small for a move: there the best point is known."""
    w = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(1))
    x = images(side=4)
    t = leaving(x, 0.2, targeted)
    torch.testing.assert_close(start(t, Seen(w)), x + 0.2 * w.sign())
