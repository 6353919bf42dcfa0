"""The boundary's normal from labels: which side of it random points around a boundary point fall on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from blackbox import bases
from blackbox.estimators.probes import blocks
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import rows, unit

if TYPE_CHECKING:
    from blackbox.rng import Stream

BLOCK = 64  # directions in memory at a time
ROUGH = 1e-5  # smallest root-mean-square change of an entry by a probe: ten times what float32 networks round away


class Noise(Protocol):
    """Where random directions come from. A frozen dataclass of settings."""

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        """``count`` directions [count, \\*shape], shared by the rows, a function of (seed, k, tag); any length."""


@dataclass(frozen=True)
class White:
    """Independent normal entries."""

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        return rng.shared_normal(k, tag, (count, *shape))


@dataclass(frozen=True)
class LowFrequencies:
    """Normal coefficients of the cosines below ``share`` of each side of an image [channels, height, width]; a row of
    features is taken for one line of pixels."""

    share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"Expected share, of the frequencies, in (0, 1], but it was {self.share}.")

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        c, h, w = _plane(shape, "low frequencies")
        high, wide = max(1, round(self.share * h)), max(1, round(self.share * w))
        z = rng.shared_normal(k, tag, (count, c, high, wide))
        return (bases.cosines(h)[:high].to(z).T @ z @ bases.cosines(w)[:wide].to(z)).view(count, *shape)


@dataclass(frozen=True)
class Resized:
    """Normal pixels of an image ``factor`` times smaller, enlarged bilinearly; features as in `LowFrequencies`."""

    factor: float = 4.0

    def __post_init__(self) -> None:
        if not self.factor >= 1:
            raise ValueError(f"Expected factor, of the enlargement, to be at least 1, but it was {self.factor}.")

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        c, h, w = _plane(shape, "resized noise")
        small = (max(1, round(h / self.factor)), max(1, round(w / self.factor)))
        z = rng.shared_normal(k, tag, (count, c, *small))
        large = torch.nn.functional.interpolate(z, size=(h, w), mode="bilinear", align_corners=False)
        return large.view(count, *shape)


@dataclass(frozen=True)
class Span:
    """Normal coefficients of a basis: principal components of the attacker's own images, say."""

    basis: bases.Basis

    def draw(self, rng: Stream, k: int, tag: str, count: int, shape: tuple[int, ...]) -> Tensor:
        u = bases.tensor(self.basis, shape).to(rng.device).flatten(1)
        return (rng.shared_normal(k, tag, (count, len(u))) @ u).view(count, *shape)


def named(noise: str | Noise | bases.Basis, share: float = 0.25) -> Noise:
    """Noise behind a word: ``white``, ``dct`` and ``resize`` with a ``share`` of each side; a basis becomes its `Span`.

    Raises:
        ValueError: no such word.
    """
    if not isinstance(noise, str):
        return noise if hasattr(noise, "draw") else Span(noise)  # type: ignore[arg-type, return-value]
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


def normal(t: Task, x: Tensor, k: int, count: int, h: Tensor, noise: Noise) -> Steps[Tensor]:
    """The boundary's normal at ``x`` [n, \\*shape], towards the adversarial side, for ``count`` queries a row.

    Signs of random probes with their mean subtracted: equation 16 of Chen, Jordan & Wainwright 2020,
    arXiv:1904.02144, with the displacements that are left after the clip to the box. Zero where nothing was paid.

    Args:
        h: [n] probe length in L2. k: the step, an address for the draws.
    """
    signed, plain = torch.zeros_like(x), torch.zeros_like(x)
    balance = torch.zeros(t.n, device=x.device)
    paid = torch.zeros(t.n, device=x.device)
    for start, stop in blocks(count, BLOCK):
        u = unit(noise.draw(t.rng, k, f"normal {start}", stop - start, t.shape))
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
