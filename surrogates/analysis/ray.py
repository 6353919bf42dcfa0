"""Evaluates a net along a ray x + eps * direction: the loss and its tangent, the labels, the decision regions.

By default the direction is the sign of the loss's gradient: the points are those of FGSM at every eps, and the tangent is the
first-order Taylor expansion that FGSM is derived from (Goodfellow et al. 2015, arXiv:1412.6572).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checks import as_images, as_labels
from blackbox.rowwise import row_dot, rows
from surrogates.analysis.alignment import input_gradient, loss_values
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts import losses
from surrogates.crafting.parts.losses import Answer
from surrogates.nets.predict import chunk_rows, logits, place, predict

__all__ = ["Line", "Ray", "Region", "fgsm_direction", "regions", "walk"]

Labels = Callable[[Tensor], Any]
_MOST = 64  # points at a time, of large images


@dataclass(frozen=True, eq=False)
class Line:
    """Rays from images ``x`` [N, \\*shape] along ``direction`` [N, \\*shape]; each pixel stops at 0 or 1."""

    x: Tensor
    direction: Tensor

    def at(self, index: Any, eps: Any) -> Tensor:
        """The points [m, \\*shape] of rays ``index`` [m] at ``eps`` [m]."""
        i = torch.as_tensor(index)
        return (self.x[i] + rows(torch.as_tensor(eps, dtype=torch.float32), self.x) * self.direction[i]).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Ray:
    """A net along rays; N images, E radii.

    Attributes:
        epsilons: [E], increasing.
        loss: [N, E] float64.
        tangent: [N, E] float64, the loss at x plus the gradient there times the actual change: linear in eps until a pixel
            is 0 or 1.
        label: [N, E] int64, the predicted class.
        confidence: [N, E] float32, its probability.
        probabilities: [N, E, C] float32.
        slope: [N] float64, of the tangent at eps 0 (for FGSM the L1 norm of the gradient).
        line: the points themselves, ``line.at([i], [eps])``.
    """

    epsilons: np.ndarray
    loss: np.ndarray
    tangent: np.ndarray
    label: np.ndarray
    confidence: np.ndarray
    probabilities: np.ndarray
    slope: np.ndarray
    start: np.ndarray  # [N] float64, the loss at x
    line: Line

    def linear_radius(self, share: float = 0.1) -> np.ndarray:
        """The largest measured eps [N] up to which the tangent's error is within ``share`` of its predicted increase.

        0 where even the smallest eps above 0 fails; the largest measured eps (censored) where none does.
        """
        foretold = self.tangent - self.start[:, None]
        right = np.abs(self.loss - self.tangent) <= share * np.abs(foretold) + 1e-9 * (1 + np.abs(self.start[:, None]))
        upto = np.logical_and.accumulate(right, axis=1).sum(1)
        return np.concatenate([[0.0], self.epsilons])[upto]


@dataclass(frozen=True)
class Region:
    """A segment of a ray with one predicted label, from ``start`` to ``stop`` in eps."""

    label: int
    start: float
    stop: float


def fgsm_direction(net: nn.Module, x: Any, y: Any, loss: str = "cross-entropy") -> Tensor:
    """The FGSM direction [N, \\*shape] float32: the sign of the gradient of the loss at labels ``y`` [N]."""
    return input_gradient(net, x, y, loss).sign().float()


def walk(
    net: nn.Module,
    x: Any,
    y: Any,
    epsilons: Any,
    direction: Tensor | None = None,
    *,
    loss: str = "cross-entropy",
) -> Ray:
    """Evaluate a net along a ray from each image.

    Args:
        net: gives logits for images in [0, 1].
        x: [N, \\*shape].
        y: [N] the labels of the loss.
        epsilons: [E] radii in units of ``direction``, increasing, from 0 up.
        direction: [N, \\*shape], by default the sign of the gradient (noise, say, for comparison).
        loss: ``"cross-entropy"``, ``"margin"`` ...

    Raises:
        ValueError: images, labels or radii that do not fit the net or each other.
    """
    images, radii = as_images(x, "x").cpu(), _radii(epsilons)
    g = input_gradient(net, images, y, loss)
    along = g.sign().float() if direction is None else torch.as_tensor(direction, dtype=torch.float32).cpu()
    if along.shape != images.shape:
        raise ValueError(
            f"Expected direction to have the shape of x, {tuple(images.shape)}, but it was {tuple(along.shape)}."
        )
    line = Line(images, along)
    begin = loss_values(net, images, y, loss)
    value, tangent, label, probabilities = [], [], [], []
    for i, points in _points(line, *_grid(line, radii), net):
        scores = logits(net, points).double()
        goal = Goal.of(as_labels(y, len(images), scores.shape[1], "y")[i])
        value.append(losses.get(loss)(Answer(scores), goal).numpy())
        tangent.append(begin[i] + row_dot(g[i], points.double() - images[i].double()).numpy())
        label.append(scores.argmax(1).numpy())  # of the scores: probabilities may round to a tie
        probabilities.append(scores.softmax(1).float().numpy())
    shape = (len(images), len(radii))
    p = np.concatenate(probabilities).reshape(*shape, -1)
    return Ray(
        radii, np.concatenate(value).reshape(shape), np.concatenate(tangent).reshape(shape),
        np.concatenate(label).reshape(shape), p.max(2), p, row_dot(g, along.double()).numpy(), begin, line,
    )  # fmt: skip


def regions(
    ray: Ray, model: nn.Module | Labels, *, label: np.ndarray | None = None, tolerance: float = 1e-4
) -> list[list[Region]]:
    """Find the decision regions that each ray crosses, with each border between two radii by bisection.

    Args:
        ray: from `walk`; its line and radii are used. The regions cover its radii.
        model: a net, or any function from images [m, \\*shape] to labels [m], such as ``lambda v: oracle(v).label``.
        label: [N, E] the model's labels at the radii, if known: ``ray.label`` for the ray's own net.
        tolerance: of a border, in eps. A region between two radii is found only if the labels at the two differ.

    Returns:
        For each image its regions, in order, without gaps.
    """
    if not tolerance > 0:
        raise ValueError(f"Expected tolerance to be a positive length in eps, but it was {tolerance!r}.")
    name = _namer(model)
    if label is None:
        label = np.concatenate([name(points) for _, points in _points(ray.line, *_grid(ray.line, ray.epsilons), model)])
        label = label.reshape(len(ray.line.x), len(ray.epsilons))
    borders: list[list[tuple[float, int]]] = [[] for _ in label]
    image, cell = np.nonzero(label[:, 1:] != label[:, :-1])
    low, high = ray.epsilons[cell].copy(), ray.epsilons[cell + 1].copy()
    before, after = label[image, cell], label[image, cell + 1]  # the labels at the two ends of the gap
    while len(image):
        there, end = after.copy(), high.copy()  # there: the label at ``end``
        while bool((wide := end - low > tolerance).any()):
            middle = (low + end) / 2
            found = np.where(wide, 0, before)
            at = np.flatnonzero(wide)
            found[at] = np.concatenate([name(p) for _, p in _points(ray.line, image[at], middle[at], model)])
            same = found == before
            low = np.where(wide & same, middle, low)
            end, there = np.where(wide & ~same, middle, end), np.where(wide & ~same, found, there)
        for i, eps, k in zip(image, end, there, strict=True):
            borders[i].append((float(eps), int(k)))
        more = there != after  # a thin region in the gap, whose far border is still to be found
        image, before, after, low, high = image[more], there[more], after[more], end[more], high[more]
    return [
        _stretches(int(first), sorted(found), ray.epsilons) for first, found in zip(label[:, 0], borders, strict=True)
    ]


def _stretches(first: int, borders: list[tuple[float, int]], radii: np.ndarray) -> list[Region]:
    edges = [float(radii[0]), *(eps for eps, _ in borders), float(radii[-1])]
    named = [first, *(k for _, k in borders)]
    return [Region(k, a, b) for k, a, b in zip(named, edges, edges[1:], strict=False)]


def _namer(model: nn.Module | Labels) -> Callable[[Tensor], np.ndarray]:
    if isinstance(model, nn.Module):
        return lambda points: predict(model, points).numpy()
    return lambda points: torch.as_tensor(model(points)).cpu().numpy()


def _grid(line: Line, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair every ray with every radius: the ray indices, and the eps values."""
    image, e = (index.ravel() for index in np.indices((len(line.x), len(radii))))
    return image, radii[e]


def _points(line: Line, image: np.ndarray, eps: np.ndarray, model: Any) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield (ray indices, their points) for one call of the model at a time."""
    device = place(model)[0] if isinstance(model, nn.Module) else torch.device("cpu")
    size = max(_MOST, chunk_rows(tuple(line.x.shape[1:]), device))
    for start in range(0, len(image), size):
        at = slice(start, start + size)
        yield image[at], line.at(image[at], eps[at])


def _radii(epsilons: Sequence[float] | Any) -> np.ndarray:
    radii = np.asarray(epsilons, dtype=np.float64)
    if radii.ndim != 1 or not len(radii) or not np.isfinite(radii).all() or radii[0] < 0 or (np.diff(radii) <= 0).any():
        raise ValueError(
            "Expected epsilons to be finite numbers from 0 up, each larger than the one before, but they were not."
        )
    return radii
