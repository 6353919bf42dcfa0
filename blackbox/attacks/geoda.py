"""GeoDA (Rahmati, Moosavi-Dezfooli, Frossard & Dai 2020, arXiv:2003.06468)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox import search
from blackbox.attacks.hop_skip_jump import HopSkipJump
from blackbox.estimators import boundary
from blackbox.proposals.bases import Basis
from blackbox.proposals.noise import Noise, named
from blackbox.protocol import Steps, Task
from blackbox.rowwise import choose, row_norm, rows


@dataclass(frozen=True)
class GeoDA(HopSkipJump):
    """The boundary taken as flat: from the original straight along its normal to the next boundary point. Algorithm 2.

    A step estimates the normal at the last boundary point from probes of low frequency, then looks for the boundary
    from the original along that normal (L2) or its signs (Linf). The number of probes grows from step to step by
    ``decay ** (-2 / 3)``, the best division of a given budget (section 3.3).

    Departs from the paper: the state, the start and the bisection are HopSkipJump's, and so is the jump where the ray
    is not adversarial at the last distance, that is, leads nowhere nearer; the first number of probes is given, and the
    number of steps follows from the budget.

    Args:
        evals: labels for the first normal: 70 (the authors' code starts with 50 to 80).
        decay: lambda of the query division, 0.6 (section 4.1).
        noise, share: ``dct`` with 1/3 of each side (the authors take the lowest 10 of 32 frequencies on small images).
        others: as in `HopSkipJump`.
    """

    evals: int = 70
    noise: str | Noise | Basis = "dct"
    share: float = 1 / 3
    decay: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.decay <= 1:
            raise ValueError(f"Expected decay, lambda of the query division, in (0, 1], but it was {self.decay}.")

    def normal(self, t: Task, s: HopSkipJump.State, k: int) -> Steps[Tensor]:
        count = min(self.evals * self.decay ** (-2 * k / 3), self.most_evals)
        h = boundary.probe_length(t, s.reach * self.gamma / t.d)
        return (yield from boundary.normal(t, s.x, k, int(count), h, named(self.noise, self.share)))

    def jump(self, t: Task, x: Tensor, g: Tensor, k: int) -> Steps[tuple[Tensor, Tensor]]:
        u = g.sign() if t.threat.norm == "Linf" else g

        def path(step: Tensor) -> Tensor:
            return t.clip(t.x0 + rows(step, x) * u)

        length, some = t.distance(x), row_norm(g) > 0
        step, held = yield from search.halve(path, length, some, 1)
        others = choose(held, torch.zeros_like(g), g)
        far, jumped = yield from super().jump(t, x, others, k)
        return choose(held, path(step), far), held | jumped
