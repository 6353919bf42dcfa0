"""SPSA (Uesato et al. 2018, arXiv:1802.05666)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from blackbox.ascent import Ascent, queried_step
from blackbox.attacks.plan import EstimatedSteps
from blackbox.direction import adam
from blackbox.estimators import Rademacher
from blackbox.protocol import Access, Steps, Task


@dataclass(frozen=True)
class SPSA(EstimatedSteps):
    """Projected Adam steps along a gradient from random-sign probes, Algorithm 1.

    Each step costs ``samples`` queries for the gradient and 1 for the new point.

    Departs from the paper: probes are corrected for the clip to the box (`estimators.Rademacher`); the learning rate is
    a share of eps; the loop ends with the budget instead of after 100 steps.

    Args:
        h: a pixel's change in a probe (the paper: 0.01). samples: probes a step, half of them pairs (128, the default
            of the paper's code in CleverHans; the paper goes up to 8,192 against defended nets).
        step_size: Adam's learning rate as a share of eps (the paper's 0.01 at eps 8/255 is 0.32). own: a row's own signs.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    h: float = 0.01
    samples: int = 128
    step_size: float = 0.32
    own: bool = False

    @dataclass
    class State:
        x: Tensor
        direction: Any

    @property
    def estimator(self) -> Rademacher:  # type: ignore[override]
        return Rademacher(self.h, self.samples, self.own)

    def init(self, t: Task) -> State:
        return self.State(t.x0, adam().init(t.x0))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        # in L2 a pixel's share of eps is eps / sqrt(d), so that a step of 1 still has length eps
        rate = self.step_size * t.radius / (t.d**0.5 if t.threat.norm == "L2" else 1)
        loop = Ascent(self.gradient(t, None), adam(), lambda u, x, k: rate * u)
        x, _, direction = yield from queried_step(loop, s.x, t.loss0, s.direction, k)
        return self.State(x, direction)
