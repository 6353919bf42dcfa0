"""The walk: one run of the loop over a batch, as parts see it, with what they remember between steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from blackbox.direction import mean_abs
from blackbox.rng import Stream
from blackbox.threat import Threat
from surrogates.crafting.ball import random_point
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.parts.back import Back
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.views import fork, join
from surrogates.nets.predict import cut, pieces

if TYPE_CHECKING:
    from surrogates.crafting.gradients import Gradient
    from surrogates.crafting.parts.losses import Answer


@dataclass
class Walk:
    """One run of the loop over n rows.

    Attributes:
        source: the gradient source without views.
        field: the source behind the views.
        members: ``field`` for each net of an ensemble alone.
        parts, threat, steps: as given.
        step: the step size alpha, in units of the threat's norm.
        x0, x: [n, \\*shape] the start and the current point.
        goal, rng, pool: of these rows.
        rows: how many rows fit in a call.
        k: the step, from 0.
        m: [n, \\*shape] the momentum.
        before: [n, \\*shape] the gradient of the previous step (None at first).
        kept: what parts remember, by slot.
    """

    source: Gradient
    field: Gradient
    members: Sequence[Gradient]
    parts: Parts
    threat: Threat
    step: float
    steps: int
    x0: Tensor
    x: Tensor
    goal: Goal
    rng: Stream
    rows: int
    k: int = 0
    pool: Pool | None = None
    m: Tensor = default(init=False)
    before: Tensor | None = None
    kept: dict[str, Any] = default(default_factory=dict)

    def __post_init__(self) -> None:
        self.m = torch.zeros_like(self.x0)

    @property
    def last(self) -> Tensor:
        """``hat`` of the previous step's gradient; zero at first."""
        return torch.zeros_like(self.x0) if self.before is None else self.hat(self.before)

    def gradient(self, at: Tensor, tag: str = "", source: Gradient | None = None) -> Tensor:
        """The gradient [n, \\*shape] at points [n, \\*shape]. ``tag`` seeds the draws of the views: two gradients of a step with
        the same tag use the same draws."""
        rng = fork(self.rng, tag) if tag else self.rng
        return (source or self.field)(at, self.goal, rng, self.k)

    def gradients(self, points: Iterable[Tensor], tag: str) -> Iterator[Tensor]:
        """Yield the gradient at each of ``points`` [n, \\*shape], with as many points in a call as fit."""

        def call(x: Tensor, goal: Goal, rng: Stream) -> tuple[Tensor, ...]:
            return (self.field(x, goal, rng, self.k),)

        return (g for (g,) in self._together(points, tag, call))

    def seen(self, points: Iterable[Tensor], tag: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the gradient at each of ``points`` [n, \\*shape] and the loss [n] there, through all nets and no view.

        Raises:
            ValueError: the source does not tell its loss (one that queries a target).
        """
        if not hasattr(self.source, "seen"):
            raise ValueError("Expected gradients through nets of one's own, which tell their loss, but the source only estimates them.")

        def call(x: Tensor, goal: Goal, rng: Stream) -> tuple[Tensor, ...]:
            return tuple(self.source.seen(x, goal, rng, self.k)[:2])  # type: ignore[attr-defined]

        return ((g, loss) for g, loss in self._together(points, tag, call))

    def _together(
        self, points: Iterable[Tensor], tag: str, call: Callable[[Tensor, Goal, Stream], tuple[Tensor, ...]]
    ) -> Iterator[tuple[Tensor, ...]]:
        waiting: list[Tensor] = []
        room, done = max(1, self.rows // len(self.x0)), 0

        def flush() -> Iterator[tuple[Tensor, ...]]:
            nonlocal done
            rng = join([fork(self.rng, f"{tag} {done + j}") for j in range(len(waiting))])
            index = torch.arange(len(self.x0)).repeat(len(waiting))
            goal = self.goal[index] if len(waiting) > 1 else self.goal
            out = call(torch.cat(waiting), goal, rng)
            done += len(waiting)
            waiting.clear()
            yield from zip(*(v.split(len(self.x0)) for v in out), strict=True)

        for point in points:
            waiting.append(point)
            if len(waiting) == room:
                yield from flush()
        if waiting:
            yield from flush()

    def through(
        self, at: Tensor, change: Callable[[Tensor, int], Tensor], count: int, tag: str
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the gradient at each changed point, change(at, j) for j < ``count``, and what it is at ``at``, by the chain rule."""
        back = Back()
        points = (back.change(at, lambda x, j=j: change(x, j)) for j in range(count))  # type: ignore[misc]
        return ((g, back.gradient(g)) for g in self.gradients(points, tag))

    def mean(self, points: Iterable[Tensor], tag: str) -> Tensor:
        """The mean gradient over ``points``, each [n, \\*shape]."""
        total, count = torch.zeros_like(self.x0), 0
        for g in self.gradients(points, tag):
            total += g
            count += 1
        return total / count

    def answers(self, x: Tensor, take: Callable[[list[Answer], Goal], Tensor], grad: bool = False) -> Tensor:
        """Apply ``take(answers, goal)`` -> [m, ...] to the nets' answers to ``x`` [n, \\*shape], in pieces of ``rows`` rows;
        ``grad``: with graph."""
        out = []
        for where, fill in pieces(len(x), self.rows):
            index = torch.arange(where.start, where.stop) if fill is None else fill
            rng, goal = Stream(self.rng.seed, self.rng.ids[index.numpy()], self.rng.device), self.goal[index]
            with torch.set_grad_enabled(grad):
                point = cut(x, where, fill).detach().requires_grad_(grad)
                answers = self.source.answers(point, goal, rng, self.k)  # type: ignore[attr-defined]
                out.append(take(answers, goal)[: where.stop - where.start])
        return torch.cat(out)

    def hat(self, g: Tensor) -> Tensor:
        """Normalise ``g`` so that ``step * hat(g)`` has about the length of a step in the threat's norm.

        Each row is divided by its mean absolute entry and multiplied by `scale`: 1 in Linf, as in the papers; d^-1/2 in L2
        and 1/d in L1 (ours)."""
        scaled, _ = mean_abs().update(g, ())
        return scaled * self.scale

    @property
    def scale(self) -> float:
        """The entry of a constant vector whose length in the threat's norm is 1."""
        return 1.0 if self.threat.p in (math.inf, 0) else self.x0[0].numel() ** (-1 / self.threat.p)

    def ball(self, tag: str, factor: float) -> Tensor:
        """Uniform points [n, \\*shape] in a ball around 0, ``factor`` times as large as the threat's."""
        return random_point(self.threat, self.rng, tuple(self.x0.shape[1:]), self.k, tag) * factor
