"""`Patch` and `Frame`: any content inside a part of the image, nothing outside."""

from __future__ import annotations

import copy
import math
from dataclasses import InitVar, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_mask, check_int
from blackbox.rng import Stream
from blackbox.rowwise import rows
from blackbox.threat import L0, L1, L2, Linf, Threat, UnsupportedThreat

PLACES = ("free", "random")
SEARCH = "patch-rs"  # the attack that searches a place


@dataclass(frozen=True)
class Area(L0):
    """Base class of `Patch` and `Frame`: an L0 threat whose pixels lie in one part of the image.

    Distances are numbers of pixels that differ. For an attack that knows no areas, a fixed one is a mask with a radius as wide as
    the box.
    """

    eps: float = field(init=False, default=math.inf)
    lower: float = field(default=0.0, kw_only=True)
    upper: float = field(default=1.0, kw_only=True)

    def check_dimension(self, d: int) -> None:
        """Nothing: `sized` checks the shape."""

    def sized(self, shape: tuple[int, ...]) -> Area:
        """The same for images of this ``shape``, with its number of pixels as the radius.

        Raises:
            ValueError: no images [channels, height, width], or too small.
        """
        if len(shape) != 3:
            raise ValueError(f"Expected images [channels, height, width] for {self}, but they have shape {tuple(shape)}.")
        made = copy.copy(self)
        object.__setattr__(made, "eps", float(self.pixels(shape[1], shape[2])))
        return made

    def pixels(self, height: int, width: int) -> int:
        """How many pixels of such images may change. Raises: ValueError, they are too small."""
        raise NotImplementedError

    def mask(self, shape: tuple[int, ...], ids: np.ndarray, seed: int) -> Tensor | None:
        """Which entries of images of this ``shape`` may change, [N, \\*shape] bool; None where the place is searched."""
        raise NotImplementedError

    def reduced(self, attack: Any, name: str, shape: tuple[int, ...]) -> Threat:
        """What the search runs with: itself for one that searches places; else the widest radius of a norm that it supports. A place that
        is to be searched is found on the nets of the attack's prior (`blackbox.placed`).

        Raises:
            UnsupportedThreat: the place is to be searched, and this attack neither can nor has a prior.
        """
        if getattr(attack, "searches_place", False):
            return self.sized(shape)
        if self.free and getattr(attack, "prior", None) is None:
            raise UnsupportedThreat(
                f'Expected an attack that searches the place of a patch, "{SEARCH}", but it was {name}. Or say where it lies: '
                'Patch(size, location=(row, column)), or location="random" for a place drawn for each image; or give a prior, on whose '
                "nets the place is found."
            )
        kind = next(kind for kind in (Linf, L2, L1, L0) if kind.norm in attack.norms)
        if kind is L0:
            return L0(self.sized(shape).eps, self.lower, self.upper)
        wide = Linf(self.upper - self.lower, self.lower, self.upper)
        return wide if kind is Linf else kind(wide.diameter(1) * self._inside(shape) ** (1 / kind.p), self.lower, self.upper)

    def _inside(self, shape: tuple[int, ...]) -> int:
        return self.pixels(shape[1], shape[2]) * shape[0]

    @property
    def free(self) -> bool:
        """Whether the place is searched."""
        return False


@dataclass(frozen=True)
class Patch(Area):
    """Any content in one rectangle, nothing outside.

    Args:
        size: its side in pixels, or (height, width).
        location: ``"free"``: the place is searched with the content, by ``"patch-rs"``, or found on nets, a prior's or those one crafts
            on; ``"random"``: drawn for each image, from seed and id; or the (row, column) of its first pixel. Any attack serves the last
            two. For a place of each image's own: ``threat=bb.Linf(1)`` and a mask of its own.
        universal: one patch for all images is no threat of an attack on each: `blackbox.universal` finds one by queries,
            `surrogates.universal` from nets, within this threat.
        lower, upper: the box of valid images.

    Raises:
        ValueError: no such size or location. A patch that does not fit into the images is refused before any query.
    """

    size: Any
    location: Any = "free"
    universal: InitVar[bool] = False

    def __post_init__(self, universal: bool) -> None:
        if universal:
            raise ValueError(
                "Expected a patch without universal=True, which says what is attacked and not what may change, but it was given. One "
                f'patch for all images: blackbox.universal(oracle, x, y, "{SEARCH}", Patch({self.size!r})), or surrogates.universal.'
            )
        size = self.size if isinstance(self.size, (tuple, list)) else (self.size, self.size)
        if len(size) != 2:
            raise ValueError(f"Expected size to be a side in pixels or (height, width), but it was {self.size!r}.")
        object.__setattr__(self, "size", tuple(check_int(v, "size", 1, "a whole number of pixels") for v in size))
        if isinstance(self.location, (tuple, list)) and len(self.location) == 2:
            object.__setattr__(self, "location", tuple(check_int(v, "location", 0, "whole numbers") for v in self.location))
        elif self.location not in PLACES:
            raise ValueError(f'Expected location to be "free", "random" or (row, column), but it was {self.location!r}.')
        object.__setattr__(self, "eps", float(self.size[0] * self.size[1]))
        super().__post_init__()

    def __str__(self) -> str:
        where = self.location if self.location in PLACES else "at row {} column {}".format(*self.location)
        return f"patch {self.size[0]}x{self.size[1]} {where}"

    @property
    def free(self) -> bool:
        return bool(self.location == "free")

    @property
    def given(self) -> tuple[int, int] | None:
        """The row and column that were given; None where the place is searched or drawn."""
        return self.location if isinstance(self.location, tuple) else None

    def pixels(self, height: int, width: int) -> int:
        at = self.given or (0, 0)
        if at[0] + self.size[0] > height or at[1] + self.size[1] > width:
            raise ValueError(f"Expected a patch that fits into images of {height} x {width} pixels, but it was {self}.")
        return int(self.size[0] * self.size[1])

    def mask(self, shape: tuple[int, ...], ids: np.ndarray, seed: int) -> Tensor | None:
        self.sized(shape)
        if self.free:
            return None
        return self.at(self.places(shape, ids, seed), shape)

    def at(self, places: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Which entries of images of this ``shape`` it may change at rows and columns [N, 2], [N, \\*shape] bool."""
        top, left = places.unbind(1)
        return rectangles(top, left, self.size, shape[1], shape[2]).expand(-1, *shape).clone()

    def places(self, shape: tuple[int, ...], ids: np.ndarray, seed: int) -> Tensor:
        """Row and column of the patches, [N, 2] int64: the same for all, or drawn."""
        if self.given is not None:
            return torch.tensor(self.given).expand(len(ids), 2)
        return drawn(Stream(seed, ids), 0, "patch place", self.size, shape)

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        """The number of pixels that differ, [n]; inf where they do not lie in one patch."""
        return torch.where(self._fits(x, x0), super().distance(x, x0), math.inf)

    def _fits(self, x: Tensor, x0: Tensor) -> Tensor:
        changed = (x != x0).any(1)
        return (_extent(changed.any(2)) <= self.size[0]) & (_extent(changed.any(1)) <= self.size[1])

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        """Keep the patch in which most changes (by Euclidean length), put the rest back, and clip to the box."""
        x = self.clip(x)
        fits = self._fits(x, x0)
        if bool(fits.all()):
            return x
        n, _, height, width = x.shape
        inside = window_sums(self._over_channels((x - x0).square()).view(n, height, width), self.size)
        best = inside.flatten(1).argmax(1)
        top, left = best // inside.shape[2], best % inside.shape[2]
        return torch.where(rows(fits, x) | rectangles(top, left, self.size, height, width), x, x0)


@dataclass(frozen=True)
class Frame(Area):
    """Any content in the outermost pixels, nothing inside.

    Args:
        width: of the frame in pixels. lower, upper: the box of valid images.

    Raises:
        ValueError: no such width. One that leaves nothing inside is refused before any query.
    """

    width: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", check_int(self.width, "width", 1, "a whole number of pixels"))
        super().__post_init__()

    def __str__(self) -> str:
        return f"frame {self.width} wide"

    def pixels(self, height: int, width: int) -> int:
        inside = (height - 2 * self.width, width - 2 * self.width)
        if min(inside) < 1:
            raise ValueError(f"Expected a frame with something inside for images of {height} x {width} pixels, but it was {self}.")
        return height * width - inside[0] * inside[1]

    def mask(self, shape: tuple[int, ...], ids: np.ndarray, seed: int) -> Tensor:
        self.sized(shape)
        out = torch.ones(len(ids), *shape, dtype=torch.bool)
        out[..., self.width : -self.width, self.width : -self.width] = False
        return out

    def project(self, x: Tensor, x0: Tensor) -> Tensor:
        """Clip to the box: the mask keeps the inside."""
        return self.clip(x)


def drawn(rng: Stream, k: int, tag: str, size: tuple[int, int], shape: tuple[int, ...]) -> Tensor:
    """A random row and column for a patch of this size in images of this shape, [n, 2] int64."""
    room = torch.tensor([shape[1] - size[0] + 1, shape[2] - size[1] + 1])
    u = rng.uniform(k, tag, 2)
    return (u.double() * room.to(u.device)).long().clamp_max(room.to(u.device) - 1)


def window_sums(values: Tensor, size: tuple[int, int]) -> Tensor:
    """The sums of ``values`` [n, height, width] in a window of this size at each place, [n, places down, places across] float64."""
    h, w = size
    sums = torch.nn.functional.pad(values.double().cumsum(1).cumsum(2), (1, 0, 1, 0))
    return sums[:, h:, w:] - sums[:, :-h, w:] - sums[:, h:, :-w] + sums[:, :-h, :-w]


def rectangles(top: Tensor, left: Tensor, size: tuple[int, int], height: int, width: int) -> Tensor:
    """Where the patches of this size lie whose first rows and columns are ``top`` and ``left`` [n], [n, 1, height, width] bool."""
    down, across = torch.arange(height, device=top.device), torch.arange(width, device=top.device)
    tall = (down >= top[:, None]) & (down < top[:, None] + size[0])
    wide = (across >= left[:, None]) & (across < left[:, None] + size[1])
    return tall[:, None, :, None] & wide[:, None, None, :]


def _extent(any_: Tensor) -> Tensor:
    """From the first True of each row of [n, m] to the last, [n]; 0 where there is none."""
    at = torch.arange(any_.shape[1], device=any_.device)
    first, last = torch.where(any_, at, any_.shape[1]).amin(1), torch.where(any_, at, -1).amax(1)
    return (last - first + 1).clamp_min(0)


def within(place: Tensor, mask: Any) -> Tensor:
    """What lies in the ``place`` [N, \\*shape] of a patch or a frame, and in a mask of the user's, of bools or of shares of eps; None is
    all of it."""
    if mask is None:
        return place
    allowed, weights = as_mask(mask, tuple(place.shape))
    return place & allowed if weights is None else place * weights


def reported(threat: Threat, result: Any, x: Tensor) -> Any:
    """A result in the words of the area that was asked for: its distances are numbers of pixels."""
    area = threat.sized(tuple(x.shape[1:])) if isinstance(threat, Area) else threat
    far = torch.where(result.distance.isnan(), torch.nan, L0.distance(area, result.x_adv, x))  # type: ignore[arg-type]
    trace = result.trace.clone()
    trace[:, 2] = far[trace[:, 0].long()].double()
    return replace(result, threat=area, distance=far, trace=trace)


def read(saved: dict[str, Any]) -> Area | None:
    """The area whose fields these are, with the number of pixels that it had; None of another threat."""
    kind: type[Area] | None = Patch if "size" in saved else Frame if "width" in saved else None
    if kind is None:
        return None
    made = kind(**{name: value for name, value in saved.items() if name not in ("norm", "eps")})
    object.__setattr__(made, "eps", float(saved["eps"]))
    return made
