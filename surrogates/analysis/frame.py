"""The directions that a target is probed along at one image: the surrogates' gradients, and random ones beside them."""

from __future__ import annotations

import math

import numpy as np

_SHARE = (
    0.05  # gradients so nearly dependent that this is all the others leave of one (a singular value) are not told apart
)


class Frame:
    """Made of K gradients ``pull`` [K, d] and m random vectors ``drawn`` [m, d].

    unit [K, d]: the gradients with length 1 (0 where there is none: there [K] says which). basis [r, d]: orthonormal, spans
    them. random [m, d]: orthonormal, at right angles to the basis, else in any direction alike.
    """

    def __init__(self, pull: np.ndarray, drawn: np.ndarray) -> None:
        length = np.linalg.norm(pull, axis=1, keepdims=True)
        self.there = length[:, 0] > 0
        self.unit = pull / np.where(length > 0, length, 1)
        left, values, basis = np.linalg.svd(self.unit, full_matrices=False)
        own = values > _SHARE
        self.basis, self.to_basis = basis[own], left[:, own] / values[own]
        free = drawn - (drawn @ self.basis.T) @ self.basis
        free = free - (free @ self.basis.T) @ self.basis  # again, for what rounding left
        self.random = np.linalg.qr(free.T)[0].T

    def size(self, slopes: np.ndarray, d: int) -> float:
        """Estimated length of a gradient, from its slopes along unit and random [K + m]; exact where they span all d."""
        k = len(self.unit)
        among = slopes[:k] @ self.to_basis
        return math.sqrt(float(among @ among) + (d - len(self.basis)) * float(np.mean(slopes[k:] ** 2)))
