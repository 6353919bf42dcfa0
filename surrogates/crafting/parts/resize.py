"""DI and DEM: views that resize and pad the image at random."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from surrogates.crafting.parts.views import Draw, View


@dataclass(frozen=True)
class DI(View):
    """Diverse inputs: with probability ``p``, enlarges the image to a random size, pads it with zeros and scales it back.

    Xie et al. 2019, arXiv:1803.06978, section 3.3: p = 0.5, 299 -> 330. The enlarged size is random below ``rate`` times
    the image's, and it is padded at a random place up to that (at least one pixel more a side). Departs from the paper,
    which gives the padded image to the net (``back=False``, with p = 1 only, for nets that take other sizes): here it is
    scaled back to the image's size, resampled once, so that any net takes it.
    """

    p: float = 0.5
    rate: float = 1.1
    back: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1 or self.rate < 1:
            raise ValueError(
                f"Expected DI's p in [0, 1] and rate of at least 1, but they were {self.p} and {self.rate}."
            )

        if not self.back and self.p < 1:
            raise ValueError(
                f"Expected p = 1 with back=False, since rows of one call have one size, but p was {self.p}."
            )

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        return x if self.p == 0 else resized(x, draw.uniform("resize", 4), self.p, [self.rate] * len(x), self.back)


@dataclass(frozen=True)
class DEM(View):
    """Diversity ensemble: averages the logits over one enlarged view for each rate (Zou et al. 2020, arXiv:2112.06011).

    Departs from the paper: the views are scaled back to the image's size, as in `DI`.
    """

    rates: tuple[float, ...] = (1.14, 1.27, 1.40, 1.53, 1.66)
    fuse = "logits"

    @property
    def copies(self) -> int:  # type: ignore[override]
        return len(self.rates)

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        return resized(x, draw.uniform("resize", 4), 1.0, [self.rates[c] for c in draw.copy.tolist()])


def resized(x: Tensor, u: Tensor, p: float, rates: list[float], back: bool = True) -> Tensor:
    """Enlarge and pad images [m, c, h, w] by draws u [m, 4] (whether, size, top, left) and rates; ``back``: scale back.

    Bilinear interpolation and padding are separable: one matrix a side.
    """
    tall: list[Tensor] = []
    wide: list[Tensor] = []
    for (whether, size, top, left), rate in zip(u.cpu().tolist(), rates, strict=True):
        for matrices, side, at in ((tall, x.shape[2], top), (wide, x.shape[3], left)):
            kept = whether >= p
            matrices.append(
                torch.eye(side, dtype=torch.float64) if kept else _matrix(side, *sizes(side, rate, size, at), back)
            )
    down, across = torch.stack(tall).to(x), torch.stack(wide).to(x)
    return down[:, None] @ x @ across[:, None].transpose(2, 3)


def sizes(side: int, rate: float, size: float, place: float) -> tuple[int, int, int]:
    """From draws in [0, 1): the padded side, the enlarged side (side .. padded - 1), and its offset in the padded one."""
    full = max(int(side * rate), side + 1)
    inner = side + int(size * (full - side))
    return full, inner, min(int(place * (full - inner + 1)), full - inner)


@lru_cache(maxsize=1024)
def _matrix(side: int, full: int, inner: int, at: int, back: bool) -> Tensor:
    """The matrix [full, side] that enlarges to ``inner`` and pads to ``full`` with offset ``at``; with ``back`` [side, side],
    all scaled by side / full and rounded to whole pixels."""
    if back:
        full, inner, at = side, round(side * inner / full), round(at * side / full)
        at = min(at, full - inner)
    laid = torch.zeros(full, side, dtype=torch.float64)
    laid[at : at + inner] = interpolation(side, inner)
    return laid


@lru_cache(maxsize=256)
def interpolation(given: int, wanted: int) -> Tensor:
    """The matrix [wanted, given] of linear interpolation, with pixel centres at half-integers (torch's bilinear)."""
    unit = torch.eye(given, dtype=torch.float64)[None]
    return torch.nn.functional.interpolate(unit, size=wanted, mode="linear", align_corners=False)[0].T.contiguous()
