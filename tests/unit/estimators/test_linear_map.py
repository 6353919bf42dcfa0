"""LinearMap against the dense formulas of Bayesian linear regression, and what its answers speak for."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox.estimators.answers import gram_of, margins, tiled
from blackbox.estimators.linear_map import LinearMap
from blackbox.proposals.smooth import Smooth

SHAPE = (2, 3, 4)
D = 24


def problem(m: int, noise: float, seed: int = 0) -> tuple[Smooth, np.ndarray, np.ndarray, np.ndarray]:
    """A distribution, a gradient drawn from it, m changes by signs, and their answers."""
    rng, smooth = np.random.default_rng(seed), Smooth()
    true = smooth.draw(rng.standard_normal((1, *SHAPE)).astype(np.float32))
    moves = np.sign(rng.standard_normal((m, *SHAPE))).astype(np.float32)
    values = moves.reshape(m, -1) @ true.reshape(1, -1).T + noise * rng.standard_normal((m, 1))
    return smooth, true, moves, values.astype(np.float32)


def test_mean_is_that_of_the_dense_formula() -> None:
    """g = C D' (D C D' + K_offset + noise)^-1 F, with a direction of its own and a mean."""
    smooth, _, moves, values = problem(10, 0.1)
    rng = np.random.default_rng(1)
    known, mean = rng.standard_normal((1, *SHAPE)).astype(np.float32), rng.standard_normal((1, *SHAPE)).astype(np.float32)
    fit = LinearMap(moves, values, gram_of(moves, moves, smooth), smooth, 0.05, mean=mean, known=known, trust=0.7)
    c = smooth.times(np.eye(D, dtype=np.float32).reshape(D, *SHAPE)).reshape(D, D).astype(float)
    full, u = moves.reshape(10, D).astype(float), known.reshape(1, D)
    typical = np.trace(full @ c @ full.T) / 10
    c = c + 0.49 * u.T @ u
    k = full @ c @ full.T + 10 * typical + 0.05 * typical * np.eye(10)
    dense = mean.ravel() + c @ full.T @ np.linalg.solve(k, values[:, 0] - full @ mean.ravel())
    np.testing.assert_allclose(fit.gradient.ravel(), dense, rtol=2e-3, atol=2e-3)


def test_deviations_have_the_covariance_after_the_answers() -> None:
    smooth, _, moves, values = problem(6, 0.1)
    fit = LinearMap(moves, values, gram_of(moves, moves, smooth), smooth, 0.05)
    drawn = fit.deviations(0.3, np.random.default_rng(2), 4000).reshape(4000, D)
    c = smooth.times(np.eye(D, dtype=np.float32).reshape(D, *SHAPE)).reshape(D, D).astype(float)
    a = moves.reshape(6, D).astype(float)
    k = a @ c @ a.T + fit.typical * (10 + 0.05 * np.eye(6))
    after = (c - c @ a.T @ np.linalg.solve(k, a @ c)) * 0.3
    assert np.abs(drawn.mean(0)).max() < 0.1 * np.sqrt(np.diag(after).max())
    assert np.abs(np.cov(drawn.T) - after).max() < 0.15 * np.diag(after).max()


@pytest.mark.parametrize("noise", (0.05, 1.0))
def test_answers_speak_for_their_noise(noise: float) -> None:
    """Started from another share and fitted again, the share settles near the one that made the answers."""
    smooth, _, moves, values = problem(120, noise)
    gram, share = gram_of(moves, moves, smooth), 0.3
    for _ in range(12):
        fit = LinearMap(moves, values, gram, smooth, share)
        variance, share = fit.evidence(np.ones(1, np.float32))
    assert noise**2 / 2 < share * variance * fit.typical < noise**2 * 2


def test_equal_moves_are_no_error_without_noise() -> None:
    smooth, _, moves, values = problem(1, 0.0)
    moves, values = np.repeat(moves, 5, 0), np.repeat(values, 5, 0)
    assert np.isfinite(LinearMap(moves, values, gram_of(moves, moves, smooth), smooth, 0.0).gradient).all()


def test_smooth_is_a_covariance_and_draws_have_it() -> None:
    smooth = Smooth(1.0, 0.5)
    eye = np.eye(D, dtype=np.float32).reshape(D, *SHAPE)
    c, root = smooth.times(eye).reshape(D, D), smooth.draw(eye).reshape(D, D)
    np.testing.assert_allclose(root @ root.T, c, atol=1e-5)
    assert np.isclose(np.trace(c) / D, 1, atol=1e-5)
    assert c[0, 12] == pytest.approx(0.5 * c[0, 0], rel=1e-4)  # the same pixel of another channel


def test_tiles_are_averaged_and_margins_are_of_the_nearest() -> None:
    v = np.arange(10, dtype=np.float32).reshape(1, 2, 5)
    np.testing.assert_allclose(tiled(v, (1, 1, 2)), [[[(0 + 1 + 2 + 5 + 6 + 7) / 6, (3 + 4 + 8 + 9) / 4]]])
    shown = np.array([[5.0, 1, 2, 4], [5, 3, 2, 4.5], [np.nan, 9, 9, 9]], np.float32)
    np.testing.assert_allclose(margins(shown, 0, False, 2)[:2], [[-4, -1], [-2, -0.5]])
    np.testing.assert_allclose(margins(shown, 1, True, 1)[:2], [[-4], [-2]])
