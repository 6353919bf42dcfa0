"""SignFlip (Chen, Zhang, Hu & Wu 2020, ECCV)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from blackbox import search
from blackbox.protocol import Access, Ask, Attack, Retire, Steps, Task
from blackbox.rowwise import choose, row_norm, rows


@dataclass(frozen=True)
class SignFlip(Attack):
    """Squeeze the change into a smaller cube, then flip the signs of a few entries; keep what stays adversarial.

    A step costs two queries, one for each. The squeeze adds +-``alpha`` to every entry at random and clips to a cube
    smaller by ``alpha``. Each entry is flipped with a chance of its own; when a flip holds, the chance falls a little for
    the entries it turned and rises for the others. Every 10 steps alpha and all chances follow the rates of success.

    Departs from the paper: alpha is at most a quarter of the distance, for targets whose boundary is that near; at least
    one entry is flipped (with 3,072 entries three are, with few none would be).

    Args:
        alpha: of the first squeezes, in units of the image range: 0.004. flip: chance that an entry is flipped, at
            first: 0.001. tries: noise images for a start. The first two and the factors of the adaption are those of
            the authors' code.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    minimises: ClassVar[bool] = True

    alpha: float = 0.004
    flip: float = 0.001
    tries: int = search.TRIES

    def __post_init__(self) -> None:
        if not self.alpha > 0 or not 0 < self.flip < 1 or self.tries < 1:
            raise ValueError(
                "Expected alpha > 0, flip in (0, 1) and tries of at least 1, but they were "
                f"{self.alpha}, {self.flip} and {self.tries}."
            )

    @dataclass
    class State:
        delta: Tensor  # [n, *shape] adversarial change
        alpha: Tensor  # [n]
        chance: Tensor  # [n, *shape] that an entry is flipped
        squeezed: Tensor  # [n] squeezes that held, of the last 10
        flipped: Tensor  # [n] flips that held, of the last 10

    def init(self, t: Task) -> Steps[Retire]:
        x, found = yield from search.boundary_start(t, self.tries)
        none = torch.zeros(t.n, device=x.device)
        return Retire(self.State(x - t.x0, none + self.alpha, torch.full_like(x, self.flip), none, none), ~found)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        delta, reach = s.delta, row_norm(s.delta, torch.inf)
        least = max(t.probe / 2, search.ROUNDING)
        alpha = torch.minimum(s.alpha, reach / 4).clamp_min(least)
        bound = rows((reach - alpha).clamp_min(0), delta)
        pushed = delta + rows(alpha, delta) * t.rng.signs(k, "squeeze", t.shape)
        smaller = torch.clamp(pushed, -bound, bound)
        a = yield Ask(t.x0 + smaller, mask=reach > least)
        delta = choose(a.adv, smaller, delta)

        draw = s.chance - t.rng.uniform(k, "flip", t.shape)
        turn = (draw > 0) | (draw == rows(draw.flatten(1).amax(1), draw))
        turned = torch.where(turn, -delta, delta)
        b = yield Ask(t.x0 + turned, mask=reach > least)
        delta = choose(b.adv, turned, delta)

        learnt = s.chance + torch.where(turn, -1e-4, 1e-4)
        chance = choose(b.adv, learnt, s.chance)
        squeezed, flipped = s.squeezed + a.adv, s.flipped + b.adv
        if k % 10 == 9:
            alpha = torch.where(squeezed > 7, alpha * 1.5, torch.where(squeezed < 3, alpha / 1.5, alpha))
            more = torch.where(flipped > 7, 0.001, torch.where(flipped < 3, -0.001, 0.0))
            chance = chance + rows(more, chance)
            squeezed, flipped = torch.zeros_like(squeezed), torch.zeros_like(flipped)
        return self.State(delta, alpha, chance.clamp(1e-4, 0.01), squeezed, flipped)
