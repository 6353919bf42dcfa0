"""The loop: ahead -> probe -> view -> gradient -> filter -> momentum -> step -> projection, repeated."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

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
) -> Tensor:
    """The loop itself: ``steps`` times the gradient of ``source``, through ``parts``, a step, back into the threat.

    Args:
        source: autograd through surrogates, an estimator over queries, or anything with the same call.
        x0, goal, rng: [n, \\*shape] images, their goals and draws. step: in units of the threat's norm.
        start: where to begin instead of where ``parts`` say. rows: as many a call has room for (the source's own).

    Raises:
        ValueError: parts that do not go together, or that the source cannot serve.
    """
    parts = Parts((parts,)) if isinstance(parts, Part) else parts
    views = parts.all("view")
    room = rows or int(getattr(source, "chunk", len(x0)))

    def seen(s: Gradient) -> Gradient:
        return Viewed(s, views, room, pool) if views else s

    members = [source.member(i) for i in range(len(source.nets))] if isinstance(source, Autograd) else [source]
    parts.check(tuple(x0.shape[1:]), len(members))
    goal = Goal.of(goal, getattr(source, "targeted", False))
    walk = Walk(
        source, seen(source), [seen(m) for m in members], parts, threat, step, steps, x0, x0, goal, rng, room, pool=pool
    )
    begin, filtered, momentum = parts.one("start"), parts.one("filter"), parts.one("momentum")
    change, keep = parts.one("step") or Step(), parts.one("projection") or Projection()
    if (loss := parts.one("loss")) is not None:
        walk.goal = replace(goal, guide=loss.prepare(walk))
    if start is not None:
        walk.x = start
    elif begin is not None:
        walk.x = threat.project(begin(walk), x0)
    for walk.k in range(steps):
        g = gradient(parts, walk)
        g = filtered(g, walk) if filtered else g
        walk.before = g
        g = momentum(g, walk) if momentum else g
        walk.x = keep(walk.x + change(g, walk), walk)
    return keep.last(walk.x, walk)
