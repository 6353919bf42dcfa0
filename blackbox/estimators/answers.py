"""Answers: all that was asked of an image and what was told, for `LinearMap`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blackbox.proposals.smooth import Smooth
from blackbox.protocol import Task

__all__ = ["Answers", "gram_of", "margins", "tiled", "tiling"]

SIDE = 32  # larger images are searched in so many tiles a side


@dataclass
class Answers:
    """The last answers of n images, in the order they came.

    moves: [n, m, channels, down, across] float16, the change of each tile on average, in units of the radius. values: [n, m, C]
    what the target showed. gram: [n, m, m] the answers' covariances.
    """

    moves: Tensor
    values: Tensor
    gram: Tensor

    @classmethod
    def none(cls, t: Task) -> Answers:
        moves = t.x0.new_zeros(t.n, 0, *tiling(t), dtype=torch.float16)
        return cls(moves, t.x0.new_zeros(t.n, 0, 0), t.x0.new_zeros(t.n, 0, 0))

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Moves (float32), values and covariances of one image."""
        return self.moves[i].float().numpy(force=True), self.values[i].numpy(force=True), self.gram[i].numpy(force=True)

    def learned(self, t: Task, x: Tensor, shown: Tensor, smooth: Smooth, window: int) -> Answers:
        """These and the answers ``shown`` [n, q, C] at ``x`` [n, q, \\*shape]; of all the last ``window``."""
        far = (x - t.x0[:, None]).view(t.n, -1, *t.grid).numpy(force=True) / np.float32(t.radius)
        new = tiled(far, tiling(t)).astype(np.float16)
        old = max(self.moves.shape[1] + new.shape[1] - window, 0)
        moves, device = torch.cat([self.moves[:, old:], torch.from_numpy(new).to(t.x0.device)], 1), t.x0.device
        m, q = moves.shape[1], new.shape[1]
        gram = np.empty((t.n, m, m), np.float32)
        gram[:, : m - q, : m - q] = self.gram[:, old:, old:].numpy(force=True)
        for i in range(t.n):
            rows = gram_of(moves[i].float().numpy(force=True), new[i].astype(np.float32), smooth)
            gram[i, m - q :], gram[i, :, m - q :] = rows, rows.T
        values = torch.cat([self.values[:, old:].view(t.n, m - q, shown.shape[2]), shown], 1)
        return Answers(moves, values, torch.from_numpy(gram).to(device))


def gram_of(moves: np.ndarray, new: np.ndarray, smooth: Smooth) -> np.ndarray:
    """[q, m]: the answers' covariances, of ``new`` [q, channels, height, width] with ``moves`` [m, ...]."""
    return np.asarray(smooth.times(new).reshape(len(new), -1) @ moves.reshape(len(moves), -1).T)


def tiling(t: Task) -> tuple[int, int, int]:
    """Channels, and the tiles down and across: pixels, but for large images."""
    c, h, w = t.grid
    return c, min(h, SIDE), min(w, SIDE)


def tiled(v: np.ndarray, tiles: tuple[int, int, int]) -> np.ndarray:
    """[..., channels, height, width] -> the mean of each tile, as `blackbox.proposals.tiles` lays them."""
    for axis, count in ((-2, tiles[1]), (-1, tiles[2])):
        if (length := v.shape[axis]) != count:
            first = -(-np.arange(count) * length // count)  # the first pixel of each tile
            width = np.diff(np.append(first, length)).astype(np.float32)
            v = np.add.reduceat(v, first, axis) / (width[:, None] if axis == -2 else width)
    return v


def margins(shown: np.ndarray, goal: int, targeted: bool, most: int) -> np.ndarray:
    """[m, C] what is to rise: the scores of the other classes above that of ``goal``, or of it above theirs; of the ``most`` classes
    that came nearest at any point."""
    over = shown - shown[:, goal : goal + 1]
    over = np.delete(-over if targeted else over, goal, 1)
    told = over[np.isfinite(over).all(1)]
    if not len(told):
        return over[:, :most]
    near = told.min(0) if targeted else -told.max(0)
    return over[:, np.sort(np.argsort(near, kind="stable")[:most])]
