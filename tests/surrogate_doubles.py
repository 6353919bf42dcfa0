"""Small nets whose gradients one can write down, and doubles for targets."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

import blackbox as bb
from surrogates.crafting import parts, presets
from surrogates.crafting.parts import attention
from surrogates.nets import ViT


class Affine(nn.Module):
    """logits = W x + b for flattened images."""

    def __init__(self, d: int, classes: int = 3, seed: int = 0) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.w = nn.Parameter(torch.randn(classes, d, generator=g))
        self.b = nn.Parameter(torch.randn(classes, generator=g))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.w.T + self.b

    def centred(self) -> Affine:
        """The same, with a bias that leaves no class ahead at a grey image."""
        with torch.no_grad():
            self.b.copy_(-self.w.sum(1) / 2)
        return self


class Bowl(nn.Module):
    """Two logits, 0 and sum a (x - c)^2 / 2: the margin's gradient is a (x - c)."""

    def __init__(self, a: Tensor, c: Tensor) -> None:
        super().__init__()
        self.a, self.c = nn.Parameter(a), c

    def forward(self, x: Tensor) -> Tensor:
        value = (self.a * (x - self.c) ** 2).flatten(1).sum(1) / 2
        return torch.stack([torch.zeros_like(value), value], 1)


class Residual(nn.Module):
    """Two small convolutions, the second around a skip; works on any colour images."""

    def __init__(self, classes: int = 4, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.front, self.branch = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 5, 3, padding=1)
            self.back = nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.front(x).relu()
        return self.back((x + self.branch(x).relu()).mean((2, 3)) * 10)


def transformer(classes: int, shape: tuple[int, int, int], seed: int = 0) -> nn.Module:
    """A vision transformer of two narrow blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ViT(shape, classes, width=8, depth=2, heads=2).eval()


class Scripted:
    """A target that answers from a list, call by call."""

    def __init__(self, answers: list[list[int]]) -> None:
        self.answers = [torch.tensor(a) for a in answers]

    def __call__(self, x: Tensor) -> Tensor:
        return self.answers.pop(0)


def images(n: int, shape: tuple[int, ...] = (1, 4, 4), seed: int = 0, low: float = 0.2, high: float = 0.8) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, *shape, generator=g)


def lighter(preset: presets.Preset) -> presets.Preset:
    """The preset with three of whatever it has more of: copies, neighbours."""
    return replace(preset, parts=parts.Parts(tuple(map(_fewer, preset.parts))))


def served(preset: presets.Preset, net: nn.Module) -> list[nn.Module]:
    """Nets that the preset can work with, for colour images and four classes: ``net``, where it will do."""
    if preset.parts.one("schedule") is not None:
        return [net, Residual(seed=1)]
    if any(isinstance(part, attention.TransformerSurgery) for part in preset.parts):
        return [transformer(4, (3, 6, 6))]
    return [Residual()] if any(isinstance(part, parts.SGM) for part in preset.parts) else [net]


def _fewer(part: parts.Part) -> parts.Part:
    have = {f.name for f in fields(part)} & {"copies", "count"}
    return replace(part, **{name: min(getattr(part, name), 3) for name in have})  # type: ignore[arg-type]


class Rejecting:
    """The target, which refuses to answer where ``of`` says so."""

    def __init__(self, target: nn.Module, of: Any, access: str) -> None:
        self.target, self.of, self.access = target, of, access

    def __call__(self, x: Tensor) -> bb.targets.Answer:
        scores = self.target(x).detach()
        rejected = self.of(x)
        scores[rejected] = torch.nan
        label = torch.where(rejected, -1, scores.argmax(1))
        return bb.targets.Answer(label, None if self.access == "labels" else scores, rejected)
