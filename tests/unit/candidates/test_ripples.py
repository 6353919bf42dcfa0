"""Ripples: what waves look like, on which images they are tried, and that a search finds them where nothing else would do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.candidates import Ripples
from blackbox.proposals.ripples import drawings, waves, whole
from blackbox.testing.driver import task
from blackbox.testing.priors import LinearPrior


def images(n: int, shape: tuple[int, ...] = (3, 24, 16)) -> torch.Tensor:
    return torch.full((n, *shape), 0.5)


def along(window: torch.Tensor, step: tuple[int, int], half: int) -> str:
    """What a window does over half a wave in a direction: "turns" everywhere, "stays" everywhere, or neither ("")."""
    down, across = half * step[0], half * step[1]
    h, w = window.shape
    a = window[max(0, -down) : h - max(0, down), max(0, -across) : w - max(0, across)]
    b = window[max(0, down) : h + min(0, down), max(0, across) : w + min(0, across)]
    return "turns" if bool((a == -b).all()) else "stays" if bool((a == b).all()) else ""


@pytest.mark.parametrize("half", [1, 2])
def test_a_window_alternates_in_each_direction_and_all_of_them_come(half: int) -> None:
    x, kinds, shares = images(300), set(), []
    for row in waves(task(x), 0, (half,), 0.5)[:, 0]:
        at = row.nonzero()
        (top, left), (bottom, right) = at.amin(0).tolist(), at.amax(0).tolist()
        window = row[top : bottom + 1, left : right + 1]
        assert bool((window.abs() == 1).all()), "a window has holes"
        kinds.add((along(window, (1, 0), half), along(window, (0, 1), half), along(window, (1, -1), 1), along(window, (1, 1), 1)))
        shares.append((len(window) / 24, window.shape[1] / 16))
    assert {k[:2] for k in kinds} == {("turns", "stays"), ("stays", "turns"), ("turns", "turns"), ("", "turns"), ("turns", "")}
    if half == 2:  # lines along the diagonals, which with one pixel are the chequerboard
        assert {("turns", "turns", "stays", "turns"), ("turns", "turns", "turns", "stays")} <= kinds
    found = np.array(shares)
    assert np.abs(found[:, 0] - found[:, 1]).max() <= 0.5 / 24 + 0.5 / 16, "a window is not shaped like the image"
    assert found.min() == pytest.approx(0.5, abs=0.02) and found.max() > 0.95
    assert np.median(found) == pytest.approx(0.5**0.5, abs=0.06)  # log-uniform from a half to all


@pytest.mark.parametrize("side, one", [(16, 1), (32, 1), (128, 1), (224, 2), (448, 4)])
def test_waves_are_longer_on_large_images(side: int, one: int) -> None:
    t = task(images(1, (3, side, side)))
    rows, board = whole(t, "rows", 2), whole(t, "both", 1)
    first = rows[:, 0].tolist()
    assert first == ([1.0] * 2 * one + [-1.0] * 2 * one) * (side // (4 * one)) and bool((rows == rows[:, :1]).all())
    assert bool((board[:-one] == -board[one:]).all()) and bool((board[:, :-one] == -board[:, one:]).all())


def test_drawings_are_told_from_photographs_by_the_image_alone() -> None:
    photo = torch.full((1, 1, 20, 20), 0.5)
    digit = torch.zeros(1, 1, 20, 20)
    digit[..., 5:10, :] = 0.7
    half = torch.zeros(1, 1, 20, 20)
    half[..., :10, :] = 0.5
    assert drawings(task(torch.cat([photo, digit, half]))).tolist() == [False, True, False]
    assert drawings(task(images(2, (3, 15, 40)))).all(), "an image that small has no room for waves"


def test_a_row_draws_its_own_window_whoever_is_beside_it() -> None:
    x = images(9)
    all_rows = waves(task(x, ids=np.arange(9)), 3, (1, 2), 0.2)
    some = waves(task(x[4:6], ids=np.array([4, 5])), 3, (1, 2), 0.2)
    assert torch.equal(all_rows[4:6], some)
    assert not torch.equal(all_rows, waves(task(x, ids=np.arange(9)), 4, (1, 2), 0.2)), "each step draws anew"


@pytest.mark.parametrize("least", [0, -0.1, 1.5])
def test_a_share_that_is_none_is_refused(least: float) -> None:
    with pytest.raises(ValueError, match=r"least.*\(0, 1\].*" + str(least)):
        Ripples(least=least)


@pytest.mark.parametrize("halves", [(), (0,), (1.5,)])
def test_lengths_that_are_none_are_refused(halves: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="halves to be whole numbers of at least 1"):
        Ripples(halves=halves)


@pytest.mark.parametrize("threat", [bb.Linf(0.05), bb.L2(1.0)], ids=str)
def test_a_target_that_sees_nothing_but_a_window_of_waves_falls_to_ripples(threat: bb.Threat) -> None:
    """<w, x> > 0 with w lines along the rows in the lower half and along the columns in the upper one: no wave over the whole
    image carries far enough, nor does a square of one colour, which sums to nothing or to one line of it."""
    h = w = 16
    lines = 1.0 - 2.0 * (torch.arange(16) % 2)
    board = torch.cat([lines.expand(8, w), lines[:8, None].expand(8, w)])
    weights = board.expand(3, h, w) / (3 * h * w)
    far = 0.57 * (0.05 if threat.norm == "Linf" else 1.0 / (3 * h * w) ** 0.5)

    def target(x: torch.Tensor) -> torch.Tensor:
        score = (x * weights).flatten(1).sum(1)
        return torch.stack([torch.full_like(score, far), score], 1)

    x, labels = images(6, (3, h, w)), torch.zeros(6, dtype=torch.long)

    def spent(attack: object) -> bb.AttackResult:
        return bb.attack(bb.Oracle(target, "scores", 2), x, labels, attack, threat, 400, seed=1)

    found = spent("ripples")
    assert bool(found.success.all()) and not bool(spent("square").success.any())
    parts = found.config["parts"]
    assert parts["waves"]["successes"] == 0 and parts["ripples"]["successes"] > 0
    blind = LinearPrior(torch.zeros(1, 2, 3, h, w), torch.tensor([[1.0, 0.0]]))
    same = spent(bb.attacks.build("hybrid", prior=blind))
    assert bool((same.queries == found.queries + 1).all()), "a prior of no use costs the start, and no draw comes out differently"


def test_a_chequerboard_is_the_first_query_on_photographs_and_none_on_drawings() -> None:
    asked: list[torch.Tensor] = []

    def target(x: torch.Tensor) -> torch.Tensor:
        asked.append(x.clone())
        return torch.tensor([[5.0, 0.0]]).expand(len(x), 2)

    y = torch.zeros(1, dtype=torch.long)
    bb.attack(bb.Oracle(target, "scores", 2), images(1), y, "ripples", bb.Linf(0.1), 12, seed=0)
    board = 1.0 - 2.0 * ((torch.arange(24)[:, None] + torch.arange(16)) % 2)
    assert torch.allclose(asked[1][0] - 0.5, 0.1 * board.expand(3, 24, 16))
    x = torch.zeros(1, 3, 24, 16)
    drawn = bb.attack(bb.Oracle(target, "scores", 2), x, y, "ripples", bb.Linf(0.1), 12, seed=0)
    assert drawn.config["parts"]["waves"]["queries"] == 0 and drawn.config["parts"]["stripes"]["queries"] == 1


def test_on_small_images_it_is_square_to_the_bit() -> None:
    threat = bb.Linf(0.1)
    weight = torch.linspace(-1, 1, 64).view(1, 8, 8)

    def target(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full((len(x),), 2.0), (x * weight).flatten(1).sum(1)], 1)

    x, y = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(8, dtype=torch.long)
    ours, square = (bb.attack(bb.Oracle(target, "scores", 2), x, y, name, threat, 60, seed=3) for name in ("ripples", "square"))
    assert torch.equal(ours.x_adv, square.x_adv) and torch.equal(ours.queries, square.queries)
