"""ZO-signSGD (Liu et al. 2019, "signSGD via Zeroth-Order Oracle", ICLR)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from blackbox.ascent import Ascent, queried_step, steepest
from blackbox.attacks.plan import EstimatedSteps
from blackbox.direction import identity
from blackbox.estimators import Gaussian
from blackbox.protocol import Access, Steps, Task


@dataclass(frozen=True)
class ZOSignSGD(EstimatedSteps):
    """Steps along the sign of a gradient from one-sided random differences, averaged over directions.

    Each step costs ``samples`` queries for the gradient and 1 for the new point, whose loss is the next centre.

    Departs from the paper: Gaussian directions instead of the unit sphere's (the same up to a factor, which the sign
    drops), corrected for the clip to the box; the step is a share of eps. In L2 the step has that length and
    the gradient's own direction.

    Args:
        h: standard deviation of a pixel in a probe: 0.001 (ours). samples: directions a step: 30. step_size: as a share of
            eps: 0.2 (both BlackboxBench's configuration for CIFAR-10, Linf). own: a row's own directions.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    h: float = 0.001
    samples: int = 30
    step_size: float = 0.2
    own: bool = False

    @dataclass
    class State:
        x: Tensor
        loss: Tensor

    @property
    def estimator(self) -> Gaussian:  # type: ignore[override]
        return Gaussian(self.h, self.samples, two_sided=False, own=self.own)

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        loop = Ascent(self.gradient(t, s.loss), identity(), steepest(t, self.step_size * t.radius))
        x, loss, _ = yield from queried_step(loop, s.x, s.loss, (), k)
        return self.State(x, loss)
