"""Equal effort: every preset with as many steps and copies as a number of gradients buys; equal size: every change at one RMS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from blackbox.rowwise import row_norm, rows
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.presets import Preset

_COPIES = ("copies", "count")  # what parts call how many points, views or masks they average over
_SLOTS = ("probe", "view", "loss")


def at_effort(preset: Preset, gradients: int, nets: int = 1) -> Preset | None:
    """``preset`` for at most G = ``gradients`` an image, named ``"mi-fgsm @ 50"``; None where no single step is so cheap.

    Where its own T costs less, more steps are taken; where it costs more, first fewer copies are averaged over at each
    step (the part with most of them gives way first, down to two: one copy of SI, say, is no SI), then there are fewer
    steps. A one-step attack stays at its cost.
    """
    wanted = min(preset.steps, max(gradients // nets, 1))
    thin = preset
    while thin.cost(wanted, nets) > gradients and (fewer := _thinner(thin)) is not None:
        thin = fewer
    if thin.cost(1, nets) > gradients:
        return None
    steps = 1
    if preset.steps > 1:
        high = 2
        while thin.cost(high, nets) <= gradients:
            steps, high = high, high * 2
        while high - steps > 1:
            middle = (steps + high) // 2
            steps, high = (middle, high) if thin.cost(middle, nets) <= gradients else (steps, middle)
    return replace(thin, name=f"{preset.name} @ {gradients}", steps=steps)


def _thinner(preset: Preset) -> Preset | None:
    """One copy less, from the part with most; None where every part is down to two."""
    held = [
        (getattr(part, f.name), i, f.name)
        for i, part in enumerate(preset.parts)
        if part.slot in _SLOTS
        for f in fields(part)
        if f.name in _COPIES
    ]
    most, i, name = max(held, default=(1, 0, ""))
    if most <= 2:
        return None
    parts = list(preset.parts)
    parts[i] = replace(parts[i], **{name: most - 1})
    return replace(preset, parts=Parts(tuple(parts)))


def least_length(made: Mapping[str, Tensor] | Sequence[Tensor], x: Tensor) -> Tensor:
    """[N]: the Euclidean length of the shortest change to each image that is one at all; 0 where nobody changed it."""
    lengths = torch.stack([row_norm(v - x) for v in (made.values() if isinstance(made, Mapping) else made)])
    short = torch.where(lengths > 0, lengths, torch.inf).amin(0)
    return torch.where(short.isfinite(), short, 0.0)


def at_length(made: Tensor, x: Tensor, length: Tensor) -> Tensor:
    """``made`` [N, \\*shape] with each change cut down to ``length`` [N]; one that is shorter stays as it is. The result lies
    between ``x`` and ``made``, so inside whatever threat and box both are in. (To make changes longer: `minimum_norm.amplify`.)
    """
    change = made - x
    scale = (length / row_norm(change).clamp_min(1e-12)).clamp_max(1.0)
    between = torch.clamp(x + rows(scale, x) * change, torch.minimum(x, made), torch.maximum(x, made))
    return torch.where(rows(scale < 1, x), between, made)
