"""STM: gives the image the look of another one before a net sees it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from surrogates.crafting.parts.blur import box_blur, row_mean
from surrogates.crafting.parts.views import Draw, View


@dataclass(frozen=True)
class STM(View):
    """Style transfer: mixes the image with a copy of it in another image's style, and adds noise U(+-noise).

    Ge et al. 2023, arXiv:2308.10601, "Improving the transferability of adversarial examples with arbitrary style transfer" (ACM
    MM): gamma x + (1 - gamma) x_style + noise, 20 copies, half of each. *Departs from the paper*, which trains a style-transfer net:
    here each of ``levels`` bands of detail, and what is left of the image below them, gets the mean and the deviation that the same
    band has in the other image, channel by channel (the adaptive instance normalisation inside such nets, without the net). Styles are
    images of the pool given to `craft`, whatever their class; the noise has a fixed size (the paper: twice eps).
    """

    copies: int = 20  # type: ignore[misc]
    gamma: float = 0.5
    noise: float = 16 / 255
    levels: int = 2

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        if draw.pool is None:
            raise ValueError("Expected a pool of images whose style STM can take, but there was none. Give pool=(images, labels).")
        which = draw.integers("style", 0, len(draw.pool.images) - 1, 1)[:, 0]
        other = draw.pool.images[which.to(draw.pool.images.device)].to(x)
        mixed = self.gamma * x + (1 - self.gamma) * styled(x, other, self.levels)
        return mixed + self.noise * (2 * draw.uniform("noise", *x.shape[1:]) - 1)


def styled(x: Tensor, other: Tensor, levels: int) -> Tensor:
    """Images ``x`` [m, c, h, w] whose bands have the means and deviations of those of ``other``."""
    pairs = [(x, other)]
    for level in range(levels):
        reach = min(2**level, min(x.shape[2:]) - 1)  # each band holds details twice as large as the one before
        pairs.append(tuple(box_blur(v, reach) for v in pairs[-1]))  # type: ignore[arg-type]
    total = _normalised(*pairs[-1])
    for (a, b), (c, d) in pairwise(pairs):
        total = total + _normalised(a - c, b - d)
    return total


def _normalised(v: Tensor, other: Tensor) -> Tensor:
    (mean, spread), (wanted, wide) = _moments(v), _moments(other)
    return (v - mean) / spread * wide + wanted


def _moments(v: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the deviation [m, c, 1, 1] of each channel."""
    flat = v.flatten(2).flatten(0, 1)
    mean = row_mean(flat)
    spread = (row_mean((flat - mean[:, None]) ** 2) + 1e-8).sqrt()
    shape = (*v.shape[:2], 1, 1)
    return mean.view(shape), spread.view(shape)
