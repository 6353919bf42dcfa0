"""C&W-L2: Carlini & Wagner 2017, "Towards evaluating the robustness of neural networks"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.rowwise import row_norm
from surrogates.crafting.minimum_norm.core import Box, MinimumNorm, positive, prepare

_BETA1, _BETA2, _TINY = 0.9, 0.999, 1e-8  # Adam's own defaults
_INSIDE = 0.999999  # tanh reaches the bounds of the box only at infinity; the authors' constant


def carlini_wagner(
    nets: nn.Module | Sequence[nn.Module],
    x: Any,
    y: Any,
    *,
    target: Any = None,
    confidence: float = 0.0,
    c: float = 1e-3,
    searches: int = 9,
    iterations: int = 1000,
    learning_rate: float = 0.01,
    box: Box = (0.0, 1.0),
    chunk: int | None = None,
) -> MinimumNorm:
    """Minimise |x' - x|_2^2 + c max(margin + confidence, 0) over x' = box(tanh(w)) by Adam, c by binary search.

    Carlini & Wagner 2017, arXiv:1608.04644, sections V.B and VI.A, their loss f6: margin = best other logit minus the
    target's, or the true logit minus the best other. Images run side by side, each with its own c, Adam state and stop.

    Args:
        nets: a net that gives logits for images in [0, 1], or several (the mean of their logits).
        x: [N, \\*shape] images in the box.
        y: [N] true labels.
        target: a class, or [N] classes, to reach.
        confidence: kappa, by how much (in logits) the new class must win; transfer rises with it.
        c, searches: the first c, and the number of search steps (c grows tenfold until it succeeds, then bisection).
        iterations, learning_rate: Adam's steps for each c and their size. All four: the authors' defaults.
        chunk: images a call; see `Scores`.

    Returns:
        A `MinimumNorm` in L2, with the c found: the nearest of all visited points that reach the confidence.

    *Departs from the authors' code:* early abort (no 0.01 % better loss in a tenth of the iterations) is decided for
    each image by its own loss, there by the sum over the batch.

    Raises:
        ValueError: as `prepare`; a setting that is not positive (confidence: negative).
    """
    positive(c=c, searches=searches, iterations=iterations, learning_rate=learning_rate)
    if not 0 <= confidence < math.inf:
        raise ValueError(f"Expected confidence to be at least 0, but it was {confidence!r}.")
    case = prepare(nets, x, y, target, box, chunk)
    middle, half = (box[0] + box[1]) / 2, (box[1] - box[0]) / 2
    wanted = case.wanted
    todo = (~case.already).nonzero()[:, 0]
    scaled = (case.x0[todo].double().cpu().numpy() - middle) / half  # numpy: torch's atanh rounds by place
    begin = torch.from_numpy(np.arctanh(scaled * _INSIDE)).to(case.x0)
    best, x_adv = torch.full((len(case.x0),), math.inf).to(case.x0), case.x0.clone()
    found_c, low, high, weight = (torch.full_like(best, v) for v in (0.0, 0.0, math.inf, c))
    spent = torch.zeros_like(best, dtype=torch.int64)

    def losses(scores: Tensor, goal: Tensor, c: Tensor) -> tuple[Tensor]:
        return (c * (lag(scores, goal, case.goal is None) + confidence).clamp_min(0),)

    for _ in range(searches):
        live, w = todo, begin
        m, v, before = torch.zeros_like(w), torch.zeros_like(w), torch.full_like(best[live], math.inf)
        hit = torch.zeros_like(best, dtype=torch.bool)
        for k in range(iterations):
            if not len(live):
                break
            t = torch.tanh(w)
            point = (middle + half * t).clamp(*box)
            scores, (g,) = case.scores.pull(point, losses, wanted[live], weight[live])
            spent[live] += 1
            change = point - case.x0[live]
            length, behind = row_norm(change), lag(scores, wanted[live], case.goal is None)
            good = case.won(scores, live) & (behind + confidence <= 0)
            hit[live] |= good
            nearer = good & (length < best[live])
            at = live[nearer]
            best[at], x_adv[at], found_c[at] = length[nearer], point[nearer], weight[at]
            if (k + 1) % max(iterations // 10, 1) == 0:
                total = length * length + weight[live] * (behind + confidence).clamp_min(0)
                keep = total < 0.9999 * before
                live, w, m, v, g, t, change = (a[keep] for a in (live, w, m, v, g, t, change))
                before = total[keep]
            g = (2 * change + g) * half * (1 - t * t)
            w, m, v = _adam(w, m, v, g, k, learning_rate)
        high = torch.where(hit, torch.minimum(high, weight), high)
        low = torch.where(hit, low, torch.maximum(low, weight))
        weight = torch.where(high < math.inf, (low + high) / 2, weight * 10)
    found_c[best == math.inf] = math.nan
    return case.result(x_adv, "L2", spent, spent * len(case.scores.nets), found_c)


def lag(scores: Tensor, goal: Tensor, leave: bool) -> Tensor:
    """How far the goal is from being reached, in logits [m], for scores [m, C] and goals [m]; negative once reached."""
    own = scores.gather(1, goal[:, None])[:, 0]
    other = scores.scatter(1, goal[:, None], -math.inf).amax(1)
    return own - other if leave else other - own


def _adam(w: Tensor, m: Tensor, v: Tensor, g: Tensor, k: int, rate: float) -> tuple[Tensor, Tensor, Tensor]:
    """Step ``k`` (from 0) of Adam (Kingma & Ba 2015, arXiv:1412.6980), written out because images stop one by one."""
    m, v = _BETA1 * m + (1 - _BETA1) * g, _BETA2 * v + (1 - _BETA2) * (g * g)
    size = rate * math.sqrt(1 - _BETA2 ** (k + 1)) / (1 - _BETA1 ** (k + 1))
    return w - size * m / (v.sqrt() + _TINY), m, v
