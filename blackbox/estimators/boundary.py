"""The boundary's normal from labels: which side of it random points around a boundary point fall on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from blackbox.estimators.probes import blocks
from blackbox.proposals import bases
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import rows, unit

if TYPE_CHECKING:
    from blackbox.rng import Stream

BLOCK = 64  # directions in memory at a time
# of directions at right angles to each other: how many, and their entries in all (of long ones no more than `BLOCK`)
SQUARE, ENTRIES = 512, 2**22
ROUGH = 1e-5  # smallest root-mean-square change of an entry by a probe: ten times what float32 networks round away


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
    """Normal coefficients of the cosines below ``share`` of each side of an image [channels, height, width]; a row of
    features is taken for one line of pixels."""

    share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"Expected share, of the frequencies, in (0, 1], but it was {self.share}.")

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        (_, h, w), (c, high, wide) = _plane(shape, "low frequencies"), self._kept(shape)
        z = rng.shared_normal(k, tag, (count, c, high, wide))
        return (bases.cosines(h)[:high].to(z).T @ z @ bases.cosines(w)[:wide].to(z)).view(count, *shape)

    def dimensions(self, shape: tuple[int, ...]) -> int:
        return math.prod(self._kept(shape))

    def _kept(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        c, h, w = _plane(shape, "low frequencies")
        return c, max(1, round(self.share * h)), max(1, round(self.share * w))


@dataclass(frozen=True)
class Resized:
    """Normal pixels of an image ``factor`` times smaller, enlarged bilinearly; features as in `LowFrequencies`."""

    factor: float = 4.0

    def __post_init__(self) -> None:
        if not self.factor >= 1:
            raise ValueError(f"Expected factor, of the enlargement, to be at least 1, but it was {self.factor}.")

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        _, h, w = _plane(shape, "resized noise")
        z = rng.shared_normal(k, tag, (count, *self._small(shape)))
        large = torch.nn.functional.interpolate(z, size=(h, w), mode="bilinear", align_corners=False)
        return large.view(count, *shape)

    def dimensions(self, shape: tuple[int, ...]) -> int:
        return math.prod(self._small(shape))

    def _small(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        c, h, w = _plane(shape, "resized noise")
        return c, max(1, round(h / self.factor)), max(1, round(w / self.factor))


@dataclass(frozen=True)
class Span:
    """Normal coefficients of a basis: principal components of the attacker's own images, say."""

    basis: bases.Basis

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        u = bases.tensor(self.basis, shape).to(rng.device).flatten(1)
        return (rng.shared_normal(k, tag, (count, len(u))) @ u).view(count, *shape)

    def dimensions(self, shape: tuple[int, ...]) -> int:
        return len(bases.tensor(self.basis, shape))


def named(noise: str | Noise | bases.Basis, share: float = 0.25) -> Noise:
    """Noise behind a word: ``white``, ``dct`` and ``resize`` with a ``share`` of each side; a basis becomes its `Span`.

    Raises:
        ValueError: no such word.
    """
    if not isinstance(noise, str):
        if not hasattr(noise, "draw"):
            return Span(noise)  # type: ignore[arg-type]
        if not hasattr(noise, "dimensions"):
            raise ValueError(
                f"Expected noise to have draw and dimensions, as blackbox.estimators.boundary.Noise says, but {noise!r} has no "
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


def radius(t: Task, h: Tensor) -> Tensor:
    """[n] the length of a probe: ``h``, but no less than moves a typical entry by one level of the target's input, or
    by more than float32 rounds away. For ImageNet the radius of the paper's theory is below both."""
    return h.clamp_min(max(t.probe, ROUGH) * math.sqrt(t.d))


def most(noise: Noise, shape: tuple[int, ...]) -> int:
    """Directions of a block."""
    return min(noise.dimensions(shape), SQUARE, max(BLOCK, ENTRIES // math.prod(shape)))


def orthonormal(u: Tensor) -> Tensor:
    """``u`` [m, \\*shape], no more than are independent, turned into as many directions of length 1 at right angles that
    span the same.

    The sum of m signed directions s_i u_i is as far from the normal g as the part of it that is not along g is long. From
    independent directions in d dimensions the squared cosine with g is q / (1 + q), where q = 2 m / (pi d); at right angles
    the sum has the length sqrt(m) whatever the signs, and it is q.
    """
    q, _ = torch.linalg.qr(u.flatten(1).T)
    return q.T.contiguous().view_as(u)


def normal(t: Task, x: Tensor, k: int, count: int, h: Tensor, noise: Noise) -> Steps[Tensor]:
    """The boundary's normal at ``x`` [n, \\*shape], towards the adversarial side, for ``count`` queries a row.

    Signs of random probes with their mean subtracted: equation 16 of Chen, Jordan & Wainwright 2020,
    arXiv:1904.02144, with the displacements that are left after the clip to the box. Zero where nothing was paid.

    Departs from the paper: the probes of a block are orthogonal to each other (`orthonormal`), not independent.

    Args:
        h: [n] probe length in L2. k: the step, an address for the draws.
    """
    signed, plain = torch.zeros_like(x), torch.zeros_like(x)
    balance = torch.zeros(t.n, device=x.device)
    paid = torch.zeros(t.n, device=x.device)
    for start, stop in blocks(count, most(noise, t.shape)):
        u = orthonormal(noise.draw(t.rng, k, f"normal {start}", stop - start, t.shape))
        a = yield Ask(x, u=u, h=h)
        side = torch.where(a.paid, a.adv * 2.0 - 1.0, torch.zeros(()).to(x))
        balance, paid = balance + side.sum(1), paid + a.paid.sum(1)  # whole numbers: exact in any order
        for j in range(len(u)):
            moved = t.clip(x + rows(h, x) * u[j]) - x
            signed += rows(side[:, j], x) * moved
            plain += rows(a.paid[:, j].to(x.dtype), x) * moved
    mean = balance / paid.clamp_min(1)
    return unit(torch.where(rows(mean.abs() == 1, x), signed, signed - rows(mean, x) * plain))


def _plane(shape: tuple[int, ...], what: str) -> tuple[int, int, int]:
    """Channels, height, width; a row of features is a line of pixels."""
    return bases.image_shape((1, 1, *shape) if len(shape) == 1 else shape, what)
