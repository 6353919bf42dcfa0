"""Pools for an attacker without data of the target's kind: noise, procedural pictures, and another data set made to fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.checks import check_int
from blackbox.rng import Stream
from surrogates.data.dataset import Dataset, images_of

KINDS = ("uniform", "gaussian", "smooth")
PROCEDURAL = ("dead leaves", "spectrum", "gratings")
_LEAVES, _BLOCK = 48, 512  # shapes an image; images at once
_MOVED = 0.1  # the largest noise on an entry of a changed copy


def noise(shape: Sequence[int], count: int, kind: str = "uniform", seed: int = 0) -> Dataset:
    """Make a pool of noise images.

    Args:
        shape: (C, H, W).
        count: how many.
        kind: ``"uniform"`` in [0, 1] (the noise baseline of Pal et al. 2019, arXiv:1905.09165); ``"gaussian"``:
            N(0.5, 0.25^2), clipped to [0, 1] (ours); ``"smooth"``: an enlarged random 4 x 4 picture (ours).
        seed: image i is a function of (seed, i).

    Raises:
        ValueError: an unknown kind, or a count below 1.
    """
    if kind not in KINDS or count < 1:
        raise ValueError(
            f"Expected one of {', '.join(KINDS)} and a count of at least 1, but they were {kind!r}, {count!r}."
        )
    rng = Stream(seed, np.arange(count, dtype=np.uint64))
    channels, *size = shape
    if kind == "gaussian":
        x = 0.5 + 0.25 * rng.normal(0, "noise", tuple(shape))
    elif kind == "uniform":
        x = rng.uniform(0, "noise", tuple(shape))
    else:
        small = rng.uniform(0, "noise", (channels, 4, 4))
        x = torch.nn.functional.interpolate(small, size=size, mode="bicubic", align_corners=False)
    return unlabelled(x.clamp(0, 1), f"{kind} noise")


def procedural(shape: Sequence[int], count: int, kind: str = "dead leaves", seed: int = 0, first: int = 0) -> Dataset:
    """Make a pool of procedural pictures, which have edges, areas and scales as photographs do, and show nothing.

    Such pictures teach nets more than noise does (Baradad et al. 2021, arXiv:2106.05963).

    Args:
        shape: (C, H, W).
        count: how many.
        kind: ``"dead leaves"``: discs and squares of random place, colour and turn cover one another, their radii with a density
            of r^-3 (Lee, Mumford & Huang 2001, "Occlusion models for natural images"; squares: Baradad et al.);
            ``"spectrum"``: random phases under a spectrum 1 / f^a, a uniform in [0.5, 3.5] (ibid., with one a for both axes),
            with mixed colours; ``"gratings"``: three waves of random direction, length and colour, sharpened (ours);
            ``"mixed"``: by turns one of each.
        seed, first: picture i is a function of (seed, first + i) and of the kind.

    Raises:
        ValueError: an unknown kind, or a count below 1.
    """
    known = (*PROCEDURAL, "mixed")
    if kind not in known or check_int(count, "count") < 1:
        raise ValueError(f"Expected one of {', '.join(known)} and a count of at least 1, but they were {kind!r}, {count!r}.")
    size, numbers = (int(shape[0]), int(shape[1]), int(shape[2])), np.arange(first, first + count, dtype=np.uint64)
    makers = [_MAKERS[name] for name in (PROCEDURAL if kind == "mixed" else (kind,))]
    x = torch.empty(count, *size)
    for turn, make in enumerate(makers):
        at = np.flatnonzero(numbers % len(makers) == turn)
        for part in np.array_split(at, max(1, math.ceil(len(at) / _BLOCK))):
            x[torch.from_numpy(part)] = make(size, Stream(seed, numbers[part]))
    return unlabelled(x, kind)


def fitted(data: Any, shape: Sequence[int]) -> Dataset:
    """Another data set as a pool for a target that takes images of ``shape`` (C, H, W): resized, with as many channels.

    Colour becomes grey by the mean of the channels, grey becomes colour by repetition; a size is changed bilinearly, with
    antialiasing.

    Raises:
        ValueError: no images [N, C, H, W], or numbers of channels that are neither equal nor 1.
    """
    x = images_of(data, "other images")
    channels, *size = (int(n) for n in shape)
    if x.ndim != 4 or (x.shape[1] != channels and 1 not in (x.shape[1], channels)):
        raise ValueError(
            f"Expected images that can be made to fit {tuple(shape)}, [N, C, H, W] with C = {channels} or grey, but their shape was "
            f"{tuple(x.shape)}."
        )
    if x.shape[1] != channels:
        x = x.mean(1, keepdim=True) if channels == 1 else x.expand(-1, channels, -1, -1)
    if tuple(x.shape[2:]) != tuple(size):
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
    return unlabelled(x.contiguous(), data.name if isinstance(data, Dataset) else "other images")


def widened(own: Dataset, count: int, seed: int = 0) -> Dataset:
    """Extend ``own`` to ``count`` images with copies, each shifted by up to an eighth of the side, with uniform noise.

    Repeating a query brings nothing new, but the answer to a changed copy shows on which side of the boundary it lies (ours;
    cf. Papernot et al. 2017, arXiv:1602.02697, who move images along the surrogate's Jacobian instead).
    """
    extra = count - len(own)
    if extra <= 0:
        return own
    rng = np.random.Generator(np.random.Philox(key=[seed & (1 << 64) - 1, 2]))
    copies = own.take(np.resize(np.arange(len(own)), extra))
    reach = max(1, min(own.shape[1:]) // 8)
    moves = rng.integers(-reach, reach + 1, (extra, 2))
    padded = F.pad(copies.images, (reach,) * 4, mode="replicate")
    h, w = own.shape[1:]
    shifted = torch.stack(
        [padded[i, :, reach + a : reach + a + h, reach + b : reach + b + w] for i, (a, b) in enumerate(moves.tolist())]
    )
    moved = torch.from_numpy(rng.uniform(-_MOVED, _MOVED, tuple(shifted.shape)).astype(np.float32))
    return replace(
        own, images=torch.cat([own.images, (shifted + moved).clamp(0, 1)]), labels=torch.cat([own.labels, copies.labels])
    )


def unlabelled(x: Tensor, name: str) -> Dataset:
    """Images as a Dataset without labels."""
    return Dataset(x, torch.zeros(len(x), dtype=torch.int64), ("unknown",), name)


def _dead_leaves(shape: tuple[int, int, int], rng: Stream) -> Tensor:
    channels, height, width = shape
    side = max(height, width)
    u = rng.uniform(0, "leaves", (_LEAVES, 6 + channels))[..., None, None]
    down, across = torch.arange(height).view(1, -1, 1) + 0.5, torch.arange(width).view(1, 1, -1) + 0.5
    x = rng.uniform(0, "ground", (channels, 1, 1)).expand(-1, *shape).clone()
    least, most = max(side / 32, 0.7), side / 2
    for leaf in u.unbind(1):
        y, z = down - height * leaf[:, 0], across - width * leaf[:, 1]
        radius = (least**-2 - leaf[:, 2] * (least**-2 - most**-2)) ** -0.5  # density r^-3
        turn = math.pi * leaf[:, 3]
        a, b = (turn.cos() * y + turn.sin() * z).abs(), (turn.cos() * z - turn.sin() * y).abs()
        inside = torch.where(leaf[:, 4] < 0.5, (y**2 + z**2).sqrt(), torch.maximum(a, b)) < radius
        x = torch.where(inside[:, None], leaf[:, 6:], x)
    return x


def _spectrum(shape: tuple[int, int, int], rng: Stream) -> Tensor:
    channels, height, width = shape
    steep = 0.5 + 3 * rng.uniform(0, "exponent", 1)[:, :, None, None]
    f = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    f[0, 0] = torch.inf  # the mean is set below
    waves = torch.fft.rfft2(rng.normal(0, "phases", shape)) * f**-steep
    x = torch.fft.irfft2(waves, s=(height, width))
    x = x / x.flatten(2).std(2, correction=0)[..., None, None].clamp_min(1e-12)
    mixed = torch.einsum("nij,njhw->nihw", rng.normal(0, "colours", (channels, channels)), x)
    mixed = mixed / mixed.flatten(1).std(1, correction=0).view(-1, 1, 1, 1).clamp_min(1e-12)
    return (0.3 + 0.4 * rng.uniform(0, "mean", (channels, 1, 1)) + 0.22 * mixed).clamp(0, 1)


def _gratings(shape: tuple[int, int, int], rng: Stream) -> Tensor:
    channels, height, width = shape
    down, across = torch.arange(height).view(1, -1, 1), torch.arange(width).view(1, 1, -1)
    u = rng.uniform(0, "waves", (3, 4))[..., None, None]
    colours = rng.normal(0, "colours", (3, channels))[..., None, None]
    x = torch.zeros(len(u), *shape)
    for wave, colour in zip(u.unbind(1), colours.unbind(1), strict=True):
        length = max(height, width) ** wave[:, 0] * 2
        turn = 2 * math.pi * wave[:, 1]
        phase = 2 * math.pi * ((turn.cos() * down + turn.sin() * across) / length + wave[:, 2])
        x += colour * (4 * wave[:, 3] * phase.sin()).tanh()[:, None]
    return (0.5 + 0.25 * x).clamp(0, 1)


_MAKERS = {"dead leaves": _dead_leaves, "spectrum": _spectrum, "gratings": _gratings}
