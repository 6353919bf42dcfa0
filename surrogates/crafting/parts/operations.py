"""Random operations on images, several at once: views that compose them (OPS), and one that learns which to take (L2T)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rng import Stream
from blackbox.rowwise import rows
from surrogates.crafting.parts.back import Back
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.blur import box_blur
from surrogates.crafting.parts.probes import Probe
from surrogates.crafting.parts.views import Draw, View, fork

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk

OPERATIONS = ("turn", "shear", "zoom", "shift", "flip", "roll", "darken", "blur", "noise", "drop")
_TURN, _SHEAR, _ZOOM, _SHIFT, _DARKEST, _NOISE, _DROP = math.pi / 6, 0.3, 0.3, 0.2, 0.3, 16 / 255, 0.1


def operated(x: Tensor, on: Tensor, rng: Stream, k: int) -> Tensor:
    """Apply to each row of ``x`` [m, c, h, w] those of `OPERATIONS` that are True in ``on`` [m, 10], each as strong as is drawn.

    Turn by up to 30 degrees, shear and zoom by up to 0.3, shift by up to 0.2 of the side, mirror, roll by any number of pixels,
    darken down to 0.3, blur with a 3 x 3 box, noise U(+-16/255), a tenth of the pixels black. The order is that of `OPERATIONS`; the
    first five are one map of the plane, so that the image is resampled once. Where nothing is chosen the row is unchanged.
    """
    h, w = x.shape[2:]
    u, chosen = rng.uniform_array(k, "strength", 9), on.cpu().numpy()

    def few(out: Tensor, which: np.ndarray, f: Callable[[Tensor, np.ndarray], Tensor]) -> Tensor:
        """``out`` with f(rows, their numbers) in place of the rows ``which`` [m]: the others take no time."""
        at = which.nonzero()[0]
        index = torch.from_numpy(at).to(out.device)
        if len(at) in (0, len(out)):
            return f(out, at) if len(at) else out
        return out.index_copy(0, index, f(out.index_select(0, index), at))

    def rolled(v: Tensor, at: np.ndarray) -> Tensor:
        down, right = (torch.from_numpy((u[at, i] * np.float32(side)).astype(np.int64)).to(v.device) for i, side in ((5, h), (6, w)))
        line = ((torch.arange(h, device=v.device) - down[:, None]) % h)[:, :, None] * w
        index = (line + ((torch.arange(w, device=v.device) - right[:, None]) % w)[:, None, :]).view(len(v), 1, h * w)
        return v.flatten(2).gather(2, index.expand(-1, v.shape[1], -1)).view_as(v)

    def draws(at: np.ndarray) -> Stream:
        return Stream(rng.seed, rng.ids[at], rng.device)

    def noisy(v: Tensor, at: np.ndarray) -> Tensor:
        return v + _NOISE * (2 * draws(at).uniform(k, "noise", tuple(x.shape[1:])) - 1)

    def dropped(v: Tensor, at: np.ndarray) -> Tensor:
        return v.masked_fill(draws(at).uniform(k, "drop", (1, h, w)) < _DROP, 0.0)

    def darker(v: Tensor, at: np.ndarray) -> Tensor:
        return v * rows(torch.from_numpy(1 - (1 - _DARKEST) * u[at, 7].astype(np.float64)).to(v), v)

    out = few(x, np.asarray(chosen[:, :5].any(1)), lambda v, at: _placed(v, chosen[at], u[at]))
    out = few(out, chosen[:, 5], rolled)
    out = few(out, chosen[:, 6], darker)
    out = few(out, chosen[:, 7], lambda v, at: box_blur(v, 1))
    return few(few(out, chosen[:, 8], noisy), chosen[:, 9], dropped)


def _placed(x: Tensor, on: np.ndarray, u: np.ndarray) -> Tensor:
    """Sample each row of ``x`` at the places that its turn, shear, zoom, shift and mirroring give, black outside."""
    turn, shear, zoom, shift, flip = on[:, :5].T
    v = 2 * u.T.astype(np.float64) - 1
    angle, slant = np.where(turn, _TURN * v[0], 0.0), np.where(shear, _SHEAR * v[1], 0.0)
    size, mirror = np.where(zoom, 1 + _ZOOM * v[2], 1.0), np.where(flip, -1.0, 1.0)
    c, s = np.cos(angle) * size, np.sin(angle) * size
    across, along = (np.where(shift, 2 * _SHIFT * v[i], 0.0) for i in (3, 4))
    matrices = np.stack([c * mirror, c * slant - s, across, s * mirror, s * slant + c, along], 1)
    a = torch.from_numpy(matrices).to(x)[:, :, None, None]
    return F.grid_sample(x, placed_by(a, x), mode="bilinear", padding_mode="zeros", align_corners=False)


def placed_by(a: Tensor, x: Tensor) -> Tensor:
    """The places [m, h, w, 2] that maps (a0 u + a1 v + a2, a3 u + a4 v + a5) of the plane, ``a`` [m, 6, 1, 1], give; each side of
    the image is -1 .. 1."""
    v, u = (((2 * torch.arange(side).to(x) + 1) / side) - 1 for side in x.shape[2:])
    u, v = u[None, None, :], v[None, :, None]
    return torch.stack([a[:, 0] * u + a[:, 1] * v + a[:, 2], a[:, 3] * u + a[:, 4] * v + a[:, 5]], 3)


@dataclass(frozen=True)
class Operators(View):
    """Applies a random composition of ``least`` to ``most`` different `OPERATIONS` to each of ``copies`` copies.

    For OPS (Guo et al. 2025, CVPR), whose operators these ten are instead of (ours): see `operated`.
    """

    copies: int = 30  # type: ignore[misc]
    least: int = 2
    most: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most <= len(OPERATIONS):
            raise ValueError(
                f"Expected 0 <= least <= most <= {len(OPERATIONS)} operations, but they were {self.least} and {self.most}."
            )

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        count = draw.integers("how many", self.least, self.most, 1)
        place = draw.order("which", len(OPERATIONS)).argsort(1)  # the place of each operation in a random order
        return operated(x, (place < count).to(x.device), draw.rng, draw.k)


@dataclass(frozen=True)
class L2T(Probe):
    """Learning to transform: each image learns, step by step, which `OPERATIONS` make its loss rise.

    Every copy is changed by ``operations`` operations, drawn independently by the image's own probabilities softmax(M), equal at
    first. The copies' gradients are averaged, and M rises by ``rate`` times the gradient of the expected loss.

    Zhu et al. 2024, arXiv:2405.14077, "Learning to transform dynamically for better adversarial transferability" (CVPR): two
    operations, rate 0.01. *Departs from the paper*: the operations are ours (ten instead of a hundred); the gradient of the expected
    loss is estimated by the score function with the copies' mean loss as baseline, in units of their spread (ours: losses
    grow over the steps); M is an image's own.
    """

    copies: int = 10
    operations: int = 2
    rate: float = 0.01

    def calls(self, k: int, steps: int) -> int:
        return self.copies

    def __call__(self, walk: Walk, at: Tensor) -> Tensor:
        logits: Tensor = walk.kept.get("probe", torch.zeros(len(at), len(OPERATIONS)).to(at))
        shares = logits.double().softmax(1)
        taken: list[Tensor] = []
        back = Back()

        def points() -> Iterator[Tensor]:
            for j in range(self.copies):
                rng = fork(walk.rng, f"l2t {j}")
                drawn = rng.uniform(walk.k, "which", self.operations).double()
                which = (shares.cumsum(1)[:, None, :-1] <= drawn[:, :, None]).sum(2)
                taken.append(F.one_hot(which, len(OPERATIONS)).sum(1).to(shares))
                yield back.change(at, partial(operated, on=taken[-1] > 0, rng=rng, k=walk.k))

        total, losses = torch.zeros_like(at), []
        for g, loss in walk.seen(points(), "l2t"):
            total += back.gradient(g)
            losses.append(loss.double())
        value = torch.stack(losses, 1)
        value = (value - value.mean(1, keepdim=True)) / value.std(1, correction=0, keepdim=True).clamp_min(1e-12)
        score = torch.stack(taken, 1) - self.operations * shares[:, None]  # the gradient of log p at M
        walk.kept["probe"] = logits + self.rate * (value[:, :, None] * score).mean(1).to(logits)
        return total / self.copies

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        if len(shape) != 3 or parts.all("view"):
            raise ValueError(
                f"Expected images [channels, height, width] and no view beside {self}, which chooses the views itself, but there were "
                f"shape {shape} and {', '.join(map(str, parts.all('view'))) or 'no view'}. Leave one of them out."
            )
