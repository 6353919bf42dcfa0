"""JSMA: Papernot et al. 2016, "The limitations of deep learning in adversarial settings"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from surrogates.crafting.minimum_norm.core import Box, Case, MinimumNorm, nearest_classes, positive, prepare

_LARGEST = 8192  # the largest number of entries whose pairs are searched, to bound memory


def jsma(
    nets: nn.Module | Sequence[nn.Module],
    x: Any,
    y: Any,
    *,
    target: Any = None,
    theta: float = 1.0,
    gamma: float = 0.145,
    pairs: bool = True,
    probabilities: bool = False,
    candidates: int = 3,
    box: Box = (0.0, 1.0),
    chunk: int | None = None,
) -> MinimumNorm:
    """Change the pair of entries with the largest saliency for the target, until the label is the target.

    Papernot et al. 2016, arXiv:1511.07528, algorithm 2 with the saliency of pairs: with a = sum of dF_t/dx and b = sum
    of d(sum of the other F)/dx over the pair, the largest -a * b among the pairs with a > 0 > b.

    Args:
        nets: a net that gives logits for images in [0, 1], or several (the mean of their logits).
        x: [N, \\*shape] images in the box. y: [N] true labels.
        target: a class, or [N] classes, to reach. None: each of the ``candidates`` classes whose boundary is nearest to
            first order, any wrong label counts, and the result with the fewest changes is kept.
        theta: added to an entry at a step; negative to darken (then a < 0 < b). +1 in the paper: straight to the bound.
        gamma: at most this share of the entries is changed; 0.145 in the paper.
        pairs: False searches single entries (the paper's algorithm 3), for images too large for d^2 pairs.
        probabilities: F are the softmax's outputs instead of the logits. There b = -a, so the search is for a alone.
        chunk: images a call; see `Scores`.

    Returns:
        A `MinimumNorm` in L0: entries (not pixels) that differ. Entries at the bound leave the search, as in the paper.

    Raises:
        ValueError: as `prepare`; theta of 0; gamma outside (0, 1]; pairs of an image with more than 8,192 entries.
    """
    positive(candidates=candidates)
    if not (math.isfinite(theta) and theta != 0):
        raise ValueError(f"Expected theta to be a number other than 0, but it was {theta!r}.")
    if not 0 < gamma <= 1:
        raise ValueError(f"Expected gamma to be a share in (0, 1], but it was {gamma!r}.")
    case = prepare(nets, x, y, target, box, chunk)
    if pairs and case.x0[0].numel() > _LARGEST:
        raise ValueError(
            f"Expected images of at most {_LARGEST} entries to search all pairs, but they have {case.x0[0].numel()}. "
            "Use pairs=False."
        )
    classes = nearest_classes(case, candidates)
    search = _Search(case, theta, gamma, pairs, probabilities)
    best, changed = case.x0.clone(), torch.full((len(case.x0),), math.inf, device=case.x0.device)
    spent = torch.zeros(len(best), dtype=torch.int64, device=best.device)
    for j in range(classes.shape[1]):
        point, won, steps = search.run(classes[:, j])
        count = (point != case.x0).flatten(1).sum(1)
        nearer = won & (count < changed)
        best[nearer], changed[nearer] = point[nearer], count[nearer].float()
        spent += steps
    passes = 2 * spent + (case.scores.classes if target is None else 0)
    return case.result(best, "L0", spent, passes * len(case.scores.nets), None)


class _Search:
    def __init__(self, case: Case, theta: float, gamma: float, pairs: bool, probabilities: bool) -> None:
        self.case, self.theta, self.pairs, self.probabilities = case, theta, pairs, probabilities
        width = 2 if pairs else 1
        self.steps = max(int(gamma * case.x0[0].numel() / width), 1)
        self.best = best_pair if pairs else best_single

    def run(self, goal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Search towards classes [N]; returns the points, which of them succeeded, and the steps each took."""
        case, wall = self.case, self.case.box[1 if self.theta > 0 else 0]
        point = case.x0.clone()
        won, spent = torch.zeros_like(case.already), torch.zeros(len(point), dtype=torch.int64, device=point.device)
        live = (~case.already).nonzero()[:, 0]

        def losses(scores: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
            f = scores.softmax(1) if self.probabilities else scores
            own = f.gather(1, goal[:, None])[:, 0]
            return own, f.scatter(1, goal[:, None], 0.0).sum(1)

        for _ in range(self.steps):
            if not len(live):
                break
            _, (own, rest) = case.scores.pull(point[live], losses, goal[live])
            spent[live] += 1
            going = torch.ones_like(live, dtype=torch.bool)
            sign = 1.0 if self.theta > 0 else -1.0
            for row, i in enumerate(live.tolist()):
                flat = point[i].view(-1)
                chosen = self.best(sign * own[row].flatten(), sign * rest[row].flatten(), flat != wall)
                if chosen is None:
                    going[row] = False
                else:
                    flat[chosen] = (flat[chosen] + self.theta).clamp(*case.box)
            success = case.won(case.scores(point[live]), live)
            won[live] = success
            live = live[going & ~success]
        return point, won, spent


def best_pair(a: Tensor, b: Tensor, free: Tensor) -> Tensor | None:
    """The free pair with the largest -(a1 + a2)(b1 + b2) where a1 + a2 > 0 > b1 + b2; a, b [d], free [d] bool."""
    index = free.nonzero()[:, 0]
    up, down = a[index][:, None] + a[index], b[index][:, None] + b[index]
    score = torch.where((up > 0) & (down < 0), -up * down, 0.0).fill_diagonal_(0.0)
    if not score.numel() or float(score.max()) <= 0:
        return None
    first = int(score.argmax())
    return index[[first // len(index), first % len(index)]]


def best_single(a: Tensor, b: Tensor, free: Tensor) -> Tensor | None:
    score = torch.where((a > 0) & (b < 0) & free, -a * b, 0.0)
    return None if float(score.max()) <= 0 else score.argmax()[None]
