"""`Universal`: one change for all images."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox import areas
from blackbox.areas import Area, Frame, Patch
from blackbox.checks import as_ids, as_images, as_mask
from blackbox.rng import Stream
from blackbox.threat import L1, L2, Linf, Threat

FORMAT = "blackbox-universal-1"
_NORMS: dict[str, type[Threat]] = {"Linf": Linf, "L2": L2, "L1": L1}


@dataclass(frozen=True)
class Universal:
    """One change for all images: a perturbation that is added to each, or a patch or a frame that is pasted onto each.

    Moosavi-Dezfooli et al. 2017, arXiv:1610.08401; patches: Brown et al. 2017, arXiv:1712.09665. What makes them:
    `surrogates.universal`, from nets one owns, and `blackbox.universal`, by queries.

    Attributes:
        change: [\\*shape] float32, what is added; of a patch or a frame its content, [channels, height, width].
        threat: within which it was made.
        mask: [\\*shape of an image] bool, the entries that may change; None where all may.
        place: the row and column of the content; None where nothing is pasted, or each image has a place of its own, drawn from seed
            and id (``Patch(size, location="random")``).
        config: how it was made: numbers and words.
    """

    change: Tensor
    threat: Threat
    mask: Tensor | None = None
    place: tuple[int, int] | None = None
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_threat(self.threat)

    @property
    def pasted(self) -> bool:
        """Whether it replaces what it covers, instead of being added."""
        return isinstance(self.threat, Area)

    def apply(self, x: Any, *, seed: int = 0, ids: Any = None) -> Tensor:
        """Change images [N, \\*shape] in [0, 1]: each stays within the threat and its box, and outside the mask nothing changes.

        seed, ids: of places that are drawn; ids are 0..N-1 by default.

        Raises:
            ValueError: images of another shape, or too small for the patch.
        """
        x0 = as_images(x, "x")
        self._check(tuple(x0.shape[1:]))
        change = self.change.to(x0.device)
        if not self.pasted:
            made = self.threat.project(x0 + change, x0)
        else:
            made = paste(x0, change, self._places(x0, seed, as_ids(ids, len(x0), distinct=False)))
        return made if self.mask is None else torch.where(self.mask.to(x0.device), made, x0)

    def noise(self, seed: int = 0) -> Universal:
        """A random change of the same size, the baseline: the signs of what is added are drawn, entry by entry; content is drawn
        uniformly from the box."""
        rng, shape = Stream(seed, np.zeros(1, np.uint64)), tuple(self.change.shape)
        if self.pasted:
            low, high = self.threat.lower, self.threat.upper
            drawn = low + (high - low) * rng.uniform(0, "universal noise", shape)[0]
        else:
            drawn = rng.signs(0, "universal noise", shape)[0] * self.change.abs()
        return replace(self, change=drawn.to(self.change), config={"method": "noise", "seed": seed})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it into one safetensors file, which holds no code. Raises: ValueError, another ending."""
        from safetensors.torch import save_file

        file = Path(path)
        if file.suffix != ".safetensors":
            raise ValueError(f"Expected a path that ends in .safetensors, but it was {file}.")
        about = {"threat": {"norm": self.threat.norm, **asdict(self.threat)}, "place": self.place, "config": self.config}
        tensors = {"change": self.change.cpu().contiguous()}
        if self.mask is not None:
            tensors["mask"] = self.mask.cpu().contiguous()
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, file, {"format": FORMAT, "universal": json.dumps(about)})
        return file

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Universal:
        """Read what `save` wrote. Raises: FileNotFoundError; ValueError, it is another file."""
        from safetensors import SafetensorError, safe_open

        file = Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"Expected a universal change at {file}, but there is none. Write one with Universal.save.")
        try:
            with safe_open(file, framework="pt") as held:
                said = held.metadata() or {}
                tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"Expected {file} to be a safetensors file, but it could not be read: {error}.") from None
        if said.get("format") != FORMAT or "change" not in tensors:
            raise ValueError(f"Expected a universal change of format {FORMAT} in {file}, but it has {said.get('format') or 'none'}.")
        about = json.loads(said["universal"])
        spec = about["threat"]
        threat = areas.read(spec) or _NORMS[spec["norm"]](float(spec["eps"]), spec["lower"], spec["upper"])
        place = None if about["place"] is None else (int(about["place"][0]), int(about["place"][1]))
        return cls(tensors["change"], threat, tensors.get("mask"), place, about["config"])

    def _check(self, shape: tuple[int, ...]) -> None:
        if isinstance(self.threat, Area):
            self.threat.sized(shape)
        like = None if isinstance(self.threat, Patch) else tuple(self.change.shape)
        if self.mask is not None:
            like = tuple(self.mask.shape)
        channels = len(shape) == len(self.change.shape) and shape[0] == self.change.shape[0]
        if like not in (None, shape) or not channels:
            raise ValueError(
                f"Expected images of the shape that the universal change was made for, {like or tuple(self.change.shape)}, but they have "
                f"{shape}."
            )

    def _places(self, x: Tensor, seed: int, ids: np.ndarray) -> Tensor:
        if self.place is not None or not isinstance(self.threat, Patch):
            return torch.tensor(self.place or (0, 0)).expand(len(x), 2)
        return self.threat.places(tuple(x.shape[1:]), ids, seed)

    def __str__(self) -> str:
        return f"one change for all images, {self.threat}"


def check_threat(threat: Threat) -> None:
    """Refuse a threat within which there is no change for all images. Raises: ValueError."""
    if not isinstance(threat, Area) and threat.norm not in _NORMS:
        raise ValueError(
            f"Expected a threat in Linf, L2 or L1 for a universal change, or a patch or a frame, but it was {threat}. For few pixels take "
            "bb.Patch(size)."
        )
    if not isinstance(threat, Area) and not threat.eps < np.inf:
        raise ValueError(f"Expected a finite eps for a universal change, but it was {threat}.")


def paste(x: Tensor, content: Tensor, places: Tensor) -> Tensor:
    """Images ``x`` [n, c, height, width] with the content [c, h, w], or [n, c, h, w], at rows and columns [n, 2]."""
    n, (c, h, w) = len(x), content.shape[-3:]
    row, channel, down, across = window(n, c, places.to(x.device), (h, w))
    out = x.clone()
    out[row, channel, down, across] = content.to(x.dtype).expand(n, c, h, w)
    return out


def window(n: int, c: int, places: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The index of the entries of patches of this size at rows and columns [n, 2], in images [n, c, height, width]."""
    device = places.device
    down = places[:, 0, None] + torch.arange(size[0], device=device)
    across = places[:, 1, None] + torch.arange(size[1], device=device)
    row, channel = torch.arange(n, device=device)[:, None, None, None], torch.arange(c, device=device)[:, None, None]
    return row, channel, down[:, None, :, None], across[:, None, None, :]


def allowed(threat: Threat, shape: tuple[int, ...], mask: Any) -> Tensor | None:
    """Which entries of every image a change may reach, [\\*shape] bool: those of the user's ``mask``, of a frame only its own; None: all.

    Raises:
        ValueError: a mask of another shape, of shares of eps, or with a patch that has no one place; a patch or a frame that does not fit.
    """
    if isinstance(threat, Area):
        threat.sized(shape)
    given = None
    if mask is not None:
        found, weights = as_mask(mask, (1, *shape))
        given = found[0]
        if weights is not None:
            raise ValueError("Expected a mask of bools for a universal change, but it held shares of eps. Write mask > 0.")
        if isinstance(threat, Patch) and threat.given is None:
            raise ValueError(f"Expected no mask with {threat}, which has no one place, but there was one. Leave it out.")
    if not isinstance(threat, Frame):
        return given
    frame = threat.mask(shape, np.zeros(1, np.uint64), 0)
    return frame[0] if given is None else frame[0] & given
