"""Where random directions come from: white noise, low frequencies, enlarged noise, the span of a basis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from blackbox.proposals.bases import Basis, cosines, tensor
from blackbox.protocol import grid
from blackbox.rng import Stream


class Noise(Protocol):
    """Where random directions come from. A frozen dataclass of settings."""

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        """``count`` directions [count, \\*shape], shared by the rows, a function of (seed, k, tag); any length."""

    def dimensions(self, shape: tuple[int, ...]) -> int:
        """How many directions can be independent of each other."""


@dataclass(frozen=True)
class White:
    """Independent normal entries."""

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        return rng.shared_normal(k, tag, (count, *shape))

    def dimensions(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape)


@dataclass(frozen=True)
class LowFrequencies:
    """Normal coefficients of the cosines below ``share`` of each side; shapes other than [channels, height, width]
    are taken as `blackbox.protocol.grid` says."""

    share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"Expected share, of the frequencies, in (0, 1], but it was {self.share}.")

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        (_, h, w), (c, high, wide) = grid(shape), self._kept(shape)
        z = rng.shared_normal(k, tag, (count, c, high, wide))
        return (cosines(h)[:high].to(z).T @ z @ cosines(w)[:wide].to(z)).view(count, *shape)

    def dimensions(self, shape: tuple[int, ...]) -> int:
        return math.prod(self._kept(shape))

    def _kept(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        c, h, w = grid(shape)
        return c, max(1, round(self.share * h)), max(1, round(self.share * w))


@dataclass(frozen=True)
class Resized:
    """Normal pixels of an image ``factor`` times smaller, enlarged bilinearly; shapes as in `LowFrequencies`."""

    factor: float = 4.0

    def __post_init__(self) -> None:
        if not self.factor >= 1:
            raise ValueError(f"Expected factor, of the enlargement, to be at least 1, but it was {self.factor}.")

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        _, h, w = grid(shape)
        z = rng.shared_normal(k, tag, (count, *self._small(shape)))
        large = torch.nn.functional.interpolate(z, size=(h, w), mode="bilinear", align_corners=False)
        return large.view(count, *shape)

    def dimensions(self, shape: tuple[int, ...]) -> int:
        return math.prod(self._small(shape))

    def _small(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        c, h, w = grid(shape)
        return c, max(1, round(h / self.factor)), max(1, round(w / self.factor))


@dataclass(frozen=True)
class Span:
    """Normal coefficients of a basis: principal components of the attacker's own images, say."""

    basis: Basis

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        u = tensor(self.basis, shape).to(rng.device).flatten(1)
        return (rng.shared_normal(k, tag, (count, len(u))) @ u).view(count, *shape)

    def dimensions(self, shape: tuple[int, ...]) -> int:
        return len(tensor(self.basis, shape))


def named(noise: str | Noise | Basis, share: float = 0.25) -> Noise:
    """Noise behind a word: ``white``, ``dct`` and ``resize`` with a ``share`` of each side; a basis becomes its `Span`.

    Raises:
        ValueError: no such word.
    """
    if not isinstance(noise, str):
        if not hasattr(noise, "draw"):
            return Span(noise)  # type: ignore[arg-type]
        if not hasattr(noise, "dimensions"):
            raise ValueError(
                f"Expected noise to have draw and dimensions, as blackbox.proposals.noise.Noise says, but {noise!r} has no "
                "dimensions: add a method that tells how many of its directions can be independent of each other."
            )
        return noise  # type: ignore[return-value]
    if noise == "white":
        return White()
    if noise == "dct":
        return LowFrequencies(share)
    if noise == "resize":
        return Resized(1 / share)
    raise ValueError(f"Expected noise to be white, dct, resize or a basis of blackbox.bases, but it was {noise!r}.")


def check_shape(noise: Noise, shape: tuple[int, ...]) -> None:
    """Refuse images of a shape that the noise cannot be drawn for. Raises: ValueError, directions given for another shape."""
    if isinstance(noise, Span):
        noise.basis.count(shape)
