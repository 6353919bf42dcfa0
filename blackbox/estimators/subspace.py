"""Differences along the directions of an orthonormal basis: PCA, DCT, tiles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from blackbox.estimators.probes import affordable, bill, blocks, centre, differences, probe_size
from blackbox.proposals.bases import Basis
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import row_dot, row_norm, rows


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
        two_sided: f(x+h) - f(x-h); else f(x+h) - f(x). first: directions in the first round of
            `refine`; each further round doubles them. block: directions an Ask.
    """

    basis: Basis
    h: float = 0.01
    two_sided: bool = True
    first: int | None = None
    block: int = 64

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0, most: int | None = None) -> int:
        return bill(self.basis.count(tuple(shape)), self.two_sided, centre, most)

    def rounds(self, shape: tuple[int, ...]) -> list[int]:
        """What each round of `refine` costs a row."""
        each, edges = 2 if self.two_sided else 1, self.edges(self.basis.count(tuple(shape)))
        return [each * (b - a) for a, b in pairwise(edges)]

    def edges(self, count: int) -> list[int]:
        """Where the rounds of `refine` begin and end: ``first`` directions, then twice as many in all, and so on."""
        edges = [0, min(self.first or count, count)]
        while edges[-1] < count:
            edges.append(min(2 * edges[-1], count))
        return edges

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        g = yield from self.add(t, x, torch.zeros_like(x), 0, self.basis.count(t.shape), loss, most)
        return g

    def refine(
        self, t: Task, x: Tensor, k: int, g: Tensor, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        """Round k of a gradient at ``x``: ``g`` is what round k - 1 returned, zeros before the first."""
        start, stop = self.edges(self.basis.count(t.shape))[k : k + 2]
        g = yield from self.add(t, x, g, start, stop - start, loss, most)
        return g

    def add(
        self, t: Task, x: Tensor, g: Tensor, first: int, count: int, loss: Tensor | None, most: int | None
    ) -> Steps[Tensor]:
        """``g`` and the parts along the directions first .. first + count."""
        count = affordable(count, self.two_sided, loss is None, most)
        if not count:
            return g
        g = g.clone()
        base = None if self.two_sided else (yield from centre(x, loss))
        for start, stop in blocks(count, self.block):
            u = self.basis.make(t.shape, torch.arange(first + start, first + stop, device=x.device))
            length = 1 / row_norm(u, torch.inf)  # of the direction scaled to a largest entry of 1
            h = torch.tensor([probe_size(t, self.h, s, self.two_sided) * s for s in length.tolist()], device=x.device)
            push = u * rows(h, u)
            a = yield Ask(x, u=torch.stack([push, -push], 1).flatten(0, 1) if self.two_sided else push)
            diff = differences(a.loss, base)
            for j in range(stop - start):
                low = t.clip(x - push[j]) if self.two_sided else x
                along = row_dot(t.clip(x + push[j]) - low, u[j].expand_as(x))
                share = torch.where(along > 1e-3 * h[j], diff[:, j] / along, torch.zeros_like(along))
                g.addcmul_(rows(share, g), u[j].unsqueeze(0))
        return g
