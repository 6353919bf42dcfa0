"""What may be changed, entry by entry, in crafting: a mask, shares of eps and ranges, or a patch, as a threat of the rows at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.areas import Area, within
from blackbox.bounds import Bounds
from blackbox.checks import as_mask, as_ranges
from blackbox.threat import L1, L2, Linf, Threat


class _Kept:
    """A threat under bounds of given rows; what has another shape than these it treats as the plain threat does."""

    bounds: Bounds
    plain: Threat

    def clip(self, x: Tensor) -> Tensor:
        return self.bounds.clip(x) if self.fits(x) else self.plain.clip(x)

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        return self.bounds.scaled(self.plain, x) if self.fits(x) else self.plain.project(x, x0)

    def steepest(self, g: Tensor) -> Tensor:
        share = share_of(self, g)
        return self.plain.steepest(g) if share is None else share * self.plain.steepest(share * g)

    def fits(self, x: Tensor) -> bool:
        return x.shape == self.bounds.x0.shape


class _Linf(_Kept, Linf):
    pass


class _L2(_Kept, L2):
    pass


class _L1(_Kept, L1):
    pass


def _bounded(plain: Threat, bounds: Bounds) -> Threat:
    """The threat ``plain`` under ``bounds``."""
    kinds: dict[str, type[Threat]] = {"Linf": _Linf, "L2": _L2, "L1": _L1}
    made = kinds[plain.norm](plain.eps, plain.lower, plain.upper)
    object.__setattr__(made, "plain", plain)
    object.__setattr__(made, "bounds", bounds)
    return made


def share_of(threat: Any, like: Tensor) -> Tensor | None:
    """The share of eps that each entry of rows ``like`` may use, 0 where none may change; None where all may use all."""
    if not isinstance(threat, _Kept) or not threat.fits(like):
        return None
    bounds = threat.bounds
    free = (bounds.lower < bounds.upper).to(like.dtype)
    return free if bounds.weights is None else free * bounds.weights


def shared(threat: Any, change: Tensor) -> Tensor:
    """A change by the shares that the entries of its rows may use."""
    share = share_of(threat, change)
    return change if share is None else share * change


def ends_of(threat: Any, like: Tensor) -> tuple[Any, Any]:
    """The lowest and the highest value of the entries of rows ``like``."""
    if not isinstance(threat, _Kept) or not threat.fits(like):
        return threat.lower, threat.upper
    return threat.bounds.lower, threat.bounds.upper


def around(threat: Threat, eps: float, x: Tensor) -> Threat:
    """The threat with another radius, around points ``x`` of its rows instead of the clean images; their entries keep their limits."""
    if not isinstance(threat, _Kept):
        return type(threat)(eps, threat.lower, threat.upper)
    return _bounded(replace(threat.plain, eps=eps), replace(threat.bounds, x0=x))


@dataclass(frozen=True)
class Limits:
    """The threat of images [N, \\*shape], and what is said of their entries."""

    threat: Threat
    x: Tensor
    mask: Tensor | None = None
    weights: Tensor | None = None
    ranges: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, threat: Any, x: Tensor, mask: Any = None, ranges: Any = None, ids: np.ndarray | None = None, seed: int = 0) -> Limits:
        """Check what the user gave. A patch in a given place and a frame are masks with a radius as wide as the box; of a patch whose place
        is to be searched the mask is what the user gave, until it is `placed`.

        Raises:
            ValueError: masks and ranges as in `blackbox.attack`; a patch that does not fit.
        """
        shape = tuple(x.shape[1:])
        if isinstance(threat, Area):
            place = threat.mask(shape, np.arange(len(x), dtype=np.uint64) if ids is None else ids, seed)
            threat = Linf(threat.upper - threat.lower, threat.lower, threat.upper)
            mask = mask if place is None else within(place, mask)
        allowed, weights = (None, None) if mask is None else as_mask(mask, tuple(x.shape))
        return cls(threat, x, allowed, weights, None if ranges is None else as_ranges(ranges, x.cpu()))

    def placed(self, place: Tensor) -> Limits:
        """The same where no more may change than in a place, ``place`` [N, \\*shape] bool."""
        return replace(self, mask=place if self.mask is None else place & self.mask.to(place.device))

    def at(self, where: slice, device: torch.device | None = None) -> Threat:
        """The threat of these rows."""
        if self.mask is None and self.ranges is None:
            return self.threat
        x = self.x[where].to(device)

        def pick(v: Tensor | None) -> Tensor | None:
            return None if v is None else v[where].to(x.device)

        box = (torch.full_like(x, self.threat.lower), torch.full_like(x, self.threat.upper))
        ranges = box if self.ranges is None else (self.ranges[0][where].to(x.device), self.ranges[1][where].to(x.device))
        bounds = Bounds.of(self.threat, x, pick(self.mask), pick(self.weights), ranges)
        assert bounds is not None, "there are ranges"
        return _bounded(self.threat, bounds)
