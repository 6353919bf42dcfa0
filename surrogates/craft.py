"""Crafting: gradient source -> direction chain -> step -> projection, repeated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.checks import as_images, as_labels
from blackbox.direction import Direction
from blackbox.rng import Stream
from blackbox.rowwise import row_sum, rows, unit
from blackbox.threat import Threat
from surrogates import presets
from surrogates.gradients import Autograd, Gradient
from surrogates.presets import Preset


def craft(
    nets: nn.Module | Sequence[nn.Module],
    x: Any,
    y: Any,
    attack: str | Preset = "mi-fgsm",
    *,
    threat: Threat,
    steps: int | None = None,
    step: float | None = None,
    decay: float | None = None,
    loss: str = "cross-entropy",
    target: Any = None,
    seed: int = 0,
    ids: Any = None,
    chunk: int | None = None,
) -> Tensor:
    """Adversarial examples by the gradients of nets one owns.

    Args:
        nets: a net that gives logits for images in [0, 1], or several (fused by the mean of their logits).
        x: [N, \\*shape] images in [0, 1]. y: [N] true labels.
        attack: a name from `presets.names` or a `Preset`.
        threat: norm, eps and box. The result lies within ``eps`` (up to float rounding, below 1e-6) and in the box.
        steps, step, decay: instead of the preset's T, step size (in units of the threat's norm) and momentum mu.
        loss: ``"cross-entropy"`` (the papers') or ``"margin"``.
        target: a class, or [N] classes, to be reached instead of the label left.
        seed, ids: the draws of image i are a function of (seed, ids[i]) alone; ids are 0..N-1 by default. So an image
            gets the same result in any batch, at any place in it.
        chunk: images a call; by default found from their shape (see `Autograd`).

    Returns:
        [N, \\*shape] float32 on the device of ``x``: the last iterate, as the papers have it.

    Raises:
        ValueError: images, labels or targets that are no such thing or do not fit the nets; an ensemble with different
            classes; an unknown preset; steps for a one-step attack.
    """
    preset = presets.get(attack)
    x0 = as_images(x, "x")
    if bool(((x0 < threat.lower) | (x0 > threat.upper)).any()):
        raise ValueError(
            f"Expected x to lie in the threat's box [{threat.lower:g}, {threat.upper:g}], but some entries do not."
        )
    home = x0.device
    threat.check_dimension(x0[0].numel())
    source = Autograd(nets, x0, loss, targeted=target is not None, chunk=chunk)
    labels = as_labels(y, len(x0), source.classes, "y")
    goal = labels
    if target is not None:
        goal = as_labels(target, len(x0), source.classes, "target")
        if bool((same := goal == labels).any()):
            i = int(same.nonzero()[0])
            raise ValueError(
                f"Expected a target other than the true label, but for sample {i} both are {int(goal[i])}."
            )
    count, length = _schedule(preset, threat, steps, step)
    rng = Stream(seed, _ids(ids, len(x0)), source.device)
    x0, goal = x0.to(source.device), goal.to(source.device)
    start = threat.project(x0 + random_point(threat, rng, tuple(x0.shape[1:])), x0) if preset.random_start else x0
    return ascend(source, x0, goal, threat, preset.direction(threat, length, decay), count, length, rng, start).to(home)


def ascend(
    source: Gradient,
    x0: Tensor,
    goal: Tensor,
    threat: Threat,
    direction: Direction,
    steps: int,
    step: float,
    rng: Stream,
    start: Tensor,
) -> Tensor:
    """The loop itself: ``steps`` times the gradient of ``source``, through ``direction``, a step, back into the threat."""
    x, state = start, direction.init(x0)
    for k in range(steps):
        g = source(direction.peek(x, state), goal, rng, k)
        g, state = direction.update(g, state)
        x = threat.project(x + move(threat, g, x, step), x0)
    return x


def move(threat: Threat, g: Tensor, x: Tensor, step: float) -> Tensor:
    """The change of length ``step`` in the threat's norm that raises a linear loss with gradient ``g`` most, from ``x``.

    Linf: step * sign(g); L2: step * g / |g| (the box cuts both afterwards). L1: a step along one entry would mostly run
    out of the box, so the entries with the largest gradients are moved to the wall one after the other until the length
    is used up: the exact maximum over the L1 ball and the box together.
    """
    if threat.p != 1:
        return step * threat.steepest(g)
    flat = g.flatten(1)
    wall = torch.where(flat > 0, threat.upper - x.flatten(1), x.flatten(1) - threat.lower) * (flat != 0)
    order = flat.abs().argsort(dim=1, descending=True, stable=True)
    room = wall.gather(1, order).double()
    used = room.cumsum(1) - room
    amount = torch.minimum(room, (step - used).clamp_min(0)).to(x.dtype)
    return (torch.zeros_like(flat).scatter(1, order, amount) * flat.sign()).view_as(x)


def random_point(threat: Threat, rng: Stream, shape: tuple[int, ...]) -> Tensor:
    """[n, \\*shape]: uniform in the ball of radius eps around 0, a draw for each row."""
    d = math.prod(shape)
    if threat.p == math.inf:
        return (2 * rng.uniform(0, "start", shape) - 1) * threat.eps
    if threat.p == 2:
        u = unit(rng.normal(0, "start", shape))
        return u * rows(threat.eps * rng.uniform(0, "radius", 1)[:, 0] ** (1 / d), u)
    # the L1 ball: d of d + 1 exponentials divided by their sum, with random signs
    e = -torch.log1p(-rng.uniform(0, "start", d + 1))
    sizes = e[:, :d] / row_sum(e).clamp_min(1e-12)[:, None] * threat.eps
    return sizes.view(-1, *shape) * rng.signs(0, "sign", shape)


def _schedule(preset: Preset, threat: Threat, steps: int | None, step: float | None) -> tuple[int, float]:
    if steps is not None and not (isinstance(steps, (int, np.integer)) and steps >= 1):
        raise ValueError(f"Expected steps to be a whole number of at least 1, but it was {steps!r}.")
    if preset.steps == 1 and steps is not None and steps > 1:
        raise ValueError(
            f"Expected steps=1 for {preset.name}, which takes a single step, but it was {steps}. Use i-fgsm."
        )
    if step is not None and not 0 < step < math.inf:
        raise ValueError(f"Expected step to be positive, in units of the threat's norm, but it was {step!r}.")
    if threat.eps == math.inf and (step is None or preset.random_start):
        raise ValueError(f"Expected a finite eps for {preset.name}, but it was infinite.")
    count = int(steps or preset.steps)
    return count, float(step) if step is not None else preset.step(threat, count)


def _ids(ids: Any, count: int) -> np.ndarray:
    if ids is None:
        return np.arange(count, dtype=np.uint64)
    out = np.asarray(ids.cpu() if isinstance(ids, Tensor) else ids)
    if out.shape != (count,) or out.dtype.kind not in "iu":
        raise ValueError(
            f"Expected ids to be one whole number for each of the {count} images, but they had shape {out.shape}."
        )
    return out.astype(np.uint64)
