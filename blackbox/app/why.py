"""Why it transfers, as numbers: the gradients of both models at an image, and both losses along one and along chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from blackbox.app import compute
from blackbox.protocol import Access
from blackbox.rng import Stream
from surrogates.analysis.alignment import input_gradient
from surrogates.analysis.ray import Line, walk

if TYPE_CHECKING:
    from blackbox.app.bench import Bench, Shot
    from blackbox.oracle.oracle import Oracle

AUTOGRAD, DIFFERENCES, LABELS = "autograd", "differences", "labels"
CHANCE = 3  # random directions
_RADII = 21
_SMALL = 256  # entries of an image up to which each is probed; of larger ones blocks of pixels are
_BLOCKS = 8  # a side
_PLAIN = 0.1  # of a loss: a curve that moves less is called flat, not a staircase
_STEP = 0.45  # of a curve's whole way: a larger single step is a jump
_LEAST = 1e-6  # probability: of a target that is sure to be wrong the loss stays finite
_STEPS = (8 / 255, 1 / 8)  # of a probe: the second where a target's answers hardly move at the first (trees)


@dataclass(frozen=True)
class Slope:
    """A model's gradient [C, H, W] of the cross-entropy at the image; None if it cannot be had.

    how: by `AUTOGRAD`, by finite `DIFFERENCES`, or none because the target shows `LABELS`. queries: asked for it. step: of a
    pixel, of the differences. blocks: pixels a side that share an entry.
    """

    gradient: Tensor | None
    how: str
    queries: int = 0
    step: float = 0.0
    blocks: int = 1

    @property
    def zero(self) -> bool:
        """It is known, and zero everywhere."""
        return self.gradient is not None and not bool((self.gradient != 0).any())


@dataclass(frozen=True)
class Curves:
    """A model's loss along the surrogate's gradient [E] and along random signs [R, E], and its labels along the first [E]."""

    uphill: np.ndarray
    chance: np.ndarray
    label: np.ndarray

    @property
    def jumps(self) -> bool:
        """A staircase: it mostly stands still, or most of its way is a single step."""
        curves = np.concatenate([self.uphill[None], self.chance])
        steps, wide = np.abs(np.diff(curves, axis=1)), np.ptp(curves, axis=1)
        moves = wide > _PLAIN
        return bool(moves.any()) and bool((steps[moves] < 1e-9).mean() >= 0.5 or (steps.max(1) > _STEP * wide)[moves].any())

    def rise(self, at: int) -> tuple[float, float]:
        """By how much the loss grows to radius number ``at``, uphill and along the random directions on average."""
        return float(self.uphill[at] - self.uphill[0]), float((self.chance[:, at] - self.chance[:, 0]).mean())

    def best_by_chance(self, at: int) -> float:
        """By how much the loss grows to radius number ``at`` along the random direction that raises it most."""
        return float((self.chance[:, at] - self.chance[:, 0]).max())


@dataclass(frozen=True)
class Why:
    """Both models at one image, whose label ``leave`` the changes leave.

    cosine: of the two gradients, over blocks where the target was probed in blocks; NaN where one is zero or unknown.
    usual: two random directions stay within plus or minus this in 95 of 100 draws. eps: [E] radii. asked: queries of all.
    """

    surrogate: Slope
    target: Slope
    leave: int
    cosine: float
    usual: float
    eps: np.ndarray
    own: Curves
    other: Curves
    asked: int
    same: bool

    @property
    def end(self) -> int:
        """The number of the radius in the middle, the end of the page's slider."""
        return (len(self.eps) - 1) // 2

    def at_the_end(self, shot: Shot) -> tuple[compute.Said, compute.Said]:
        """What the surrogate and the target say at the slider's end, by their labels alone; as the slider shows it."""

        def said(model: str, leave: int | None, label: np.ndarray) -> compute.Said:
            first, last = int(label[0]), int(label[self.end])
            return compute.Said(model, first if leave is None else leave, first, last, None, None)

        return said("surrogate", self.leave, self.own.label), said("target", shot.label, self.other.label)


def explain(bench: Bench, shot: Shot, surrogate: str, target: str) -> Why:
    """Compare the two models at an image; asked once an image and pair of models.

    Raises:
        TargetError: the target failed.
    """
    return bench.recent(("why", surrogate, target, shot.key), lambda: _explain(bench, shot, surrogate, target))


def _explain(bench: Bench, shot: Shot, surrogate: str, target: str) -> Why:
    _, leave = compute.scored(bench, shot, surrogate)
    x, y, oracle = shot.image[None], torch.tensor([leave]), bench.viewer(target)
    before = oracle.rows
    own = Slope(input_gradient(bench.net(surrogate), x, y)[0], AUTOGRAD)
    other = _slope(bench, target, x, y)
    eps = np.linspace(0, 2 * bench.most, _RADII)
    assert own.gradient is not None
    uphill = own.gradient.sign().float()[None]
    draws = Stream(0, np.array([max(shot.number, 0)], dtype=np.uint64))
    chance = [draws.signs(k, "why", tuple(x.shape[1:])) for k in range(CHANCE)]
    lines = [Line(x, direction) for direction in (uphill, *chance)]
    walks = [walk(bench.net(surrogate), x, y, eps, direction=line.direction) for line in lines]
    ours = Curves(walks[0].loss[0], np.stack([w.loss[0] for w in walks[1:]]), walks[0].label[0])
    cosine, usual = _cosine(own, other)
    return Why(
        own, other, leave, cosine, usual, eps, ours, _along(oracle, lines, eps, leave), oracle.rows - before,
        bench.same(surrogate, target),
    )  # fmt: skip


def _slope(bench: Bench, target: str, x: Tensor, y: Tensor) -> Slope:
    """The target's gradient: by autograd where it is a net of the visitor's own, else from its answers."""
    net = bench.targets[target]().net
    if net is not None:
        return Slope(input_gradient(net, x, y)[0], AUTOGRAD)
    oracle = bench.viewer(target)
    if oracle.access is Access.LABELS:
        return Slope(None, LABELS)
    side = 1 if x.numel() <= _SMALL else math.ceil(max(x.shape[2:]) / _BLOCKS)
    before, made = oracle.rows, torch.zeros(x.shape[1:], dtype=torch.float64)
    step = 0.0
    for step in _STEPS:
        made = differences(lambda points: _asked(oracle, points, int(y))[0], x, step, side)
        if float((made != 0).double().mean()) >= 0.5:
            break
    return Slope(made, DIFFERENCES, oracle.rows - before, step, side)


def differences(loss: Callable[[Tensor], np.ndarray], x: Tensor, step: float, side: int = 1) -> Tensor:
    """The gradient [C, H, W] float64 of ``loss`` ([m, C, H, W] -> [m]) at x [1, C, H, W] by two-sided differences.

    Args:
        step: of a pixel, less at the edge of [0, 1]. side: pixels a side of the blocks that are moved as one, in all channels;
            each entry of a block then has the block's mean. 1: each entry by itself.
    """
    if side == 1:
        probes = torch.eye(x.numel()).view(-1, *x.shape[1:])
    else:
        high, wide = (math.ceil(s / side) for s in x.shape[2:])
        cells = torch.eye(high * wide).view(-1, 1, high, wide).repeat_interleave(side, 2).repeat_interleave(side, 3)
        probes = cells[:, :, : x.shape[2], : x.shape[3]].expand(-1, x.shape[1], -1, -1)
    up, down = (x + step * probes).clamp(0, 1), (x - step * probes).clamp(0, 1)
    moved = (up.double() - down.double()).flatten(1).sum(1)
    rise = torch.from_numpy(loss(up) - loss(down)).double()
    slope = torch.where(moved > 0, rise / moved.clamp_min(1e-12), 0.0)
    return (slope[:, None, None, None] * probes.double()).sum(0)


def _asked(oracle: Oracle, x: Tensor, leave: int) -> tuple[np.ndarray, np.ndarray]:
    """The target's loss [m] for images [m, C, H, W] and its labels [m]. The loss is the cross-entropy, or 0 and 1 where it shows
    its label only."""
    reply = oracle(x, purpose="why")
    label = reply.label.numpy(force=True)
    if reply.values is None:
        return (label != leave).astype(np.float64), label
    return -np.log(np.maximum(reply.probabilities().double().numpy(force=True)[:, leave], _LEAST)), label


def _along(oracle: Oracle, lines: list[Line], eps: np.ndarray, leave: int) -> Curves:
    """The target's curves, by queries."""
    points = torch.cat([line.at(np.zeros(len(eps), dtype=np.int64), eps) for line in lines])
    loss, label = (each.reshape(len(lines), len(eps)) for each in _asked(oracle, points, leave))
    return Curves(loss[0], loss[1:], label[0])


def _cosine(own: Slope, other: Slope) -> tuple[float, float]:
    """The cosine of two gradients, over the target's blocks, and how far from 0 that of two random directions would be."""
    assert own.gradient is not None
    g = own.gradient if other.blocks == 1 else _pooled(own.gradient, other.blocks)
    usual = 1.96 / math.sqrt(g.numel())
    if other.gradient is None:
        return math.nan, usual
    h = other.gradient if other.blocks == 1 else _pooled(other.gradient, other.blocks)
    lengths = float(g.norm() * h.norm())
    return (float((g * h).sum()) / lengths if lengths > 0 else math.nan), usual


def averaged(g: Tensor, side: int) -> Tensor:
    """Each block of [C, H, W] as its mean over pixels and channels: [1, H, W]."""
    grown = _pooled(g, side).repeat_interleave(side, 0).repeat_interleave(side, 1)
    return grown[None, : g.shape[1], : g.shape[2]]


def _pooled(g: Tensor, side: int) -> Tensor:
    """The mean of each block of [C, H, W], over the channels: [H / side, W / side]."""
    return functional.avg_pool2d(g.mean(0)[None, None], side, ceil_mode=True)[0, 0]
