"""Searches on a line that ask few *bad* queries: those that are not adversarial, for which a service bans an account.

Debenedetti, Carlini & Tramer 2024, "Evading black-box classifiers without breaking eggs" (arXiv:2306.02895), section 5: as with
eggs dropped from a tower, a walk from the adversarial side ends with one bad query, where bisection has one in two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from blackbox.protocol import Ask, Steps, Task
from blackbox.search import Path, fine, inward

STAGES = 2
MOST = 4000  # queries of one search


def parts(length: Tensor, tolerance: float | Tensor, stages: int) -> Tensor:
    """In how many parts [n] each stage cuts a stretch of this length [n], so that the last one's are no longer than ``tolerance``."""
    fine = torch.as_tensor(tolerance, dtype=length.dtype).expand_as(length).tolist()
    made = [math.ceil((max(a / max(b, 1e-12), 1.0)) ** (1 / stages) - 1e-6) for a, b in zip(length.abs().tolist(), fine, strict=True)]
    return torch.tensor(made, dtype=length.dtype, device=length.device)


def check_stages(stages: int) -> None:
    """Refuse a number of stages that is none. Raises: ValueError."""
    if stages < 1:
        raise ValueError(f"Expected stages, how often a search walks anew in smaller steps, of at least 1, but it was {stages}.")


def walk(
    path: Path, low: Tensor, high: Tensor, tolerance: float | Tensor, todo: Tensor, stages: int = STAGES, stride: Tensor | None = None
) -> Steps[Tensor]:
    """Find where ``path`` crosses the boundary, as `blackbox.search.bisect` does, with at most ``stages`` bad queries.

    The first stage walks from ``high`` towards ``low`` in equal steps until an answer is not adversarial, the next one walks the
    last step in smaller ones, and so on until a step is no longer than ``tolerance``. With one stage there is one bad query.

    Args:
        path, low, high, tolerance, todo: as there.
        stages: k of the paper. stride: [n] the first stage's step; by default such that all stages have as many.
    """
    fine = torch.as_tensor(tolerance, dtype=high.dtype, device=high.device).expand_as(high)
    if stride is None:
        many = parts(high - low, fine, stages)
        stride = (high - low) / many
    else:  # the stages after the first share what is left
        many = parts(stride, fine, max(stages - 1, 1))
        stride = stride if stages > 1 else fine
    todo = todo & ((high - low) > fine)
    for _ in range(MOST):
        if not bool(todo.any()):
            break
        there = high - stride
        ahead = there > low + stride / 1000  # at `low` itself the answer is known
        a = yield Ask(path(there), mask=todo & ahead)
        bad = todo & (~ahead | (a.paid & ~a.adv))
        todo = todo & (~ahead | a.paid) & ~(bad & (stride <= fine * 1.001))
        high = torch.where(a.adv, there, high)
        low = torch.where(bad, torch.maximum(there, low), low)
        stride = torch.where(bad, torch.maximum(stride / many.clamp_min(2), fine), stride)
    return high


def to_boundary(t: Task, x: Tensor, tolerance: float, todo: Tensor, stages: int = STAGES) -> Steps[Tensor]:
    """Move adversarial ``x`` inward to the boundary, as `blackbox.search.to_boundary` does, with at most ``stages`` bad queries."""
    path, one = inward(t, x), torch.ones(t.n, device=x.device)
    share = yield from walk(path, torch.zeros_like(one), one, fine(t, x, tolerance), todo, stages)
    return t.clip(path(share))
