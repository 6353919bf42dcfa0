"""Alignment of surrogates' gradients with a query-only target's, for two queries a surrogate and image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox.checks import as_ids, as_images, as_labels
from blackbox.goals.objective import Objective
from blackbox.oracle.oracle import Oracle
from blackbox.protocol import Access
from blackbox.rng import Stream
from blackbox.statistics import TwoLevel, two_level
from surrogates.analysis.alignment import input_gradient
from surrogates.transfer.runs import Source

_NUMBERS = 4_000_000  # of directions held at once
_LEVELS = 4  # levels of an 8-bit input by which a probe moves a pixel (RMS), so that rounding hardly turns it
_DEPENDENT = 0.05  # a gradient of which the others leave a smaller part (singular value) counts as dependent on them


@dataclass(frozen=True, eq=False)
class Directional:
    """The result of `DirectionalProbe` for K surrogates.

    slope [K, N]: of the target's loss along each surrogate's gradient; NaN where that is zero. size [N]: the estimated L2
    length of the target's gradient. cosine [K, N]: slope / size. queries: charged.
    """

    names: tuple[str, ...]
    slope: np.ndarray
    size: np.ndarray
    cosine: np.ndarray
    queries: int

    def mean(self, name: str) -> TwoLevel:
        """The mean cosine of a surrogate over the images where it is defined, with a bootstrap-t interval."""
        if name not in self.names:
            raise ValueError(f"Expected one of the surrogates {', '.join(self.names)}, but it was {name!r}.")
        row = self.cosine[self.names.index(name)]
        return two_level(np.nan_to_num(row), ~np.isnan(row), bounds=(-1, 1))


@dataclass(frozen=True)
class DirectionalProbe:
    """Estimates gradient size and alignment (S and R of Demontis et al. 2019, arXiv:1809.02861) of a query-only target.

    Along u, a surrogate's gradient of length 1, the slope of the target's loss is d = (L(x + h u) - L(x - h u)) / 2h =
    |grad L| cos. The rest of |grad L| is estimated along ``directions`` random ones, orthonormal and orthogonal to all
    surrogates' gradients: |grad L|^2 ~ |part in the surrogates' span|^2 + (dimensions left) * mean of their d^2. So a
    cosine never exceeds 1, and m directions give the size to about 1 / sqrt(2 m).

    At the edge of the box the centre of a probe is moved inwards as far as its two ends need (at most h). Ours.

    Args:
        directions: m, shared by all surrogates: 32.
        h: root mean square change of a pixel, in units of the image range: 0.001. Raised where the target rounds its
            scores or adds noise (r ** (1/3) for steps of r, Nocedal & Wright 2006, section 8.1), and to `_LEVELS` levels
            where it sees 8 bits; points are then rounded, and slopes taken along the rounded change.
        loss: ``"margin"`` or ``"cross-entropy"`` (Demontis et al.), whose slope is lost in rounding where a target is
            confident.
    """

    directions: int = 32
    h: float = 0.001
    loss: str = "margin"

    def __post_init__(self) -> None:
        if self.directions < 1 or not 0 < self.h < 0.5:
            raise ValueError(
                f"Expected at least one direction and h between 0 and 0.5, but they were {self.directions} and {self.h}."
            )
        Objective(self.loss)

    def plan(self, images: int, surrogates: int = 1) -> int:
        """The number of queries: 2 a surrogate and image, and 2 a random direction and image."""
        return 2 * images * (surrogates + self.directions)

    def __call__(
        self, surrogates: Mapping[str, Source], oracle: Oracle, x: Any, y: Any, *, seed: int = 0, ids: Any = None,
        budget: int | None = None,
    ) -> Directional:  # fmt: skip
        """Probe the target behind ``oracle`` at x [N, \\*shape] with labels y [N]; charged under ``"alignment"``.

        Args:
            budget: raise an error, before any query, if `plan` exceeds it.

        Raises:
            ValueError: a plan beyond the budget, a target that shows labels only, more directions than the images have
                entries, images that do not fit. TargetError: the target failed.
        """
        images = as_images(x, "x")
        labels = as_labels(y, len(images), oracle.classes, "y")
        d, k, bill = images[0].numel(), len(surrogates), self.plan(len(images), len(surrogates))
        if budget is not None and bill > budget:
            raise ValueError(
                f"Expected a plan within {budget:,} queries, but it is {bill:,}. Take fewer images or directions."
            )
        if oracle.access is Access.LABELS:
            raise ValueError("Expected an oracle that shows scores, but it shows labels only, which have no slope.")
        if not k or k + self.directions > d:
            raise ValueError(
                f"Expected at least one surrogate and, with {k} of them, at most {d - k} directions for images with {d} "
                f"entries, but there were {self.directions}."
            )
        gradients = [input_gradient(net, images, labels, self.loss).flatten(1).numpy() for net in surrogates.values()]
        pull = np.stack(gradients, 1)  # [N, K, d]
        stream, before = Stream(seed, as_ids(ids, len(images))), oracle.rows
        slope, size = np.full((k, len(images)), np.nan), np.zeros(len(images))
        for part in _pieces(len(images), (k + self.directions) * d):
            drawn = (
                stream.take(np.arange(len(images))[part]).normal(0, "alignment", (self.directions, d)).double().numpy()
            )
            rows = [ProbeBasis(g, v) for g, v in zip(pull[part], drawn, strict=True)]
            u = torch.from_numpy(np.stack([np.concatenate([row.unit, row.random]) for row in rows]))
            found = self._slopes(oracle, images[part], labels[part], u)
            for i, (row, s) in enumerate(zip(rows, found, strict=True), part.start):
                slope[row.nonzero, i] = s[:k][row.nonzero]
                size[i] = row.size(s, d)
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = np.where(size > 0, slope / size, np.nan)
        return Directional(tuple(surrogates), slope, size, cosine, oracle.rows - before)

    def _slopes(self, oracle: Oracle, x: Tensor, y: Tensor, u: Tensor) -> np.ndarray:
        """Measure the slopes [n, q] at ``x`` [n, \\*shape] along directions ``u`` [n, q, d]."""
        d, h, judge = u.shape[2], self.h, Objective.behind(oracle, self.loss)
        if floor := max(oracle.resolution, oracle.noise):
            h = max(h, floor ** (1 / 3) / math.sqrt(d))
        h = max(h, _LEVELS * oracle.probe) * math.sqrt(d)
        out = np.empty(u.shape[:2])
        for j in range(u.shape[1]):
            step = (h * u[:, j]).clamp(-0.5, 0.5).view_as(x)
            centre = torch.minimum(torch.maximum(x.double(), step.abs()), 1 - step.abs())
            ends = [(centre + sign * step).float().clamp(0, 1) for sign in (1, -1)]
            if oracle.probe:
                ends = [((e / oracle.probe).round() * oracle.probe).clamp(0, 1) for e in ends]
            high, low = (judge(oracle(e, purpose="alignment"), y.to(oracle.device))[0].double().cpu() for e in ends)
            moved = (ends[0].double() - ends[1].double()).flatten(1).norm(dim=1).cpu()
            out[:, j] = torch.where(moved > 0, (high - low) / moved.clamp_min(1e-30), 0.0).numpy()
        return out


class ProbeBasis:
    """The directions in which a target is probed at one image: K gradients ``pull`` [K, d], and m random ones made of
    ``drawn`` [m, d] that are orthogonal to them.

    unit [K, d]: the gradients scaled to length 1 (0 where a gradient is zero). nonzero [K]: which are not zero. basis [r, d]:
    orthonormal, spans the gradients. random [m, d]: orthonormal, uniform in the orthogonal complement of the basis.
    """

    def __init__(self, pull: np.ndarray, drawn: np.ndarray) -> None:
        length = np.linalg.norm(pull, axis=1, keepdims=True)
        self.nonzero = length[:, 0] > 0
        self.unit = pull / np.where(length > 0, length, 1)
        left, values, basis = np.linalg.svd(self.unit, full_matrices=False)
        own = values > _DEPENDENT
        self.basis, self.coordinates = basis[own], left[:, own] / values[own]
        free = drawn - (drawn @ self.basis.T) @ self.basis
        free = free - (free @ self.basis.T) @ self.basis  # twice, to remove rounding errors
        self.random = np.linalg.qr(free.T)[0].T

    def size(self, slopes: np.ndarray, d: int) -> float:
        """Estimate a gradient's length from its slopes [K + m] along ``unit`` and ``random``; exact where they span all d."""
        k = len(self.unit)
        within = slopes[:k] @ self.coordinates
        return math.sqrt(float(within @ within) + (d - len(self.basis)) * float(np.mean(slopes[k:] ** 2)))


def _pieces(count: int, each: int) -> Iterator[slice]:
    step = max(1, _NUMBERS // each)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
