"""Differences along the directions of an orthonormal basis: PCA, DCT, tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from blackbox.estimators.probes import blocks, centre, differences, limit, radius
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import row_dot, row_norm, rows


class Basis(Protocol):
    """Orthonormal directions for images of a shape (see `blackbox.bases`)."""

    def count(self, shape: tuple[int, ...]) -> int: ...

    def make(self, shape: tuple[int, ...], index: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Subspace:
    """The gradient's part in the span of a basis: 2 queries a direction two-sided.

    Source: Bhagoji et al. 2018, arXiv:1712.09491, query reduction by PCA components: ``g = sum_i a_i u_i`` with the
    derivative ``a_i`` along the unit vector ``u_i``. Exact where the loss is linear and no probe meets the box's edge.

    Departs from the paper: any orthonormal basis will do; a probe is scaled so that ``h`` is the largest change of a
    pixel, whatever the direction; the difference is divided by the projection of the real displacement on the
    direction. When ``most`` is below the plan, the first directions are taken (the leading components of a PCA, the
    low frequencies of a DCT).

    Args:
        basis: from `blackbox.bases`: ``PCA.fit(images, 100)``, ``DCT(count=100)``, ``Tiles(4)``.
        h: the largest change of a pixel, in units of the image range (0.01, the paper's delta, is that of the
            whole unit direction; it is far below what 8-bit input shows).
        two_sided: f(x+h) - f(x-h); else f(x+h) - f(x). block: directions an Ask.
    """

    basis: Basis
    h: float = 0.01
    two_sided: bool = True
    block: int = 64

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0) -> int:
        count = self.basis.count(tuple(shape))
        return 2 * count if self.two_sided else count + centre

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        g = torch.zeros_like(x)
        each = 2 if self.two_sided else 1
        count = limit(self.basis.count(t.shape), most, each, 0 if self.two_sided or loss is not None else 1)
        if not count:
            return g
        base = None if self.two_sided else (yield from centre(x, loss))
        for start, stop in blocks(count, self.block):
            u = self.basis.make(t.shape, torch.arange(start, stop, device=x.device))
            length = 1 / row_norm(u, torch.inf)  # of the direction scaled to a largest entry of 1
            h = torch.tensor([radius(t, self.h, s, self.two_sided) * s for s in length.tolist()], device=x.device)
            push = u * rows(h, u)
            a = yield Ask(x, u=torch.stack([push, -push], 1).flatten(0, 1) if self.two_sided else push)
            diff = differences(a.loss, base)
            for j in range(stop - start):
                low = t.clip(x - push[j]) if self.two_sided else x
                along = row_dot(t.clip(x + push[j]) - low, u[j].expand_as(x))
                share = torch.where(along > 1e-3 * h[j], diff[:, j] / along, torch.zeros_like(along))
                g.addcmul_(rows(share, g), u[j].unsqueeze(0))
        return g
