"""Smooth: what is known of a gradient before the first query: its power falls with the frequency, and its colours agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from blackbox.proposals.bases import cosines

__all__ = ["Smooth"]

_SIDE = 32  # frequencies are counted in waves over so many pixels' width, whatever an image's


@dataclass(frozen=True)
class Smooth:
    """A normal distribution of images in which a cosine's variance is ``1 / (1 + frequency) ** fall``, with correlated channels.

    Arrays are [m, channels, height, width] float32; every result is of one image at a time, in an order that its shape fixes.

    Args:
        fall: 0 is white noise; 1.5 was found by hand (`experiments.studies.robust --study settings` repeats it). colour: correlation of
            two channels.
    """

    fall: float = 1.5
    colour: float = 0.65

    def __post_init__(self) -> None:
        if not self.fall >= 0 or not 0 <= self.colour < 1:
            raise ValueError(f"Expected fall of at least 0 and colour in [0, 1), but they were {self.fall} and {self.colour}.")

    def times(self, v: np.ndarray) -> np.ndarray:
        """The covariance times each image. The variance of an entry is 1 on average."""
        return self._filter(v, 1.0)

    def draw(self, normal: np.ndarray) -> np.ndarray:
        """Images of this distribution from standard normal ones."""
        return self._filter(normal, 0.5)

    def _filter(self, v: np.ndarray, power: float) -> np.ndarray:
        c, h, w = v.shape[1:]
        down, across = cosines(h).numpy(), cosines(w).numpy()
        out = (down @ v @ across.T) * _power(h, w, self.fall) ** np.float32(power)
        if c > 1:
            mixed = (_mixing(c, self.colour, power) @ out.reshape(len(v), c, h * w)).reshape(v.shape)
            out = mixed
        return np.asarray(down.T @ out @ across, np.float32)


@lru_cache(maxsize=32)
def _power(h: int, w: int, fall: float) -> np.ndarray:
    i, j = np.meshgrid(np.arange(h) * _SIDE / h, np.arange(w) * _SIDE / w, indexing="ij")
    out = 1 / (1 + np.hypot(i, j)) ** fall
    return (out / out.mean()).astype(np.float32)


@lru_cache(maxsize=32)
def _mixing(channels: int, colour: float, power: float) -> np.ndarray:
    """The channels' correlations, or their symmetric root."""
    value, vector = np.linalg.eigh(np.full((channels, channels), colour) + (1 - colour) * np.eye(channels))
    return ((vector * value**power) @ vector.T).astype(np.float32)
