"""DeCowA: bends the image by a thin-plate spline whose bending is first made harmless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from surrogates.crafting.parts.back import Back
from surrogates.crafting.parts.base import Parts, check_images
from surrogates.crafting.parts.probes import Probe

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Warp(Probe):
    """The mean gradient over ``count`` bent images: a grid of ``mesh`` x ``mesh`` points is moved at random, the rest of the image
    follows as a thin plate would, and the moves are then changed by one step that lowers the loss.

    Lin et al. 2024, arXiv:2402.03951, "Boosting adversarial transferability across model genus by deformation-constrained
    warping" (AAAI): 20 copies, 3 x 3 points, steps of 0.01 (the side is -1 .. 1). *Departs from the paper*: the step has the
    sign of the gradient; points move by U(+-``scale``) along each side, in units of the distance between two of them (ours); an
    image's edge is continued outside.
    """

    count: int = 20
    mesh: int = 3
    scale: float = 0.5
    rho: float = 0.01

    def __post_init__(self) -> None:
        if self.mesh < 2 or self.scale < 0:
            raise ValueError(f"Expected a mesh of at least 2 and a scale of at least 0, but they were {self.mesh} and {self.scale}.")

    def calls(self, k: int, steps: int) -> int:
        return self.count * (2 if self.rho else 1)

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        far, drawn = 2 / (self.mesh - 1) * self.scale, (self.mesh**2, 2)
        moved = [far * (2 * walk.rng.uniform(walk.k, f"warp {j}", drawn) - 1) for j in range(self.count)]

        def harmless() -> Iterator[Tensor]:
            """The moves after their step."""
            back = Back()
            bent = (back.change(move, lambda by: warped(at, by, self.mesh)) for move in moved)
            for move, g in zip(moved, walk.gradients(bent, "bent"), strict=True):
                yield move - self.rho * back.gradient(g).sign()

        moves = harmless() if self.rho else iter(moved)
        total = torch.zeros_like(at)
        for _, g in walk.through(at, lambda x, j: warped(x, next(moves), self.mesh), self.count, "warp"):
            total += g
        return total / self.count

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        check_images(self, shape)


def warped(x: Tensor, moves: Tensor, mesh: int) -> Tensor:
    """Bend images ``x`` [m, c, h, w]: what is seen at a point of the mesh comes from ``moves`` [m, mesh^2, 2] away (across, down)."""
    h, w = x.shape[2:]
    weights = torch.from_numpy(plate(h, w, mesh)).to(moves)
    away = weights[:, 0, None] * moves[:, 0, None]
    for j in range(1, mesh**2):  # a matrix product would add in an order that depends on the number of rows
        away = away + weights[:, j, None] * moves[:, j, None]
    v, u = (((2 * torch.arange(side).to(x) + 1) / side) - 1 for side in (h, w))
    still = torch.stack([u[None, :].expand(h, w), v[:, None].expand(h, w)], 2)
    return F.grid_sample(x, still + away.view(-1, h, w, 2), mode="bilinear", padding_mode="border", align_corners=False)


@lru_cache(maxsize=16)
def plate(h: int, w: int, mesh: int) -> np.ndarray:
    """How far each pixel follows each point of the mesh, [h w, mesh^2] float32: thin-plate interpolation, with sum 1 a pixel
    (Bookstein 1989)."""
    from scipy.interpolate import RBFInterpolator

    line = np.linspace(-1, 1, mesh)
    points = np.stack(np.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)
    across, down = ((2 * np.arange(side) + 1) / side - 1 for side in (w, h))
    pixels = np.stack(np.meshgrid(across, down, indexing="xy"), -1).reshape(-1, 2)
    made: np.ndarray = RBFInterpolator(points, np.eye(len(points)), kernel="thin_plate_spline", degree=1)(pixels)
    return made.astype(np.float32)
