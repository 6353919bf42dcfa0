"""What a prior tells a search along rays: where to start, and where each of its members has the boundary nearer."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox import search
from blackbox.candidates.craft import CraftGoal, slope
from blackbox.candidates.opening import outward
from blackbox.candidates.start import start
from blackbox.prior import Prior, view
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose


def told_start(t: Task, prior: Prior, tries: int) -> Steps[tuple[Tensor, Tensor]]:
    """An adversarial image for each row, and [n] whether there is one: the user's; else an example on the prior, moved `outward`
    until it fools the target; else noise, as in `blackbox.search.start`."""
    if t.start is not None:
        return (yield from search.start(t, tries))
    made = start(t, prior)
    a = yield Ask(made)
    x, found = yield from outward(t, made, a.adv)
    x, todo = choose(found, x, t.x0), ~found
    for i in range(tries):
        if not bool(todo.any()):
            break
        a = yield Ask(search.noise(t, i), mask=todo)
        assert isinstance(a.x, Tensor)
        x, todo = choose(a.adv, a.x, x), todo & ~a.adv
    return x, ~todo


def members_slopes(t: Task, prior: Prior, x: Tensor) -> list[Tensor]:
    """Of each member the gradient [n, \\*shape] of the goal's margin at ``x``, the other classes weighted by their softmax."""
    goal = CraftGoal.of(t, soft=True)
    return [torch.nan_to_num(slope(view(prior, [m]), x, goal)) for m in range(prior.members)]
