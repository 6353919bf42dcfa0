"""BO and P-BO: what the process knows of a linear and of a quadratic margin, and what becomes of a prior that misleads."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox import attacks
from blackbox.estimators.gaussian_process import LENGTHS, MOST, Reduced, averages, fit
from blackbox.testing.priors import LinearPrior
from blackbox.testing.problems import affine_problem

RNG = np.random.default_rng(0)
Z = np.concatenate([np.zeros((1, 6)), RNG.choice([-1.0, 1.0], (30, 6))])
W = RNG.standard_normal(6)


def quadratic(z: np.ndarray) -> np.ndarray:
    """Its optimum is at 0.5 in all entries."""
    return 6 * 0.25 - ((z - 0.5) ** 2).sum(1)  # type: ignore[no-any-return]


def test_the_process_rises_along_a_linear_loss() -> None:
    made = fit(Z, Z @ W)
    assert made is not None
    slope = made.slope(np.zeros(6), 0.0)
    assert slope @ W > 0.98 * np.linalg.norm(slope) * np.linalg.norm(W)
    assert (np.sign(slope) == np.sign(W)).all()


def test_the_process_finds_the_optimum_of_a_quadratic_loss() -> None:
    z = np.concatenate([np.zeros((1, 6)), RNG.uniform(-1, 1, (60, 6))])
    made, at = fit(z, quadratic(z)), np.zeros(6)
    assert made is not None
    for _ in range(200):
        at = at + 0.05 * made.slope(at, 0.0)
    assert np.abs(at - 0.5).max() < 0.1


def test_the_slope_is_that_of_what_scikit_learn_predicts() -> None:
    made, at, h = fit(Z, quadratic(Z) + Z @ W), 0.3 * W, 1e-5
    assert made is not None

    def bound(z: np.ndarray) -> float:
        _, deviation = made.gp.predict(z[None], return_std=True)
        return float((made.gp.kernel_(z[None], Z) @ made.weights)[0] + 2 * made.scale * deviation[0, 0])

    numeric = [(bound(at + h * e) - bound(at - h * e)) / (2 * h) for e in np.eye(6)]
    assert np.allclose(made.slope(at, 2.0), numeric, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_coefficient_takes_the_priors_scale(unit: float) -> None:
    made = fit(Z, 3 * quadratic(Z), unit * quadratic(Z))
    assert made is not None and made.coefficient * unit == pytest.approx(3, rel=1e-3)
    assert np.abs(made.weights).max() < 1e-2 * np.abs(fit(Z, 3 * quadratic(Z)).weights).max()  # type: ignore[union-attr]
    given = fit(Z, 3 * quadratic(Z), quadratic(Z), coefficient=1.0)
    assert given is not None and given.coefficient == pytest.approx(1)


def test_a_misled_prior_gets_no_weight_and_one_that_knows_nothing_little() -> None:
    misled, ignorant = fit(Z, Z @ W, -Z @ W), fit(Z, Z @ W, 10 * RNG.standard_normal(len(Z)))
    assert misled is not None and misled.coefficient == 0
    assert ignorant is not None and ignorant.coefficient < 0.1 * MOST * np.std(Z @ W) / 10


@pytest.mark.parametrize("y", [[0.0], [0.0, 0.0, 0.0], [0.0, np.nan, 1.0], [0.0, np.inf, 1.0]])
def test_what_cannot_be_fitted_is_none(y: list[float]) -> None:
    assert fit(Z[: len(y)], np.array(y)) is None


def test_the_same_point_asked_twice_and_huge_answers_can_be_fitted() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scikit-learn would warn of what does not converge
        made = fit(np.repeat(Z[:4], 3, 0), np.array([0.0, 0, 0, 1e12, 1e12, 1e12, 5, 6, 5, -1e12, 3, 1]))
    assert made is not None and made.share in LENGTHS and np.isfinite(made.slope(Z[5], 3.0)).all()


def test_the_reduced_space() -> None:
    assert averages(5, 2).sum(1).tolist() == pytest.approx([1, 1]) and averages(5, 2)[0].tolist() == pytest.approx([0.4, 0.4, 0.2, 0, 0])
    space, x = Reduced((3, 8, 8), 4, 0.1), RNG.standard_normal((2, 3, 8, 8))
    g = RNG.standard_normal((2, 48))
    assert (space.of(x) * g).sum() == pytest.approx((space.back(g) * x).sum())  # each is the other's adjoint
    flat = torch.ones(2, 3, 8, 8)
    assert torch.allclose(space.smooth(flat), flat)


def run(name: str, share: float = 1.25, budget: int = 60, norm: str = "Linf", **settings: object) -> bb.AttackResult:
    known = affine_problem(norm, alike=True)
    threat = {"Linf": bb.Linf, "L2": bb.L2}[norm](share * float(known.optimum.max()))
    oracle = bb.Oracle(known.target, "scores", 3, returns="logits")
    return bb.attack(oracle, known.x, known.y, attacks.build(name, **settings), threat, budget)


def test_a_process_gets_to_the_corner_of_a_linear_target_sooner_than_squares() -> None:
    found, square = run("bo", 1.4), run("square", 1.4)
    assert found.success.all() and found.queries.sum() < square.queries.sum()


def test_a_misled_prior_costs_a_few_queries_where_its_coefficient_is_fitted() -> None:
    misled = LinearPrior.of_problem(sign=-1.0)
    fitted, fixed = (run("p-bo", 1.6, 40, prior=misled, steps=4, step_size=0.6, **more) for more in ({}, {"coefficient": 1.0}))
    assert fitted.success.all() and fitted.queries.sum() < fixed.queries.sum()


def test_answers_that_are_all_equal_are_told_once_a_sample() -> None:
    known = affine_problem("Linf")
    same = bb.Oracle(lambda x: torch.tensor([[2.0, 1.0, 0.0]]).repeat(len(x), 1), "scores", 3, returns="logits")
    with pytest.warns(RuntimeWarning, match="Expected answers that differ, .* for sample 7") as told:
        result = bb.attack(same, known.x[:2], torch.zeros(2, dtype=torch.long), "bo", bb.Linf(0.1), 12, ids=[7, 9])
    assert len([w for w in told if issubclass(w.category, RuntimeWarning)]) == 2 and result.queries.tolist() == [12, 12]


def test_what_is_kept_is_bounded_and_has_the_best() -> None:
    state = attacks.get("bo").State(
        torch.arange(5.0).view(1, 5, 1).expand(2, -1, -1), torch.tensor([[0.0, 9, 1, 2, 3], [0, 1, 9, 2, 3]]), torch.zeros(2, 5),
        torch.ones(2), torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool),
    )  # fmt: skip
    kept = attacks.build("bo", memory=4).bounded(state)
    assert kept.y.tolist() == [[0, 9, 2, 3], [0, 9, 2, 3]] and kept.z[:, :, 0].tolist() == [[0, 1, 3, 4], [0, 2, 3, 4]]


@pytest.mark.parametrize("name, wrong", [("bo", {"cells": 0}), ("bo", {"memory": 2}), ("p-bo", {"renew": 0}), ("p-bo", {"cells": 0})])
def test_settings_one_sentence(name: str, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="^Expected"):
        attacks.build(name, **wrong)
