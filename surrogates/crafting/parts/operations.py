"""Random operations on images, several at once: views that compose them (OPS), and one that learns which to take (L2T)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rng import Stream
from blackbox.rowwise import rows
from surrogates.crafting.parts.back import Back
from surrogates.crafting.parts.base import Parts
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
    m, _, h, w = x.shape
    u = rng.uniform_array(k, "strength", 9)
    chosen = on.cpu().numpy()
    out = torch.where(on[:, :5].any(1).view(m, 1, 1, 1).to(x.device), _placed(x, chosen, u), x)
    down, right = (
        torch.tensor([int(v * side) if c else 0 for v, c in zip(u[:, i], chosen[:, 5], strict=True)], device=x.device)
        for i, side in ((5, h), (6, w))
    )
    line = ((torch.arange(h, device=x.device) - down[:, None]) % h)[:, :, None] * w
    index = (line + ((torch.arange(w, device=x.device) - right[:, None]) % w)[:, None, :]).view(m, 1, h * w)
    out = out.flatten(2).gather(2, index.expand(-1, x.shape[1], -1)).view_as(x)
    gain = torch.tensor([1 - (1 - _DARKEST) * float(v) if c else 1.0 for v, c in zip(u[:, 7], chosen[:, 6], strict=True)]).to(x)
    out = out * rows(gain, x)
    flags = [on[:, i].view(m, 1, 1, 1).to(x.device) for i in (7, 8, 9)]
    out = torch.where(flags[0], F.avg_pool2d(out, 3, 1, 1, count_include_pad=False), out)
    noise = rng.uniform(k, "noise", tuple(x.shape[1:]))
    out = torch.where(flags[1], out + _NOISE * (2 * noise - 1), out)
    return torch.where(flags[2] & (rng.uniform(k, "drop", (1, h, w)) < _DROP), torch.zeros_like(out), out)


def _placed(x: Tensor, on: object, u: object) -> Tensor:
    """Sample each row of ``x`` at the places that its turn, shear, zoom, shift and mirroring give, black outside."""
    matrices = []
    for chosen, v in zip(on.tolist(), u.tolist(), strict=True):  # type: ignore[attr-defined]
        turn, shear, zoom, shift, flip = chosen[:5]
        angle, slant = (_TURN * (2 * v[0] - 1) if turn else 0.0), (_SHEAR * (2 * v[1] - 1) if shear else 0.0)
        size = 1 + _ZOOM * (2 * v[2] - 1) if zoom else 1.0
        c, s, mirror = math.cos(angle) * size, math.sin(angle) * size, -1.0 if flip else 1.0
        across, along = (2 * _SHIFT * (2 * v[i] - 1) if shift else 0.0 for i in (3, 4))
        matrices.append((c * mirror, c * slant - s, across, s * mirror, s * slant + c, along))
    a = torch.tensor(matrices).to(x)[:, :, None, None]
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
