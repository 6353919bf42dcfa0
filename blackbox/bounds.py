"""`Bounds`: what each entry of each row may become: a share of eps (`mask` as weights), and a range of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from blackbox.checks import as_tensor
from blackbox.rowwise import row_norm, row_sum, rows
from blackbox.threat import L0, Linf, Threat

_NEWTON = 20  # iterations, the same for all rows, so that none depends on its company


def per_entry(eps: Any, norm: type[Threat] = Linf) -> dict[str, Any]:
    """The arguments of `blackbox.attack` and `surrogates.craft` under which each entry has an ``eps`` of its own.

    ``bb.attack(oracle, x, y, "square", **bb.per_entry(eps))``: the threat has the largest eps as its radius, and ``mask`` holds
    the share of it that each entry may use.

    Args:
        eps: [\\*shape] or [N, \\*shape] numbers of at least 0, in units of the image range; 0 leaves an entry alone.
        norm: ``bb.Linf``: \\|change\\| <= eps, entry by entry. ``bb.L2``, ``bb.L1``: the norm of change / eps is at most 1.

    Raises:
        ValueError: a negative or infinite eps, none above 0, or an L0 threat, which counts pixels.
    """
    if not (isinstance(norm, type) and issubclass(norm, Threat)):
        raise ValueError(f"Expected norm to be bb.Linf, bb.L2 or bb.L1 itself, but it was {norm!r:.40}. The eps says how far.")
    t = as_tensor(eps, "eps").to(torch.float64)
    if norm is L0:
        raise ValueError("Expected norm to be Linf, L2 or L1, but it was L0, which counts pixels. Say with mask= which may change.")
    if not bool(((t >= 0) & t.isfinite()).all()) or not bool((t > 0).any()):
        raise ValueError(f"Expected eps to hold numbers of at least 0, one of them above, but it ranged from {t.min():g} to {t.max():g}.")
    most = float(t.max())
    return {"threat": norm(most), "mask": (t / most).to(torch.float32)}


@dataclass(frozen=True)
class Bounds:
    """What each entry of some rows may become, beside their threat; all tensors [n, \\*shape].

    Attributes:
        x0: the clean images.
        lower, upper: the range of each entry: of the user's, and of the threat's box; the clean entry itself, twice, where
            nothing may change.
        weights: the share of eps that each entry may use, in [0, 1]: in Linf \\|change\\| <= w * eps, in other norms the norm of
            change / w counts. None: all of it.
        stretched: points are images in which an entry's change is shown 1/w times as large. In these all entries have the whole
            eps: an attack that walks towards the clean image, outside eps, needs no idea of weights to find the nearest example.
    """

    x0: Tensor
    lower: Tensor
    upper: Tensor
    weights: Tensor | None = None
    stretched: bool = False

    @classmethod
    def of(
        cls, threat: Threat, x0: Tensor, mask: Tensor | None, weights: Tensor | None, ranges: tuple[Tensor, Tensor] | None,
        stretches: bool = False,
    ) -> Bounds | None:  # fmt: skip
        """The bounds of rows ``x0``; None where threat and mask say it all. ``mask`` is bool; ``stretches``: the attack minimises."""
        if weights is None and ranges is None:
            return None
        least, most = (torch.full_like(x0, end) for end in (threat.lower, threat.upper))
        if ranges is not None:
            least, most = torch.maximum(least, ranges[0]), torch.minimum(most, ranges[1])
        if mask is not None:
            least, most = torch.where(mask, least, x0), torch.where(mask, most, x0)
        return cls(x0, least, most, weights, stretches and weights is not None)

    def take(self, index: Tensor) -> Bounds:
        """The bounds of the rows ``index``."""
        weights = None if self.weights is None else self.weights.index_select(0, index)
        x0, lower, upper = (v.index_select(0, index) for v in (self.x0, self.lower, self.upper))
        return Bounds(x0, lower, upper, weights, self.stretched)

    def ball(self, eps: float) -> tuple[Tensor, Tensor]:
        """The lowest and highest value of each entry within ``eps`` in Linf, in the attack's coordinates."""
        if self.stretched:
            return torch.maximum(self._outside[0], self.x0 - eps), torch.minimum(self._outside[1], self.x0 + eps)
        if self.weights is None:
            return torch.maximum(self.lower, self.x0 - eps), torch.minimum(self.upper, self.x0 + eps)
        reach = self.weights.double() * eps
        return torch.maximum(self.lower, moved(self.x0, -reach)), torch.minimum(self.upper, moved(self.x0, reach))

    def clip(self, x: Tensor) -> Tensor:
        """Clip points of the attack to the ranges."""
        lower, upper = self._outside if self.stretched else (self.lower, self.upper)
        return torch.clamp(x, lower, upper)

    def clip_free(self, x: Tensor, threat: Threat) -> Tensor:
        """Clip points of the attack, which may be flat, to the ranges; an entry that cannot change only to the box, or a slope there
        would be 0 / 0."""
        full = x.view_as(self.x0)
        return torch.where(self.lower < self.upper, self.clip(full), threat.clip(full)).view_as(x)

    def project(self, threat: Threat, x: Tensor) -> Tensor:
        """Project images onto the threat, with these shares of its eps, and the ranges.

        L2 and L1: the nearest point of the ball that the shares make an ellipsoid, or a stretched octahedron, then of the
        ranges; since ``x0`` lies in these, that only shortens the change.
        """
        if threat.p == math.inf:
            return torch.clamp(x, *self.ball(threat.eps))
        if self.weights is None or threat.p == 0 or threat.eps == math.inf:
            x = self.clip(x) if threat.p == 0 else x  # a pixel is not to be chosen for what the ranges do not let it be
            return self.clip(threat.project(x, self.x0))
        change = (x.double() - self.x0.double()) * (self.weights > 0)
        w = torch.where(self.weights > 0, self.weights, 1.0).double()
        size = row_norm(change / w, threat.p)
        shrunk = _ellipsoid(change, w, threat.eps) if threat.p == 2 else _octahedron(change, w, threat.eps)
        return self.clip(torch.where(rows(size > threat.eps, x), moved(self.x0, shrunk), x))

    def scaled(self, threat: Threat, x: Tensor) -> Tensor:
        """Project images onto the same set along other ways: as the threat does it where each change is divided by its share.

        For ascent along the threat's steepest direction by these shares, whose steps and projections are then those of an image
        in which all entries have the whole eps.
        """
        if self.weights is None or threat.p in (0, math.inf) or threat.eps == math.inf:
            return self.project(threat, x)
        change = torch.where(self.weights > 0, (x - self.x0) / self.weights, 0.0)
        free = replace(threat, lower=-math.inf, upper=math.inf)
        inside = free.project(change, torch.zeros_like(change))
        return self.clip(torch.where(inside == change, x, moved(self.x0, self.weights.double() * inside.double())))

    def distance(self, threat: Threat, x: Tensor) -> Tensor:
        """The distances of images ``x`` [n, \\*shape] from the clean ones, [n], each change divided by its weight."""
        if self.weights is None:
            return threat.distance(x, self.x0)
        change = torch.where(self.weights > 0, (x - self.x0) / self.weights, 0.0)
        return threat.distance(change, torch.zeros_like(change))

    def shown(self, x: Tensor, row: Tensor | None = None) -> Tensor:
        """The images that the attack's points are; ``row`` [m]: the rows that they belong to."""
        if not self.stretched:
            return x
        at = self if row is None else self.take(row)
        assert at.weights is not None
        image = moved(at.x0, at.weights.double() * (x.double() - at.x0.double()))
        return torch.clamp(torch.where(at.weights == 1, x, image), at.lower, at.upper)

    def seen(self, x: Tensor) -> Tensor:
        """The inverse: the attack's points of images [n, \\*shape]; clean where nothing may change."""
        if not self.stretched:
            return x
        assert self.weights is not None
        far = self.x0 + (x - self.x0) / self.weights
        return torch.where(self.weights == 1, x, torch.where(self.weights > 0, far, self.x0))

    @cached_property
    def _outside(self) -> tuple[Tensor, Tensor]:
        return self.seen(self.lower), self.seen(self.upper)


def moved(x0: Tensor, change: Tensor) -> Tensor:
    """``x0`` + ``change`` (float64) in float32, rounded towards ``x0``: a small weight makes a large distance of a rounding."""
    x = (x0.double() + change).to(x0.dtype)
    over = (x.double() - x0.double()).abs() > change.abs()
    return torch.where(over, torch.nextafter(x, x0), x)


def _ellipsoid(change: Tensor, w: Tensor, eps: float) -> Tensor:
    """The change nearest to this one with \\|change / w\\| <= eps, of rows that are longer.

    It is change * w^2 / (w^2 + s). Newton's method on the reciprocal of the length, which is concave in s, comes to s from below
    (Moré & Sorensen 1983, "Computing a trust region step").
    """
    square, along = w * w, change * w
    s = torch.zeros(len(w), dtype=w.dtype, device=w.device)
    for _ in range(_NEWTON):
        now = along / (square + rows(s, w))
        length = row_norm(now).clamp_min(1e-300)
        slope = row_sum(now * now / (square + rows(s, w))).clamp_min(1e-300)
        s = (s + length**2 / slope * (length - eps) / eps).clamp_min(0)
    found = change * square / (square + rows(s, w))
    return found * rows((eps / row_norm(found / w).clamp_min(1e-300)).clamp_max(1.0), w)


def _octahedron(change: Tensor, w: Tensor, eps: float) -> Tensor:
    """The change nearest to this one with sum \\|change\\| / w <= eps, of rows that are longer: each is lowered by s / w.

    After Duchi et al. 2008, "Efficient projections onto the l1-ball", fig. 1, with weights.
    """
    size, v = change.flatten(1).abs(), w.flatten(1)
    key, order = (size * v).sort(dim=1, descending=True, stable=True)
    inverse = 1 / v.gather(1, order)
    s = ((size.gather(1, order) * inverse).cumsum(1) - eps) / (inverse * inverse).cumsum(1)
    last = ((key > s).sum(1, keepdim=True) - 1).clamp_min(0)
    left = (size - s.gather(1, last).clamp_min(0) / v).clamp_min(0)
    found = (left * change.flatten(1).sign()).view_as(change)
    return found * rows((eps / row_norm(found / w, 1).clamp_min(1e-300)).clamp_max(1.0), w)
