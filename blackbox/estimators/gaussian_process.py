"""What a Gaussian process tells of the loss around one image: where it is high, and where nothing is known yet.

The process is scikit-learn's, over a reduced space: a change as averages over tiles. Nothing is optimised by iteration, so there
is nothing that might not converge: the kernel's length is the likeliest of a few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import Task

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the kernel, in units of the square root of the dimension
NOISE = 1e-3  # variance of an answer about the process, which is 1
MOST = 2.0  # bound of the prior's coefficient, where the loss's rises and those foretold are scaled to the same size


@lru_cache(maxsize=64)
def averages(length: int, cells: int) -> np.ndarray:
    """[cells, length] float64: each row averages an interval of ``length`` entries; all intervals are equally long."""
    edge, at = np.arange(cells + 1) * length / cells, np.arange(length)
    inside = np.minimum(at + 1, edge[1:, None]) - np.maximum(at, edge[:-1, None])
    made: np.ndarray = inside.clip(0) / (length / cells)
    made.setflags(write=False)
    return made


@dataclass(frozen=True)
class Reduced:
    """The reduced space: a change as its averages over ``cells`` x ``cells`` tiles of each channel, in units of ``unit``.

    Images of fewer pixels have a tile for each. Other shapes than [channels, height, width] are taken as
    `blackbox.protocol.grid` says.
    """

    grid: tuple[int, int, int]
    cells: int
    unit: float

    @classmethod
    def of_task(cls, t: Task, cells: int) -> Reduced:
        """In units of what an entry may change in Linf, or, in L2, when all change by the same."""
        return cls(t.grid, cells, t.radius if t.threat.norm == "Linf" else t.radius / math.sqrt(t.d))

    @property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        _, h, w = self.grid
        return averages(h, min(self.cells, h)), averages(w, min(self.cells, w))

    @property
    def small(self) -> tuple[int, int, int]:
        """Channels, rows and columns of tiles."""
        down, across = self.sides
        return self.grid[0], len(down), len(across)

    def of(self, change: np.ndarray) -> np.ndarray:
        """[n, \\*shape] -> [n, dimension], a row at a time."""
        down, across = self.sides
        tiles = down @ change.reshape(-1, *self.grid).astype(np.float64) @ across.T
        return tiles.reshape(len(change), -1) / self.unit  # type: ignore[no-any-return]

    def back(self, g: np.ndarray) -> np.ndarray:
        """Gradients [n, dimension] in the reduced space as gradients in the image, [n, c, h, w]."""
        down, across = self.sides
        return (down.T @ g.reshape(-1, *self.small) @ across) / self.unit  # type: ignore[no-any-return]

    def smooth(self, g: Tensor) -> Tensor:
        """``g`` [n, \\*shape] with each entry replaced by its tile's average."""
        down, across = self.sides
        area = (self.grid[1] / len(down)) * (self.grid[2] / len(across))
        return torch.from_numpy(self.back(self.of(g.numpy(force=True))) * area * self.unit**2).to(g).view_as(g)


class Process(NamedTuple):
    """The rise of the loss over the clean image is ``coefficient`` times the rise that a prior foretells, and a process.

    gp: scikit-learn's, fitted. weights: [m] of the observations in the process's mean. scale: standard deviation of the process.
    share: the kernel's length, in units of the square root of the dimension.
    """

    gp: Any
    weights: np.ndarray
    scale: float
    coefficient: float
    share: float

    def slope(self, z: np.ndarray, beta: float) -> np.ndarray:
        """[dimension]: at ``z``, the gradient of the process's mean and ``beta`` standard deviations (the upper confidence
        bound; Srinivas et al. 2010, arXiv:0912.3995)."""
        from scipy.linalg import cho_solve

        seen = self.gp.X_train_
        near = self.gp.kernel_(z[None], seen)[0]
        solved = cho_solve((self.gp.L_, True), near, check_finite=False)
        deviation = math.sqrt(max(1.0 - float(near @ solved), 1e-6))
        w = near * (self.weights - beta * self.scale / deviation * solved)
        return (w @ seen - w.sum() * z) / (self.share**2 * len(z))  # type: ignore[no-any-return]


def fit(
    z: np.ndarray, y: np.ndarray, foretold: np.ndarray | None = None, coefficient: float | None = None, shares: Sequence[float] = LENGTHS
) -> Process | None:
    """Fit a process to the rises ``y`` [m] of the loss at ``z`` [m, dimension].

    foretold: [m] the prior's rises g. Their coefficient is the one that leaves the process least to explain, the smallest norm
    in its space: (g' K^-1 y) / (g' K^-1 g), but between 0 and `MOST`, whatever the units of g (Cheng et al. 2024,
    arXiv:2405.19098, adaptive integration). coefficient: a given one instead. shares: lengths, of which the likeliest is taken.

    Returns:
        None where there is nothing to fit: fewer than two answers, answers that are not finite or all equal, or a kernel's matrix
        that cannot be decomposed.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    if len(y) < 2 or not np.isfinite(y).all() or float(np.ptp(y)) <= 1e-9 * max(1.0, float(np.abs(y).max())):
        return None
    g = np.zeros_like(y) if foretold is None or not np.isfinite(foretold).all() else foretold
    told = bool(g.any())
    size, span = _size(y), _size(g) if told else 1.0
    best, found = -math.inf, None
    for share in shares:
        gp = GaussianProcessRegressor(RBF(share * math.sqrt(z.shape[1])), alpha=NOISE, optimizer=None, copy_X_train=False)
        try:
            gp.fit(z, np.stack([y / size, g / span], 1))
        except np.linalg.LinAlgError:
            continue
        own, prior = gp.alpha_.T
        part = 0.0 if not told else float(np.clip((g / span) @ own / max((g / span) @ prior, 1e-12), 0, MOST))
        if coefficient is not None and told:
            part = coefficient * span / size
        weights = own - part * prior
        variance = (1 + float((y / size - part * g / span) @ weights)) / (1 + len(y))  # as if one more had been of size 1
        likely = -0.5 * len(y) * math.log(variance) - float(np.log(np.diag(gp.L_)).sum())
        if likely > best:
            best, found = likely, Process(gp, size * weights, size * math.sqrt(variance), part * size / span, share)
    return found


def _size(v: np.ndarray) -> float:
    """The root of the mean square, for numbers of any size."""
    most = float(np.abs(v).max())
    return most * float(np.sqrt(np.mean((v / most) ** 2)))
