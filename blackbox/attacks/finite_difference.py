"""What the attacks by finite differences share: their settings, and which estimator these stand for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from torch import Tensor

from blackbox.estimators import Coordinates, Estimator, Groups, Subspace
from blackbox.proposals import bases
from blackbox.protocol import Access, Attack

METHODS = ("full", "groups", "blocks", "pca", "dct", "tiles")


@dataclass(frozen=True)
class FiniteDifferences(Attack):
    """The settings that `FDFGSM` and `FDIFGSM` have in common, see there."""

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2", "L1")

    method: str = "full"
    h: float = 0.01
    size: int = 8
    count: int = 100
    two_sided: bool = True
    images: Tensor | str | None = field(default=None, repr=False, compare=False)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        estimator: Estimator = getattr(self, "estimator")  # noqa: B009, a field of the classes that share these settings
        estimator.plan(shape)  # a basis made of images serves their shape alone

    def chosen(self, gradually: bool = False) -> Estimator:
        """The estimator that ``method`` and the other settings stand for."""
        return choose(self.method, self.h, self.size, self.count, self.two_sided, self.images, gradually)


def choose(
    method: str,
    h: float,
    size: int,
    count: int,
    two_sided: bool,
    images: Tensor | str | None,
    gradually: bool = False,
) -> Estimator:
    """The estimator behind a word, for settings that come from a command line.

    Raises:
        ValueError: no such method, or ``pca`` without images.
    """
    first = -(-count // 16) if gradually else None
    if method == "full":
        return Coordinates(h, two_sided)
    if method in ("groups", "blocks"):
        return Groups(h, size, 1 if gradually else None, method == "blocks", two_sided)
    if method == "dct":
        return Subspace(bases.DCT(most=count), h, two_sided, first)
    if method == "tiles":
        return Subspace(bases.Tiles(size), h, two_sided, first)
    if method == "pca":
        if images is None:
            raise ValueError(
                "Expected images of the attacker's own for method='pca' (a tensor [N, *shape], or an .npz file that "
                "holds `images`), but there were none."
            )
        return Subspace(bases.pca(_load(images) if isinstance(images, str) else images, count), h, two_sided, first)
    raise ValueError(f"Expected method to be one of {', '.join(METHODS)}, but it was {method!r}.")


def _load(path: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as file:
        if "images" not in file:
            raise ValueError(f"Expected {path} to hold an array named images, but it holds {', '.join(file) or 'nothing'}.")
        images = file["images"]
    images = images[:, None] if images.ndim == 3 else images
    return images.astype(np.float32) / 255 if images.dtype == np.uint8 else images.astype(np.float32)
