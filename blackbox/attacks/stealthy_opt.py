"""Stealthy OPT (Debenedetti, Carlini & Tramer 2024, arXiv:2306.02895)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox import search, stealth
from blackbox.attacks.opt import OPT
from blackbox.estimators.ray import point
from blackbox.protocol import Ask, Steps, Task


@dataclass(frozen=True)
class StealthyOPT(OPT):
    """OPT whose distances are found by walks from the adversarial side instead of bisections: section 5.

    A probe's distance begins a little outside the present one, where it is adversarial as a rule, and is walked down until an
    answer is not. Each distance so costs ``stages`` bad queries, where a bisection's are half bad.

    Departs from the paper: as `OPT` does.

    Args:
        stages: bad queries of a search, the paper's k. others: as for OPT.
    """

    stages: int = stealth.STAGES

    def __post_init__(self) -> None:
        super().__post_init__()
        stealth.check_stages(self.stages)

    def find(self, path: search.Path, low: Tensor, high: Tensor, tolerance: Tensor, todo: Tensor) -> Steps[Tensor]:
        return stealth.walk(path, low, high, tolerance, todo, self.stages)

    def nearby(self, t: Task, u: Tensor, reach: Tensor, beta: Tensor) -> Steps[Tensor]:
        high, width, todo = reach, beta * self.first, torch.ones_like(reach, dtype=torch.bool)
        found = torch.zeros_like(todo)
        for _ in range(self.doublings):  # further out until it is adversarial
            if not bool(todo.any()):
                break
            high = torch.where(todo, reach * (1 + width), high)
            a = yield Ask(point(t, u, high), mask=todo)
            found, todo = found | a.adv, todo & a.paid & ~a.adv
            width = torch.where(todo, width * 2, width)
        zero, stride = torch.zeros_like(reach), 2 * width * reach
        return (yield from stealth.walk(lambda r: point(t, u, r), zero, high, self.fineness * beta * reach, found, self.stages, stride))
