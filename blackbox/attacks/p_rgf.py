"""P-RGF (Cheng et al. 2019, arXiv:1906.06919)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from blackbox.ascent import Ascent, queried_step, steepest
from blackbox.candidates.craft import CraftGoal, slope
from blackbox.direction import identity
from blackbox.estimators import PriorGuided
from blackbox.prior import Guided
from blackbox.protocol import Access, Steps, Task


@dataclass(frozen=True)
class PRGF(Guided):
    """Steps along gradients estimated from random directions that lean towards the surrogates' gradient.

    The estimate is `estimators.PriorGuided`, with the prior's margin gradient at the current point; a step costs 1 look
    along the prior, ``looks`` for the gradient's length, up to ``samples`` directions (none where the prior is as good
    as it gets), and 1 query for the new point.

    Departs from the paper: the loss is the engine's margin; the new point is looked at after every step, and a step that
    lowers the loss is taken all the same, as in the paper; the gradient's length is looked at every time (`PriorGuided`).

    Args:
        prior: `surrogates.prior(nets)`. samples: directions a step: 10 (the paper has 50 for budgets of 10,000; short
            runs need more steps, ours). looks: 10, the authors' code. h: as in `PriorGuided`.
        step_size: as a share of eps: 0.2 (ours; the share that `NES` has).
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    samples: int = 10
    looks: int = 10
    h: float = 0.0001
    step_size: float = 0.2

    def __post_init__(self) -> None:
        if not self.step_size > 0 or self.samples < 1 or self.looks < 1 or not self.h > 0:
            raise ValueError(
                "Expected step_size > 0, samples and looks of at least 1 and h > 0, but they were "
                f"{self.step_size}, {self.samples}, {self.looks} and {self.h}."
            )

    @dataclass
    class State:
        x: Tensor
        loss: Tensor

    def init(self, t: Task) -> State:
        return self.State(t.x0, t.loss0)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        prior = self.known
        estimator = PriorGuided(lambda t, x, k: slope(prior, x, CraftGoal.of(t)), self.h, self.samples, self.looks)
        left = t.budget - 2 - k * (2 + self.looks + self.samples)  # for the gradient
        loop = Ascent(
            lambda x, k: estimator.estimate(t, x, k, s.loss, max(0, left)),
            identity(),
            steepest(t, self.step_size * t.radius),
        )
        x, loss, _ = yield from queried_step(loop, s.x, s.loss, (), k)
        return self.State(x, loss)
