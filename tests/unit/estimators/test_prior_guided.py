"""P-RGF: the share is the paper's optimum, the bill is kept, and a prior helps as much as it is good."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.attacks import FDIFGSM
from blackbox.estimators import Gaussian, PriorGuided
from blackbox.estimators.prior import share
from blackbox.testing.driver import drive, task
from blackbox.testing.problems import affine_problem

SHAPE = (3, 8, 8)
D = 192


def weight() -> Tensor:
    return torch.tensor(np.random.default_rng(0).standard_normal(SHAPE), dtype=torch.float32)


def loss(x: Tensor) -> Tensor:
    return (x.double() * weight()).flatten(1).sum(1).float()


def images(n: int = 3) -> Tensor:
    return torch.tensor(np.random.default_rng(1).uniform(0.3, 0.7, (n, *SHAPE)), dtype=torch.float32)


def guess(cosine: float, seed: int = 2) -> Any:
    """A prior with this cosine to the gradient, of length 5."""
    w = weight() / weight().norm()
    other = torch.tensor(np.random.default_rng(seed).standard_normal(SHAPE), dtype=torch.float32)
    other = other - (other * w).sum() * w
    v = 5 * (cosine * w + (1 - cosine**2) ** 0.5 * other / other.norm())
    return lambda t, x, k: v.expand_as(x)


def cosines(estimator: Any, draws: int = 60) -> Tensor:
    x = images(1)
    t = task(x)
    g = torch.stack([drive(estimator.estimate(t, x, k, loss(x)), t, loss)[0][0] for k in range(draws)])
    return (g * weight()).flatten(1).sum(1) / g.flatten(1).norm(dim=1) / weight().norm()


@pytest.mark.parametrize(("d", "q"), [(50, 5), (192, 20), (3072, 50)])
def test_share_maximises_what_the_paper_maximises(d: int, q: int) -> None:
    """Theorem 1: the least error is |g|^2 (1 - (g'Cg)^2 / E|ghat|^2 ...); here by its moments, over a fine grid.

    With u = sqrt(l) v + sqrt(1-l) w, w uniform on the unit sphere beside v: g'Cg = l a + (1-l) (1-a) / (d-1) and, since
    |u| = 1, the mean squared length of the average is (g'Cg + (q-1) g'CCg) / q.
    """
    grid = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    for a in (1e-4, 0.5 / d, 2 / d, 5 / d, 0.05, 0.2, 0.6, 0.95):
        beside = (1 - grid) / (d - 1)
        once, twice = grid * a + beside * (1 - a), grid**2 * a + beside**2 * (1 - a)
        quality = once**2 / ((once + (q - 1) * twice) / q)
        best = float(grid[quality.argmax()])
        assert float(share(torch.tensor([a], dtype=torch.float64), d, q)) == pytest.approx(best, abs=2e-3), a


def test_share_at_the_ends() -> None:
    assert share(torch.tensor([0.0, 1.0, float("inf")]), 100, 10).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("known", [True, False])
def test_the_plan_is_kept(known: bool) -> None:
    x = images()
    t = task(x)
    estimator = PriorGuided(guess(0.0), samples=20, looks=4)
    assert estimator.plan(SHAPE, not known) == 25 + (not known)
    g, asked = drive(estimator.estimate(t, x, 0, loss(x) if known else None), t, loss)
    assert asked.tolist() == [25 + (not known)] * 3
    for most in (0, 1, 2, 5, 6, 7, 24):
        g, asked = drive(estimator.estimate(t, x, 0, loss(x) if known else None, most), t, loss)
        assert asked.tolist() == [estimator.plan(SHAPE, not known, 0, most)] * 3
        assert int(asked.max()) <= most
        assert bool(torch.isfinite(g).all())


def test_a_perfect_prior_costs_only_the_looks() -> None:
    x = images()
    t = task(x)
    for sign in (1, -1):
        estimator = PriorGuided(lambda t, x, k, sign=sign: sign * weight().expand_as(x), samples=20, looks=4)
        g, asked = drive(estimator.estimate(t, x, 0, loss(x)), t, loss)
        assert asked.tolist() == [5, 5, 5]
        assert float((g[0] * weight()).sum() / g[0].norm() / weight().norm()) > 0.999


def test_a_prior_helps_as_much_as_it_is_good() -> None:
    plain = float(cosines(Gaussian(0.001, 31, two_sided=False)).mean())
    found = {c: float(cosines(PriorGuided(guess(c), samples=20, looks=10)).mean()) for c in (0.0, 0.6, 0.8)}
    assert found[0.0] > 0.7 * plain, "a useless prior costs the looks, not more"
    assert found[0.6] > max(0.58, plain + 0.15)
    assert found[0.8] > 0.79


def test_no_prior_is_no_harm() -> None:
    none = PriorGuided(lambda t, x, k: torch.zeros_like(x), samples=60)
    assert float(cosines(none, 20).mean()) > 0.35  # sqrt(60 / (60 + 192)) = 0.49 for plain RGF


def test_length_is_the_gradients() -> None:
    x = images(1)
    t = task(x)
    estimator = PriorGuided(guess(0.3), samples=10, looks=20)
    lengths = [float(drive(estimator.estimate(t, x, k, loss(x)), t, loss)[0].norm()) for k in range(60)]
    assert np.mean(np.square(lengths)) == pytest.approx(float(weight().norm()) ** 2, rel=0.2)


def test_rows_keep_apart_and_unpaid_answers_stay_out() -> None:
    def own(t: Any, x: Tensor, k: int) -> Tensor:
        return x - 0.5

    x = images(5)
    t = task(x, ids=np.array([3, 1, 4, 15, 9]))
    estimator = PriorGuided(own, samples=12, looks=3, block=5)
    whole, _ = drive(estimator.estimate(t, x, 2, loss(x)), t, loss)
    for part in ([0], [4, 2]):
        alone_task = task(x[part], ids=t.ids[part])
        alone, _ = drive(estimator.estimate(alone_task, x[part], 2, loss(x[part])), alone_task, loss)
        assert torch.equal(alone, whole[part])
    for until in (0, 1, 3, 10):
        g, _ = drive(estimator.estimate(t, x, 0, loss(x)), t, loss, until=until)
        assert bool(torch.isfinite(g).all())


def test_an_attack_takes_it() -> None:
    """FD-IFGSM runs on it inside the engine, whose budget holds, with a prior that is right for some images only."""
    problem = affine_problem("Linf", (3, 8, 8), 4)
    w = problem.target.weight

    def prior(t: Any, x: Tensor, k: int) -> Tensor:
        return (w[1] - w[0]).expand_as(x)

    attack = FDIFGSM(estimator=PriorGuided(prior, samples=20), steps=None)
    result = bb.attack(bb.Oracle(problem.target, "logits", 3), problem.x, problem.y, attack, bb.Linf(0.05), 400)
    assert bool(result.success.all())
    assert bool((result.queries <= 400).all())


def test_settings() -> None:
    with pytest.raises(ValueError, match="samples and looks of at least 1"):
        PriorGuided(guess(0.1), samples=0)
