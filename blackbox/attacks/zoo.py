"""ZOO (Chen, Zhang, Sharma, Yi & Hsieh 2017, arXiv:1708.03999)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.estimators.probes import Own, differences, probe_size
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import row_norm, rows


@dataclass(frozen=True)
class ZOO(Attack):
    """Adam on single coordinates, each step on a few drawn at random.

    A step costs two queries for each coordinate and one for the point it leads to.

    Args:
        coordinates: how many a step: 128 (the paper).
        side: the change is that of a small image, ``side`` pixels a side, enlarged bilinearly: 32 from 128 pixels on
            (the paper, ImageNet); below that, the image itself.
        h: probe radius in units of the image range: 0.0001 (the paper).
        rate: the Euclidean length of Adam's first step as a share of eps: 0.5, the paper's step of 0.01 in each of 128
            coordinates at the mean distortion of 0.2 that it reports on CIFAR-10 (decays 0.9 and 0.999: the authors' code).

    Needs: scores, or at least the top k. State: change, mean, square, count [n, coordinates]: the small image, Adam's
    two moments, and how often each of its coordinates was drawn.
    Departs from the paper: the change is bounded by eps (projected) instead of weighed against the loss, so there is no
    constant to search for and no change of variables; no importance sampling, no growing subspace. The step is
    cut to the coordinates that the budget pays for.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("L2",)

    coordinates: int = 128
    side: int | None = None
    h: float = 0.0001
    rate: float = 0.5

    def __post_init__(self) -> None:
        if self.coordinates < 1 or (self.side is not None and self.side < 1) or not (self.h > 0 and self.rate > 0):
            raise ValueError(
                f"Expected coordinates and side of at least 1, and h and rate above 0, but they were {self.coordinates}, "
                f"{self.side}, {self.h} and {self.rate}."
            )

    @dataclass
    class State:
        change: Tensor
        mean: Tensor
        square: Tensor
        count: Tensor

    def grid(self, t: Task) -> tuple[int, int, int]:
        """Channels, rows and columns of the small image."""
        c, h, w = t.grid
        side = self.side or (32 if min(h, w) >= 128 else max(h, w))
        return c, min(side, h), min(side, w)

    def init(self, t: Task) -> State:
        zero = t.x0.new_zeros(t.n, math.prod(self.grid(t)))
        return self.State(zero, zero, zero, zero.long())

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        small = self.grid(t)
        d = math.prod(small)
        full = min(self.coordinates, d)
        count = max(0, min(full, (t.budget - 2 - k * (2 * full + 1)) // 2))  # the last step leaves a query for its point
        at = t.rng.permutation(k, "coordinates", d)[:, :count]
        h = probe_size(t, self.h)

        def make(row: Tensor, index: Tensor) -> Tensor:
            one = s.change.new_zeros(len(row), d).scatter_(1, at[row, index // 2][:, None], h)
            return enlarge((one * (1 - 2 * (index % 2))[:, None]).view(-1, *small), t)

        if count:
            a = yield Ask(t.project(t.x0 + enlarge(s.change.view(-1, *small), t)), u=Own(2 * count, make))
            g = differences(a.loss, None) / (2 * h)
        else:
            g = s.change.new_zeros(t.n, 0)
        times = s.count.gather(1, at) + 1
        mean = 0.9 * s.mean.gather(1, at) + 0.1 * g
        square = 0.999 * s.square.gather(1, at) + 0.001 * g * g
        first, second = corrections(str(g.device))
        place = times.clamp_max(len(first) - 1)
        rate = self.rate * t.radius / full**0.5
        move = rate * (mean / first[place]) / ((square / second[place]).sqrt() + 1e-8)
        change = s.change.scatter_add(1, at, move)
        if t.eps < torch.inf:
            length = row_norm(enlarge(change.view(-1, *small), t)).clamp_min(1e-12)
            change = change * rows((t.eps / length).clamp_max(1.0), change)
        yield Ask(t.x0 + enlarge(change.view(-1, *small), t))
        return self.State(
            change, s.mean.scatter(1, at, mean), s.square.scatter(1, at, square), s.count.scatter(1, at, times)
        )


@lru_cache(maxsize=4)
def corrections(device: str) -> tuple[Tensor, Tensor]:
    """1 - 0.9**T and 1 - 0.999**T, from a table: a vectorised power may round by an entry's place in memory."""
    first, second = ([1 - decay**i for i in range(10_000)] for decay in (0.9, 0.999))
    return torch.tensor(first, device=device), torch.tensor(second, device=device)


def enlarge(v: Tensor, t: Task) -> Tensor:
    """Bilinear, corners on corners: [n, channels, down, across] -> [n, \\*shape]."""
    for axis, size in ((2, t.shape[-2] if len(t.shape) > 1 else 1), (3, t.shape[-1])):
        if v.shape[axis] != size:
            place = torch.linspace(0, v.shape[axis] - 1, size, dtype=torch.float64)
            low = place.floor().long().clamp_max(max(v.shape[axis] - 2, 0))
            part = (place - low).to(v).view(-1, *[1] * (3 - axis))
            low = low.to(v.device)
            high = (low + 1).clamp_max(v.shape[axis] - 1)
            v = v.index_select(axis, low) * (1 - part) + v.index_select(axis, high) * part
    return v.reshape(len(v), *t.shape)
