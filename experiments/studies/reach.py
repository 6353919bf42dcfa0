"""From any start to a class, near a reference: what a classifier can be made to see, and in what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blackbox.checks import as_images
from blackbox.rowwise import row_norm, rows
from surrogates.crafting.minimum_norm.core import Box, positive, prepare


@dataclass(frozen=True, eq=False)
class Reached:
    """Where the walks ended.

    Attributes:
        x: [N, \\*shape] float32: of the points passed that the nets give the target class, the nearest to the reference (without
            a weight: the one with the largest probability); where there is none, the last point. success: [N] bool.
        distance: [N] float32, L2 from ``x`` to the reference. probability: [N] float32 of the target class at ``x``.
        gradients: forward-and-backward passes an image cost.
        path: [steps, N, 2] float32: probability of the target and distance to the reference at each step.
    """

    x: Tensor
    success: Tensor
    distance: Tensor
    probability: Tensor
    gradients: int
    path: Tensor


def reach(
    nets: nn.Module | Sequence[nn.Module],
    start: Any,
    reference: Any,
    y: Any,
    target: Any,
    *,
    weight: float = 1.0,
    steps: int = 200,
    rate: float = 0.02,
    box: Box = (0.0, 1.0),
    chunk: int | None = None,
) -> Reached:
    """Minimise CE(f(x), target) + weight * |x - reference|_2^2 over the box, by Adam from ``start``.

    The targeted attack of lectures on adversarial examples: the starting image need not be the one to stay near. Weight 0
    asks for the class alone, so the start stays what it looks like (Nguyen et al. 2015, arXiv:1412.1897, from noise).
    For the smallest change there are `minimum_norm.carlini_wagner` and `minimum_norm.lbfgs`, which search for the weight.

    Args:
        nets: a net that gives logits for images in [0, 1], or several (the mean of their logits).
        start, reference: [N, \\*shape] images in the box. y: [N] the references' true labels. target: a class, or [N].
        weight: of the squared distance; at least 0. steps, rate: of Adam (Kingma & Ba 2015, arXiv:1412.6980), whose rate falls
            to 0 along a cosine, so that the walk comes to rest.
        chunk: images a call; see `minimum_norm.core.Scores`.

    Raises:
        ValueError: as `minimum_norm.core.prepare`; a start of another shape or outside the box; a negative weight.
    """
    positive(steps=steps, rate=rate)
    if not 0 <= weight < math.inf:
        raise ValueError(f"Expected weight to be at least 0, but it was {weight!r}.")
    case = prepare(nets, reference, y, target, box, chunk)
    assert case.goal is not None
    goal, x = case.goal, as_images(start, "start").to(case.x0.device).clone()
    if x.shape != case.x0.shape:
        raise ValueError(
            f"Expected a start for each reference, shape {tuple(case.x0.shape)}, but its shape was {tuple(x.shape)}."
        )
    if bool(((x < box[0]) | (x > box[1])).any()):
        raise ValueError(f"Expected the start to lie in the box {box}, but it does not.")
    adam = torch.optim.Adam([x], lr=rate)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    best, found = x.clone(), torch.zeros_like(case.already)
    best_value = torch.full((len(x),), math.inf, device=x.device)
    path = []

    def loss(scores: Tensor, wanted: Tensor) -> list[Tensor]:
        return [nn.functional.cross_entropy(scores, wanted, reduction="none")]

    for _ in range(steps):
        scores, (g,) = case.scores.pull(x, loss, goal)
        p = scores.softmax(1).gather(1, goal[:, None])[:, 0]
        distance = row_norm(x - case.x0)
        path.append(torch.stack([p, distance], 1))
        value = distance if weight else -p
        better = (scores.argmax(1) == goal) & (value < best_value)
        found |= better
        best, best_value = torch.where(rows(better, x), x, best), torch.where(better, value, best_value)
        x.grad = g + 2 * weight * (x - case.x0)
        adam.step()
        fall.step()
        x.clamp_(*box)
    scores = case.scores(x)
    arrived = scores.argmax(1) == goal
    last = row_norm(x - case.x0) if weight else -scores.softmax(1).gather(1, goal[:, None])[:, 0]
    take = (arrived & (last < best_value)) | ~(found | arrived)
    best = torch.where(rows(take, x), x, best)
    scores = case.scores(best)
    home = case.home
    return Reached(
        best.to(home), (scores.argmax(1) == goal).to(home), row_norm(best - case.x0).to(home),
        scores.softmax(1).gather(1, goal[:, None])[:, 0].to(home), steps * len(case.scores.nets), torch.stack(path).to(home),
    )  # fmt: skip
