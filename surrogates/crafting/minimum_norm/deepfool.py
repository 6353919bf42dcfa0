"""DeepFool: Moosavi-Dezfooli, Fawzi & Frossard 2016, "DeepFool: a simple and accurate method to fool deep neural networks"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from blackbox.rowwise import row_norm, rows
from surrogates.crafting.minimum_norm.core import Box, MinimumNorm, nearest_classes, positive, prepare


def deepfool(
    nets: nn.Module | Sequence[nn.Module],
    x: Any,
    y: Any,
    *,
    target: Any = None,
    norm: str = "L2",
    overshoot: float = 0.02,
    iterations: int = 50,
    candidates: int = 9,
    box: Box = (0.0, 1.0),
    chunk: int | None = None,
) -> MinimumNorm:
    """Step onto the nearest of the linearised boundaries, until the label changes.

    Moosavi-Dezfooli et al. 2016, arXiv:1511.04599, algorithm 2 (L2) and its Linf form (eq. 11 and 12 with p = inf).

    Args:
        nets: a net that gives logits for images in [0, 1], or several (the mean of their logits).
        x: [N, \\*shape] images in the box.
        y: [N] true labels.
        target: a class, or [N] classes, to reach. The paper has none; here each step goes to the boundary between the
            target and the leading class.
        norm: "L2" or "Linf".
        overshoot: eta, 0.02 in the paper.
        iterations: at most this many; the authors' code has 50.
        candidates: how many classes are considered: those whose boundary is nearest at x (the authors' code: the 10 with
            the largest scores, the image's own among them). Each costs a backward pass an iteration.
        chunk: images a call; see `Scores`.

    Returns:
        A `MinimumNorm` in ``norm``.

    *Departs from the paper*, which has no box: every step is clipped to it. Success is checked with the overshoot
    included, as in the authors' code, since on the boundary itself the label has not changed.

    Raises:
        ValueError: as `prepare`; another norm; a setting that is not positive.
    """
    positive(iterations=iterations, candidates=candidates)
    if norm not in _DUAL:
        raise ValueError(f"Expected norm to be L2 or Linf, but it was {norm!r}.")
    if not 0 <= overshoot < math.inf:
        raise ValueError(f"Expected overshoot to be at least 0, but it was {overshoot!r}.")
    case = prepare(nets, x, y, target, box, chunk)
    classes = nearest_classes(case, candidates)
    members, width = len(case.scores.nets), classes.shape[1]
    here, point = case.x0.clone(), case.x0.clone()  # on the boundary found, and past it by the overshoot
    spent = torch.zeros(len(point), dtype=torch.int64, device=point.device)
    live = (~case.already).nonzero()[:, 0]

    def leads(scores: Tensor, own: Tensor, others: Tensor) -> list[Tensor]:
        leader = scores.gather(1, own[:, None])[:, 0]
        return [scores.gather(1, others[:, j : j + 1])[:, 0] - leader for j in range(width)]

    own = case.y
    for _ in range(iterations):
        if not len(live):
            break
        scores, slopes = case.scores.pull(here[live], leads, own[live], classes[live])
        spent[live] += 1
        behind = torch.stack(leads(scores, own[live], classes[live]), 1)
        size = torch.stack([row_norm(slope, _DUAL[norm]) for slope in slopes], 1)
        far = torch.where(size > 0, behind.abs() / size.clamp_min(1e-12), math.inf)
        least, j = far.min(1)
        w = torch.stack(slopes, 1)[torch.arange(len(live), device=live.device), j]
        # in L2 least * w / |w|, in Linf least * sign(w): a unit step in the norm times the distance
        step = w.sign() if norm == "Linf" else w / rows(row_norm(w).clamp_min(1e-12), w)
        moved = here[live] + torch.where(rows(least < math.inf, w), rows(least, w) * step, 0.0)
        here[live] = moved.clamp(*box)
        point[live] = (case.x0[live] + (1 + overshoot) * (here[live] - case.x0[live])).clamp(*box)
        scores = case.scores(point[live])
        if case.goal is not None:
            own = own.clone()
            own[live] = scores.argmax(1)
        live = live[~case.won(scores, live) & (least < math.inf)]
    passes = spent * width + (case.scores.classes if case.goal is None else 0)
    return case.result(point, norm, spent, passes * members, None)


_DUAL = {"L2": 2.0, "Linf": 1.0}  # the dual norm, for gradients
