"""Sparse-RS: what a step changes, read off the images that a target is asked about."""

from __future__ import annotations

import torch
from torch import Tensor

import blackbox as bb
from blackbox.attacks.sparse import around


def test_one_pixel_at_a_time_is_recoloured_moved_anywhere_and_moved_beside() -> None:
    """A target that never changes its answer: every step starts from the first five pixels. x is grey, so that a pixel with
    a corner's colour is always a changed one."""
    x, asked = torch.full((1, 3, 9, 9), 0.5), []

    def constant(images: Tensor) -> Tensor:
        asked.extend(images)
        return torch.tensor([[0.6, 0.4]]).expand(len(images), 2)

    result = bb.attack(bb.Oracle(constant, "scores", 2), x, torch.tensor([0]), "sparse", bb.L0(5), 202)
    assert result.queries.tolist() == [202] and not result.success.any()
    changed = [set((image != 0.5).any(0).flatten().nonzero()[:, 0].tolist()) for image in asked]
    assert changed[0] == set() and all(len(places) == 5 for places in changed[1:])
    first, *steps = changed[1:]
    for k, places in enumerate(steps):
        if k % 2 and k < 30:
            assert places == first, "another colour for a pixel that stays"
            continue
        (left,), (entered,) = first - places, places - first
        apart = max(abs(left // 9 - entered // 9), abs(left % 9 - entered % 9))
        if k % 4 >= 2:
            assert apart == 1
    anywhere = [next(iter(places - first)) for k, places in enumerate(steps) if k % 4 == 0]
    assert len(set(anywhere)) > 25, "of 76 places, in 50 draws"


def test_around_ends_at_the_edge() -> None:
    place = torch.tensor([[0], [4], [5]])
    assert [row.nonzero()[:, 0].tolist() for row in around(place, (3, 3, 3))] == [
        [0, 1, 3, 4],
        [0, 1, 2, 3, 4, 5, 6, 7, 8],
        [1, 2, 4, 5, 7, 8],
    ]
    assert around(place, (7,)).nonzero()[:, 1].tolist() == [0, 1, 3, 4, 5, 4, 5, 6]


def test_five_pixels_stay_five_in_a_corner_that_is_full() -> None:
    """An image of 2 x 3 pixels, 5 of them chosen: there is often no free place beside the one that leaves."""
    asked = []

    def constant(images: Tensor) -> Tensor:
        asked.extend(images)
        return torch.tensor([[0.6, 0.4]]).expand(len(images), 2)

    bb.attack(bb.Oracle(constant, "scores", 2), torch.full((1, 1, 2, 3), 0.5), torch.tensor([0]), "sparse", bb.L0(5), 100)
    assert all(int((image != 0.5).sum()) == 5 for image in asked[1:])
