"""Stealthy HopSkipJump (Debenedetti, Carlini & Tramer 2024, arXiv:2306.02895)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox import stealth
from blackbox.attacks.hop_skip_jump import HopSkipJump
from blackbox.estimators import boundary
from blackbox.proposals.noise import named
from blackbox.protocol import Ask, Retire, Steps, Task
from blackbox.rowwise import rows
from blackbox.search import start


@dataclass(frozen=True)
class StealthyHopSkipJump(HopSkipJump):
    """HopSkipJump that walks to the boundary from the adversarial side, and probes a little on that side of it.

    The way back to the boundary costs ``stages`` bad queries (section 5); a bisection's are half bad. Most queries are probes for
    the normal, half of them bad too. So they are made around a point moved outward until ``share_bad`` of them are: a rare
    bad answer tells more of the normal than one of two, and the number of probes grows so that a step learns as much.

    Departs from the paper: the probes' shift is this project's own. How far it is follows from the share of bad answers seen in
    the step before. Else as `HopSkipJump` does.

    Args:
        stages: bad queries of a search, the paper's k.
        share_bad: of the probes, 0.5 for HopSkipJump's.
        more: probes, as a multiple of HopSkipJump's.
        others: as in `HopSkipJump`.
    """

    stages: int = stealth.STAGES
    share_bad: float = 0.1
    more: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        stealth.check_stages(self.stages)
        if not 0 < self.share_bad <= 0.5 or not self.more > 0:
            raise ValueError(f"Expected share_bad in (0, 0.5] and more > 0, but they were {self.share_bad} and {self.more}.")

    @dataclass
    class State(HopSkipJump.State):
        shift: Tensor = None  # type: ignore[assignment]  # [n] how far outward the probes' centre is, in probe lengths / sqrt(d)

    def init(self, t: Task) -> Steps[HopSkipJump.State | Retire]:
        x, found = yield from start(t, self.tries)
        reach = t.distance(x)
        x = yield from stealth.to_boundary(t, x, self.tolerance(t), found, self.stages)
        return Retire(self.State(x, reach, torch.ones_like(reach)), ~found)

    def step(self, t: Task, s: HopSkipJump.State, k: int) -> Steps[HopSkipJump.State]:
        assert isinstance(s, StealthyHopSkipJump.State)
        g, shift = yield from self.leaning(t, s, k)
        far, held = yield from self.jump(t, s.x, g, k)
        x = yield from stealth.to_boundary(t, far, self.tolerance(t), held, self.stages)
        return self.State(x, torch.where(held, t.distance(far), s.reach), shift)

    def leaning(self, t: Task, s: State, k: int) -> Steps[tuple[Tensor, Tensor]]:
        """The boundary's normal, and the shift [n] for the next step."""
        width = t.threat.upper - t.threat.lower
        h = boundary.probe_length(t, s.reach * self.gamma / t.d if k else torch.full_like(s.reach, 0.1 * width))
        away = s.x - t.x0
        unit = away / rows(t.threat.distance(s.x, t.x0).clamp_min(1e-12), away)
        centre = t.clip(s.x + rows(s.shift * h / t.d**0.5, away) * unit)
        count = min(int(self.more * self.evals * (k + 1) ** 0.5), self.most_evals)
        bad, paid = torch.zeros_like(h), torch.zeros_like(h)
        steps = boundary.normal(t, centre, k, count, h, named(self.noise, self.share))
        ask: Ask = next(steps)
        while True:
            a = yield ask
            bad, paid = bad + (a.paid & ~a.adv).sum(1), paid + a.paid.sum(1)  # whole numbers: exact in any order
            try:
                ask = steps.send(a)
            except StopIteration as end:
                seen = bad / paid.clamp_min(1)
                factor = torch.where(seen > 1.5 * self.share_bad, 1.5, torch.where(seen < self.share_bad / 1.5, 1 / 1.5, 1.0))
                turned = s.shift * factor
                return end.value, torch.where(paid > 0, turned, s.shift).clamp(0.01, 1e4)
