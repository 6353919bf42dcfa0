"""NES (Ilyas et al. 2018, arXiv:1804.08598)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.ascent import Ascent, queried_step, steepest
from blackbox.attacks.plan import EstimatedSteps
from blackbox.direction import average
from blackbox.estimators import Gaussian
from blackbox.protocol import Access, Steps, Task
from blackbox.rowwise import rows


@dataclass(frozen=True)
class NES(EstimatedSteps):
    """Projected steps along a gradient from antithetic Gaussian probes: the query-limited attack.

    Its siblings for a target that shows less are `PartialNES` (the largest scores) and `LabelNES` (the label).

    Each step costs ``samples`` queries for the gradient and 1 for the new point. Gradients are averaged over steps
    with ``momentum``; a row whose loss has not risen over ``plateau`` steps halves its step, as the authors' code does.

    Departs from the paper: the step is a share of eps instead of 0.01 at eps 0.05; the plateau is read from the loss at
    the new points, each row for itself; probes are corrected for the clip to the box (`estimators.Gaussian`).

    Args:
        sigma: standard deviation of a pixel in a probe (0.001). samples: probes a step (50; both the authors' code).
        step_size: the first step as a share of eps: 0.2, the paper's 0.01 at eps 0.05. smallest: the least step as a
            share of eps (the authors' code: 5e-5 at 0.05). momentum: the authors' code's 0.9.
        plateau: steps without a rise before the step is halved (the authors' code: 5). own: a row's own directions.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    sigma: float = 0.001
    samples: int = 50
    step_size: float = 0.2
    smallest: float = 0.001
    momentum: float = 0.9
    plateau: int = 5
    own: bool = False

    @dataclass
    class State:
        x: Tensor
        loss: Tensor
        average: Tensor
        step: Tensor
        reference: Tensor  # the loss when the plateau's window began
        age: Tensor

    @property
    def estimator(self) -> Gaussian:  # type: ignore[override]
        return Gaussian(self.sigma, self.samples, own=self.own)

    def init(self, t: Task) -> State:
        step = torch.full_like(t.loss0, self.step_size * t.radius)
        return self.State(t.x0, t.loss0, torch.zeros_like(t.x0), step, t.loss0, torch.zeros_like(t.loss0))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        loop = Ascent(self.gradient(t, s.loss), average(self.momentum), steepest(t, rows(s.step, s.x)))
        x, loss, gradient = yield from queried_step(loop, s.x, s.loss, s.average, k)
        over = s.age + 1 >= self.plateau
        stuck = over & (loss <= s.reference)
        step = torch.where(stuck, (s.step / 2).clamp_min(self.smallest * t.radius), s.step)
        return self.State(
            x,
            loss,
            gradient,
            step,
            torch.where(over, loss, s.reference),
            torch.where(over, torch.zeros_like(s.age), s.age + 1),
        )
