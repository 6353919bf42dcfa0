"""`ascend`: runs the loop of `blackbox.ascent` with surrogate gradients and a part in each slot."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from blackbox.ascent import Ascent, without_queries
from blackbox.direction import stateless
from blackbox.rng import Stream
from blackbox.threat import Threat
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.gradients import Autograd, Gradient
from surrogates.crafting.parts.base import Part, Parts, gradient
from surrogates.crafting.parts.finish import Projection, Step
from surrogates.crafting.parts.viewed import Viewed
from surrogates.crafting.parts.walk import Walk


@torch.no_grad()
def ascend(
    source: Gradient,
    x0: Tensor,
    goal: Tensor | Goal,
    threat: Threat,
    parts: Parts | Part,
    steps: int,
    step: float,
    rng: Stream,
    start: Tensor | None = None,
    rows: int | None = None,
    pool: Pool | None = None,
    still: Tensor | None = None,
) -> Tensor:
    """Run the crafting loop: ``steps`` times ahead -> probe -> view -> gradient -> filter -> momentum -> step -> projection.

    Args:
        source: autograd through surrogates, an estimator over queries, or anything with the same call.
        x0, goal, rng: [n, \\*shape] images, their goals and random stream.
        step: the step size, in units of the threat's norm.
        start: start points that replace those of ``parts``.
        still: [n] bool, all True; becomes False where a step has a gradient that is not zero.
        rows: how many rows fit in a call; by default the source's ``chunk``.

    Raises:
        ValueError: the parts do not go together, or the source cannot serve them.
    """
    parts = Parts((parts,)) if isinstance(parts, Part) else parts
    walk = _walk(
        source, x0, Goal.of(goal, getattr(source, "targeted", False)), threat, parts, steps, step, rng, rows, pool
    )
    begin, filtered, momentum = parts.one("start"), parts.one("filter"), parts.one("momentum")
    change, keep = parts.one("step") or Step(), parts.one("projection") or Projection()
    if (loss := parts.one("loss")) is not None:
        walk.goal = replace(walk.goal, guide=loss.prepare(walk))
    if start is not None:
        walk.x = start
    elif begin is not None:
        walk.x = threat.project(begin(walk), x0)

    def filtered_gradient(x: Tensor, k: int) -> Tensor:
        walk.x, walk.k = x, k
        g = gradient(parts, walk)
        if still is not None:
            still.logical_and_(~g.flatten(1).any(1))
        walk.before = filtered(g, walk) if filtered else g
        return walk.before

    # parts keep their state in the walk, so the loop can treat them as stateless
    loop = Ascent(
        filtered_gradient,
        stateless(lambda g: momentum(g, walk) if momentum else g),
        lambda u, x, k: change(u, walk),
    )
    walk.x = without_queries(loop.run(walk.x, steps, lambda x: keep(x, walk)))
    return keep.last(walk.x, walk)


def _walk(
    source: Gradient, x0: Tensor, goal: Goal, threat: Threat, parts: Parts, steps: int, step: float, rng: Stream,
    rows: int | None, pool: Pool | None,
) -> Walk:  # fmt: skip
    """Build the walk from ``x0``; the views wrap the source, and each net of an ensemble by itself."""
    views, room = parts.all("view"), rows or int(getattr(source, "chunk", len(x0)))

    def seen(s: Gradient) -> Gradient:
        return Viewed(s, views, room, pool) if views else s

    members = [source.member(i) for i in range(len(source.nets))] if isinstance(source, Autograd) else [source]
    parts.check(tuple(x0.shape[1:]), len(members))
    return Walk(
        source, seen(source), [seen(m) for m in members], parts, threat, step, steps, x0, x0, goal, rng, room, pool=pool
    )
