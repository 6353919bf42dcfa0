"""`Ascent`: the loop of FGSM and its family, gradient -> direction -> change -> projection, repeated.

The gradient comes from autograd through your own nets, from finite differences over queries, or from both: a gradient
source that queries the target is a generator of `Ask`, any other a plain function, and the loop works with either.

    surrogates.ascend          autograd, with a part in every slot
    candidates.craft           gradients of a prior
    fd-ifgsm, nes, spsa ...    estimates from queries; each new point is queried
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from blackbox.direction import Direction
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose

Gradient = Callable[[Tensor, int], Any]
"""(points [n, \\*shape], k) -> the gradient [n, \\*shape] at step k, or a generator that asks and returns it."""

Change = Callable[[Tensor, Tensor, int], Tensor]
"""(direction [n, \\*shape], points, k) -> what is added to the points at step k."""


class Ascent(NamedTuple):
    """The three parts of one iteration; ``direction`` holds the memory (momentum), see `blackbox.direction`."""

    gradient: Gradient
    direction: Direction
    change: Change

    def step(self, x: Tensor, state: Any, k: int) -> Steps[tuple[Tensor, Any]]:
        """Take one step from ``x`` [n, \\*shape]; return the new point, not yet projected, and the direction's state."""
        g = self.gradient(self.direction.peek(x, state), k)
        if inspect.isgenerator(g):
            g = yield from g
        u, state = self.direction.update(g, state)
        return x + self.change(u, x, k), state

    def run(self, x: Tensor, steps: int, project: Callable[[Tensor], Tensor]) -> Steps[Tensor]:
        """Take ``steps`` steps from ``x``, each followed by ``project``, and return the last point."""
        state = self.direction.init(x)
        for k in range(steps):
            x, state = yield from self.step(x, state, k)
            x = project(x)
        return x


def without_queries(steps: Steps[Tensor]) -> Tensor:
    """The result of a generator that makes no queries."""
    try:
        next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise TypeError("Expected a gradient source that asks no queries here, but it asked one. Let the engine run the loop.")


def queried_step(
    ascent: Ascent, x: Tensor, loss: Tensor, state: Any, k: int
) -> Steps[tuple[Tensor, Tensor, Any]]:
    """Take one step and query the new point; return the points, their losses [n], and the direction's state.

    A row that did not pay for its new point stays where it is; one whose loss fell moves nevertheless, as in the papers.
    """
    new, state = yield from ascent.step(x, state, k)
    a = yield Ask(new)
    return choose(a.paid, a.x, x), torch.where(a.paid, a.loss, loss), state


def steepest(t: Task, length: float | Tensor) -> Change:
    """The change of size ``length`` (one for all rows, or broadcast against them) along the threat's steepest direction."""
    return lambda u, x, k: length * t.threat.steepest(u)
