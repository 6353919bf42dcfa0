"""Boundary Attack (Brendel, Rauber & Bethge 2018, arXiv:1712.04248)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, row_dot, row_norm, rows, unit

WINDOW = 20  # tries after which a step length is judged


@dataclass(frozen=True)
class Boundary(Attack):
    """A random walk on the sphere around the original, with a step inwards whenever it stays adversarial: Algorithm 1.

    A step draws a direction at right angles to the current change and moves along the sphere; where that is
    adversarial, it tries a step towards the original too: 1 or 2 queries. Both lengths follow the rates of success, as
    in a trust region: about half of the moves on the sphere shall hold (section 2.3).

    Departs from the paper: a move on the sphere that holds is kept even if the step inwards then fails; the start is
    bisected onto the boundary first; lengths are judged every 20 tries.

    Args:
        sphere, inwards: first lengths of the two steps, as shares of the distance: 0.01 each (the authors' code).
        factor: of their adaption: 1.5 (the authors' code). tries: noise images for a start.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("L2",)
    minimises: ClassVar[bool] = True

    sphere: float = 0.01
    inwards: float = 0.01
    factor: float = 1.5
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        if not 0 < self.sphere < 1 or not 0 < self.inwards < 1 or not self.factor > 1 or self.tries < 1:
            raise ValueError(
                "Expected sphere and inwards in (0, 1), factor > 1 and tries of at least 1, but they were "
                f"{self.sphere}, {self.inwards}, {self.factor} and {self.tries}."
            )

    @dataclass
    class State:
        x: Tensor
        sphere: Tensor  # [n] length on the sphere
        inwards: Tensor  # [n] length towards the original
        tried: Tensor  # [n, 2] tries of the two since they were last judged
        held: Tensor  # [n, 2] successes among them

    def init(self, t: Task) -> Steps[Retire]:
        x, found = yield from search.boundary_start(t, self.tries)
        none = torch.zeros(t.n, device=x.device)
        counts = torch.zeros(t.n, 2, device=x.device)
        return Retire(self.State(x, none + self.sphere, none + self.inwards, counts, counts), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        u, reach = unit(s.x - t.x0), t.distance(s.x)
        v = t.rng.normal(k, "sphere", t.shape)
        v = unit(v - rows(row_dot(u, v), u) * u)
        around = t.clip(t.x0 + rows(reach, u) * unit(u + rows(s.sphere, u) * v))
        a = yield Ask(around, mask=row_norm(v) > 0)
        x = choose(a.adv, around, s.x)
        nearer = t.x0 + rows(1 - s.inwards, x) * (x - t.x0)
        b = yield Ask(nearer, mask=a.adv)
        x = choose(b.adv, t.clip(nearer), x)

        tried = s.tried + torch.stack([a.paid, b.paid], 1)
        held = s.held + torch.stack([a.adv, b.adv], 1)
        full = tried >= WINDOW
        rate = held / tried.clamp_min(1)
        low, high = rate < torch.tensor([0.2, 0.1]).to(x), rate > torch.tensor([0.5, 0.25]).to(x)
        factor = torch.where(full & high, self.factor, torch.where(full & low, 1 / self.factor, 1.0))
        least = (max(t.probe, search.ROUNDING) * t.d**0.5 / reach.clamp_min(1e-12)).clamp_max(0.1)
        return self.State(
            x,
            # a sphere on which too much is adversarial, or too little, says the same of the step inwards
            torch.maximum(s.sphere * factor[:, 0], least).clamp_max(0.9),
            torch.maximum(s.inwards * factor[:, 0] * factor[:, 1], least).clamp_max(0.9),
            torch.where(full, torch.zeros_like(tried), tried),
            torch.where(full, torch.zeros_like(held), held),
        )
