"""Ripples: what a window of waves looks like, and that the hybrid finds it where nothing else would do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.candidates import Ripples, Squares
from blackbox.proposals.ripples import waves
from blackbox.testing.driver import task
from blackbox.testing.priors import LinearPrior


def images(n: int, shape: tuple[int, ...] = (3, 24, 16)) -> torch.Tensor:
    return torch.full((n, *shape), 0.5)


def test_a_window_alternates_along_rows_columns_or_both_and_all_of_them_come() -> None:
    x, kinds, sides, signs = images(300), set(), [], set()
    for row in waves(task(x), 0, 0.25)[:, 0]:
        at = row.nonzero()
        (top, left), (bottom, right) = at.amin(0).tolist(), at.amax(0).tolist()
        window = row[top : bottom + 1, left : right + 1]
        assert bool((window.abs() == 1).all()), "a window has holes"
        down = bool((window[1:] == -window[:-1]).all())
        across = bool((window[:, 1:] == -window[:, :-1]).all())
        assert down or bool((window[1:] == window[:-1]).all())
        assert across or bool((window[:, 1:] == window[:, :-1]).all())
        kinds.add((down, across))
        sides.append((len(window) / 24, window.shape[1] / 16))
        signs.add(float(row[top, left]) * (-1.0) ** (top * down + left * across))
    assert kinds == {(True, False), (False, True), (True, True)}
    assert signs == {1.0, -1.0}
    shares = np.array(sides)
    assert np.abs(shares[:, 0] - shares[:, 1]).max() <= 0.5 / 24 + 0.5 / 16, "a window is not shaped like the image"
    assert shares.min() == pytest.approx(0.25, abs=0.02) and shares.max() > 0.95
    assert np.median(shares) == pytest.approx(0.5, abs=0.06)  # log-uniform from a quarter to all


def test_a_row_draws_its_own_window_whoever_is_beside_it() -> None:
    x = images(9)
    all_rows = waves(task(x, ids=np.arange(9)), 3, 0.2)
    some = waves(task(x[4:6], ids=np.array([4, 5])), 3, 0.2)
    assert torch.equal(all_rows[4:6], some)
    assert not torch.equal(all_rows, waves(task(x, ids=np.arange(9)), 4, 0.2)), "each step draws anew"


@pytest.mark.parametrize("least", [0, -0.1, 1.5])
def test_a_share_that_is_none_is_refused(least: float) -> None:
    with pytest.raises(ValueError, match=r"least.*\(0, 1\].*" + str(least)):
        Ripples(least=least)


@pytest.mark.parametrize("threat", [bb.Linf(0.05), bb.L2(1.0)], ids=str)
def test_a_target_that_sees_nothing_but_a_chequerboard_falls_to_ripples_alone(threat: bb.Threat) -> None:
    """<w, x> > 0 with w a grey chequerboard: a square of one colour sums to nothing or to one pixel of it, so flat squares
    cannot carry far, and the prior, blind, neither."""
    h = w = 16
    board = 1.0 - 2.0 * ((torch.arange(h)[:, None] + torch.arange(w)) % 2)
    weights = board.expand(3, h, w) / (3 * h * w)
    far = 0.6 * (0.05 if threat.norm == "Linf" else 1.0 / (3 * h * w) ** 0.5)

    def target(x: torch.Tensor) -> torch.Tensor:
        score = (x * weights).flatten(1).sum(1)
        return torch.stack([torch.full_like(score, far), score], 1)

    x = images(6, (3, h, w))
    blind = LinearPrior(torch.zeros(1, 2, 3, h, w), torch.tensor([[1.0, 0.0]]))
    labels = torch.zeros(6, dtype=torch.long)

    def spent(*makers: object) -> bb.AttackResult:
        attack = bb.attacks.build("hybrid", prior=blind, makers=makers)
        return bb.attack(bb.Oracle(target, "scores", 2), x, labels, attack, threat, 150, seed=1)

    assert bool(spent(Ripples(), Squares()).success.all())
    assert not bool(spent(Squares()).success.any())
