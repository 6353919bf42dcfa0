"""LinearMap: what answers tell of a target that is nearly linear around an image, by Bayesian linear regression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from blackbox.proposals.smooth import Smooth

__all__ = ["LinearMap"]

_OFFSET = 10.0  # variance of an output at the clean image, in units of that of a typical answer


@dataclass(frozen=True)
class LinearMap:
    """C outputs of one image as linear functions of its change, learned from m answers: a Gaussian process with a linear kernel.

    ``values = offset + moves . gradient + noise``; before the answers a gradient is distributed as ``smooth`` says around ``mean``,
    plus any share of each of the ``known`` directions. What is exact for a linear target costs one m x m factorisation
    (Rasmussen & Williams 2006, sections 2.1 and 2.2); nothing of size d x d is made.

    Args:
        moves: [m, channels, height, width] float32, changes that were asked. values: [m, C] their answers.
        gram: [m, m] ``moves . covariance . moves``, see `blackbox.estimators.answers.gram_of`. smooth: the distribution before the answers.
        noise: variance of an answer around the linear function, as a share of a typical answer's.
        mean: [C, channels, height, width], in the outputs' units, or None for 0.
        known: [r, channels, height, width] directions of length ``d ** 0.5`` such as gradients of surrogates, each with the
            variance ``trust ** 2``.
    """

    moves: np.ndarray
    values: np.ndarray
    gram: np.ndarray
    smooth: Smooth
    noise: float
    mean: np.ndarray | None = None
    known: np.ndarray | None = None
    trust: float = 1.0

    @cached_property
    def _flat(self) -> np.ndarray:
        return self.moves.reshape(len(self.moves), -1)

    @cached_property
    def typical(self) -> float:
        """The variance of an answer before it came, in units of the gradient's."""
        return max(float(np.trace(self.gram)) / len(self.gram), 1e-30)

    @cached_property
    def _along(self) -> np.ndarray | None:
        return None if self.known is None else self._flat @ self.known.reshape(len(self.known), -1).T * np.float32(self.trust)

    @cached_property
    def _lower(self) -> np.ndarray:
        """The Cholesky factor of the answers' covariance."""
        full = self.gram.astype(np.float64) + _OFFSET * self.typical
        if self._along is not None:
            full += self._along @ self._along.T
        noise = self.noise
        while True:
            try:
                lower = np.linalg.cholesky(full + noise * self.typical * np.eye(len(full)))
                return np.asarray(lower, np.float32)
            except np.linalg.LinAlgError:
                noise = 10 * max(noise, 1e-6)

    def _solve(self, right: np.ndarray) -> np.ndarray:
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve((self._lower, True), right.astype(np.float32), check_finite=False), np.float32)

    @cached_property
    def _surprise(self) -> np.ndarray:
        return self.values if self.mean is None else self.values - self._flat @ self.mean.reshape(len(self.mean), -1).T

    @cached_property
    def _weight(self) -> np.ndarray:
        return self._solve(self._surprise)

    def _image(self, weight: np.ndarray) -> np.ndarray:
        """[k, \\*shape] the covariance of gradients and answers, times weights [m, k]."""
        shape = self.moves.shape[1:]
        out = self.smooth.times((weight.T @ self._flat).reshape(-1, *shape))
        if self._along is not None and self.known is not None:
            share = weight.T @ self._along * np.float32(self.trust)
            out += (share @ self.known.reshape(len(self.known), -1)).reshape(-1, *shape)
        return out

    @cached_property
    def gradient(self) -> np.ndarray:
        """[C, channels, height, width] the gradients' means after the answers."""
        return self._image(self._weight) + (0 if self.mean is None else self.mean)

    @cached_property
    def offset(self) -> np.ndarray:
        """[C] the outputs at the clean image."""
        return np.float32(_OFFSET * self.typical) * self._weight.sum(0)

    def evidence(self, mix: np.ndarray) -> tuple[float, float]:
        """The variance of the mixed outputs' gradient, and the noise that they speak for (MacKay 1992, "Bayesian interpolation"):
        both are read off the answers, by how many of them the linear function uses up."""
        from scipy.linalg.lapack import strtri

        m, noise = len(self.moves), self.noise * self.typical
        inverse, _ = strtri(self._lower, lower=1)
        used = min(max(m - noise * float((np.tril(inverse) ** 2).sum()), 1e-3), m - 1e-3)
        weight, values = self._weight @ mix, self._surprise @ mix
        left = noise * weight  # what the function does not explain
        variance = max(float(weight @ (values - left)) / used, 1e-30)
        return variance, float(left @ left) / (m - used) / (variance * self.typical)

    def deviations(self, variance: float, random: np.random.Generator, count: int) -> np.ndarray:
        """[count, channels, height, width]: draws from the distribution after the answers, less its mean, of a gradient whose
        entries had this variance before them (Matheron's rule)."""
        m, shape = len(self.moves), self.moves.shape[1:]
        drawn = self.smooth.draw(random.standard_normal((count, *shape), dtype=np.float32))
        if self.known is not None:
            share = random.standard_normal((count, len(self.known)), dtype=np.float32) * np.float32(self.trust)
            drawn += (share @ self.known.reshape(len(self.known), -1)).reshape(drawn.shape)
        answers = drawn.reshape(count, -1) @ self._flat.T
        answers += random.standard_normal((count, m), dtype=np.float32) * np.float32(np.sqrt(self.noise * self.typical))
        answers += random.standard_normal((count, 1), dtype=np.float32) * np.float32(np.sqrt(_OFFSET * self.typical))
        return (drawn - self._image(self._solve(answers.T))) * np.float32(variance**0.5)

