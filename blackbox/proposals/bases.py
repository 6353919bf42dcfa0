"""Where directions come from: pixels, tiles, cosines, principal components.

A basis is a small frozen description. ``count(shape)`` is the number of its directions for images of that shape,
``make(shape, index)`` makes some of them, [m, \\*shape] float32, orthonormal; nothing of size d x d is ever held.
``tensor(basis, shape)`` makes them all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from blackbox.protocol import grid


class Basis(Protocol):
    """Orthonormal directions for images of a shape, the most telling ones first."""

    def count(self, shape: tuple[int, ...]) -> int: ...

    def make(self, shape: tuple[int, ...], index: Tensor) -> Tensor: ...


def tensor(basis: Basis, shape: tuple[int, ...]) -> Tensor:
    """All directions of a basis: [count, \\*shape]."""
    return basis.make(tuple(shape), torch.arange(basis.count(tuple(shape))))


@dataclass(frozen=True)
class Pixels:
    """One entry of the image each, in memory order."""

    def count(self, shape: tuple[int, ...]) -> int:
        return torch.Size(shape).numel()

    def make(self, shape: tuple[int, ...], index: Tensor) -> Tensor:
        u = torch.zeros(len(index), self.count(shape), device=index.device)
        return u.scatter_(1, index[:, None], 1.0).view(-1, *shape)


@dataclass(frozen=True)
class Tiles:
    """Square tiles of ``size`` x ``size`` pixels that move together, in each channel by itself.

    Tiles at the right and lower border are smaller when the size does not divide the image's. Other
    shapes are taken as `blackbox.protocol.grid` says. The tiling prior of Ilyas et al. 2019, arXiv:1807.07978, section 3.2.
    """

    size: int = 4

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"Expected size to be at least 1 pixel, but it was {self.size}.")

    def _grid(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        c, h, w = grid(shape)
        return c, -(-h // self.size), -(-w // self.size)

    def count(self, shape: tuple[int, ...]) -> int:
        c, a, b = self._grid(shape)
        return c * a * b

    def make(self, shape: tuple[int, ...], index: Tensor) -> Tensor:
        c, a, b = self._grid(shape)
        s = self.size
        channel = torch.arange(c, device=index.device) == (index // (a * b))[:, None]
        _, h, w = grid(shape)
        across = torch.arange(w, device=index.device) // s == (index % b)[:, None]
        down = torch.arange(h, device=index.device) // s == (index // b % a)[:, None]
        area = (across.sum(1) * down.sum(1)).to(torch.float32)
        on = channel[:, :, None, None] & down[:, None, :, None] & across[:, None, None, :]
        return (on / area.sqrt().view(-1, 1, 1, 1)).view(-1, *shape)


@dataclass(frozen=True)
class DCT:
    """Cosines of the two-dimensional DCT-II, in each channel by itself, from low frequencies to high.

    Args:
        low: keep the frequencies below this share of each side (Guo et al. 2019, arXiv:1905.07121, section 4.2
            keep 1/8 on ImageNet). most: keep only so many, the lowest; by default all of these.

    Channels take turns at equal frequency. Other shapes than [channels, height, width] are taken as
    `blackbox.protocol.grid` says.
    """

    low: float = 1.0
    most: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.low <= 1 or (self.most is not None and self.most < 1):
            raise ValueError(
                f"Expected low in (0, 1] and most of at least 1, but they were {self.low} and {self.most}."
            )

    def count(self, shape: tuple[int, ...]) -> int:
        return len(_frequencies(grid(shape), self.low, self.most))

    def make(self, shape: tuple[int, ...], index: Tensor) -> Tensor:
        c, h, w = grid(shape)
        pick = _frequencies((c, h, w), self.low, self.most)[index.cpu()].to(index.device)
        down, across = cosines(h).to(index.device)[pick[:, 1]], cosines(w).to(index.device)[pick[:, 2]]
        wave = down[:, None, :, None] * across[:, None, None, :]
        channel = torch.arange(c, device=index.device) == pick[:, :1]
        return (wave * channel[:, :, None, None]).view(-1, *shape)


@dataclass(frozen=True, repr=False)
class Fixed:
    """Directions given as a tensor [m, \\*shape]; they are made orthonormal (by QR) unless they are already.

    Raises:
        ValueError: not floats, or more directions than entries, or linearly dependent.
    """

    directions: Tensor
    name: str = "fixed"
    digest: str = field(default="", init=False)

    def __post_init__(self) -> None:
        u = self.directions
        if not isinstance(u, Tensor) or not u.is_floating_point() or u.ndim < 2:
            raise ValueError("Expected directions to be a float tensor [m, *shape].")
        flat = u.detach().flatten(1).double().cpu()
        if len(flat) > flat.shape[1]:
            raise ValueError(
                f"Expected at most {flat.shape[1]} directions (the image's entries), but there were {len(flat)}."
            )
        if float((flat @ flat.T - torch.eye(len(flat))).abs().max()) > 1e-5:
            q, r = torch.linalg.qr(flat.T)
            if float(r.diagonal().abs().min()) < 1e-9 * float(r.diagonal().abs().max()):
                raise ValueError("Expected linearly independent directions, but some are combinations of others.")
            flat = (q * r.diagonal().sign()).T
        clean = flat.float().view(u.shape).contiguous()
        object.__setattr__(self, "directions", clean)
        object.__setattr__(self, "digest", hashlib.sha256(clean.numpy().tobytes()).hexdigest()[:16])

    def __repr__(self) -> str:  # says which directions: a checkpoint compares it
        return f"Fixed({self.name!r}, {len(self.directions)} of {tuple(self.directions.shape[1:])}, {self.digest})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def count(self, shape: tuple[int, ...]) -> int:
        if tuple(shape) != tuple(self.directions.shape[1:]):
            raise ValueError(
                f"Expected images of shape {tuple(self.directions.shape[1:])}, which the {self.name} directions have, "
                f"but they had shape {tuple(shape)}."
            )
        return len(self.directions)

    def make(self, shape: tuple[int, ...], index: Tensor) -> Tensor:
        self.count(shape)
        return self.directions.to(index.device)[index]


def pca(images: Any, count: int) -> Fixed:
    """The first ``count`` principal components of the *attacker's own* images [N, \\*shape], largest variance first.

    Source: Bhagoji et al. 2018, arXiv:1712.09491, query reduction by PCA. The images must be the attacker's: components
    fitted on the very images under attack, or on the target's test set, leak what the attacker cannot know.

    Raises:
        ValueError: count is larger than the images or their entries allow.
    """
    from sklearn.decomposition import PCA

    x = torch.as_tensor(np.asarray(images) if not isinstance(images, Tensor) else images).float().cpu()
    flat = x.flatten(1).numpy()
    if not 1 <= count <= min(len(flat) - 1, flat.shape[1]):
        raise ValueError(
            f"Expected count between 1 and {min(len(flat) - 1, flat.shape[1])} for {len(flat)} images with "
            f"{flat.shape[1]} entries, but it was {count}."
        )
    fitted = PCA(count, svd_solver="full" if flat.shape[1] <= 1024 else "randomized", random_state=0).fit(flat)
    return Fixed(torch.from_numpy(fitted.components_).view(count, *x.shape[1:]), name="pca")


@lru_cache(maxsize=16)
def cosines(size: int) -> Tensor:
    """[size, size] float32: row i is the i-th orthonormal cosine."""
    from scipy.fft import idct

    return torch.from_numpy(idct(np.eye(size), axis=1, norm="ortho").astype(np.float32))


@lru_cache(maxsize=16)
def _frequencies(shape: tuple[int, int, int], low: float, most: int | None) -> Tensor:
    """[m, 3] (channel, row frequency, column frequency), by falling wavelength."""
    c, h, w = shape
    high, wide = max(1, round(low * h)), max(1, round(low * w))
    i, j, channel = (a.ravel() for a in np.meshgrid(np.arange(high), np.arange(wide), np.arange(c), indexing="ij"))
    order = np.lexsort((channel, i, i**2 * w**2 + j**2 * h**2))
    return torch.from_numpy(np.stack([channel, i, j], 1)[order][:most].astype(np.int64))
