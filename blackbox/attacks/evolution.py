"""Tiled diagonal CMA-ES (Meunier, Atif & Teytaud 2019, arXiv:1910.02244)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from blackbox.proposals.tiles import widen
from blackbox.protocol import Access, Ask, Attack, Steps, Task
from blackbox.rowwise import choose, row_norm, rows, unit


class Constants(NamedTuple):
    """Hansen's names: w, mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, E|N(0, I)|."""

    weights: tuple[float, ...]
    mu: float
    c_sigma: float
    damping: float
    c_path: float
    c_one: float
    c_mu: float
    length: float


@dataclass(frozen=True)
class Evolution(Attack):
    """An evolution strategy on tiles, for targets whose scores have no useful slope: it only compares them.

    A generation draws its children around a mean, asks for each (one query), and moves the mean, the spread of each
    tile and the step towards the better half: CMA-ES with a diagonal covariance (Ros & Hansen 2008, "A simple
    modification in CMA-ES achieving linear time and space complexity", with the constants of Hansen 2016,
    arXiv:1604.00772, table 1). In Linf a child is the sign of its draw, so that every entry lies at +eps or -eps; in L2
    it is scaled to length eps.

    Args:
        tiles: tiles a side: 50 from 128 pixels on (the paper, ImageNet); below, 16 in colour and 8 in grey.
        population: children a generation: 8. (Both ours, chosen on images other than those reported on.)
        sigma: the step in the beginning. From a mean of 0 it has no effect in the first generation: 1.

    Needs: scores, or at least the top k. State: mean, spread, path, path_sigma [n, channels, tiles down, tiles across]
    (the variances, and the two evolution paths), sigma [n].
    Departs from the paper: it samples the sign from a softmax of two variables a tile; here one variable's sign.
    """

    access: ClassVar[Access] = Access.TOPK
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    tiles: int | None = None
    population: int = 8
    sigma: float = 1.0

    def __post_init__(self) -> None:
        if (self.tiles is not None and self.tiles < 1) or not self.sigma > 0 or self.population < 4:
            raise ValueError(
                f"Expected tiles of at least 1, sigma > 0 and population of at least 4, but they were {self.tiles}, "
                f"{self.sigma} and {self.population}."
            )

    @dataclass
    class State:
        mean: Tensor
        spread: Tensor
        path: Tensor
        path_sigma: Tensor
        sigma: Tensor

    def init(self, t: Task) -> State:
        c, h, w = t.grid
        side = self.tiles or (50 if min(h, w) >= 128 else 16 if c > 1 else 8)
        zero = t.x0.new_zeros(t.n, c, min(side, h), min(side, w))
        return self.State(zero, zero + 1, zero, zero, torch.full_like(t.loss0, self.sigma))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        d = s.mean[0].numel()
        count = self.population
        scale = rows(s.sigma, s.mean) * s.spread.sqrt()
        draws, losses = t.rng.normal(k, "children", (count, *s.mean.shape[1:])), []
        paid = torch.ones_like(t.loss0, dtype=torch.bool)
        for j in range(count):
            a = yield Ask(child(t, s.mean + scale * draws[:, j]))
            losses.append(a.loss)
            paid = paid & a.paid
        c = constants(d, count)
        order = torch.stack(losses, 1).nan_to_num(-torch.inf).argsort(dim=1, descending=True, stable=True)
        row = torch.arange(t.n, device=order.device)
        z, square = torch.zeros_like(s.mean), torch.zeros_like(s.mean)
        for place, weight in enumerate(c.weights):
            one = draws[row, order[:, place]]
            z, square = z + weight * one, square + weight * one * one
        path_sigma = (1 - c.c_sigma) * s.path_sigma + math.sqrt(c.c_sigma * (2 - c.c_sigma) * c.mu) * z
        ratio = row_norm(path_sigma) / c.length
        calm = ratio < (1.4 + 2 / (d + 1)) * math.sqrt(1 - (1 - c.c_sigma) ** (2 * (k + 1)))
        push = rows(calm, z) * math.sqrt(c.c_path * (2 - c.c_path) * c.mu) * s.spread.sqrt() * z
        path = (1 - c.c_path) * s.path + push
        lost = rows(~calm, z) * (c.c_one * c.c_path * (2 - c.c_path))
        kept = (1 - c.c_one - c.c_mu + lost) * s.spread
        spread = kept + c.c_one * path * path + c.c_mu * s.spread * square
        change = (c.c_sigma / c.damping * (ratio - 1)).clamp(-1, 1)
        sigma = s.sigma * torch.tensor([math.exp(v) for v in change.tolist()], device=change.device)
        new = (s.mean + scale * z, spread, path, path_sigma, sigma)
        old = (s.mean, s.spread, s.path, s.path_sigma, s.sigma)
        return self.State(*(choose(paid, v, w) for v, w in zip(new, old, strict=True)))


def child(t: Task, v: Tensor) -> Tensor:
    """The point of a draw [n, channels, tiles, tiles]."""
    wide = widen(v, t)
    if t.low is not None and t.high is not None:
        return torch.where(wide > 0, t.high, t.low)
    return t.x0 + t.radius * unit(wide)


@lru_cache(maxsize=8)
def constants(d: int, count: int) -> Constants:
    """Table 1 of Hansen 2016 for ``d`` variables, the learning rates of the variances times (d + 2) / 3."""
    raw = [math.log((count + 1) / 2) - math.log(i + 1) for i in range(count // 2)]
    weights = tuple(v / sum(raw) for v in raw)
    mu = 1 / sum(v * v for v in weights)
    c_sigma = (mu + 2) / (d + mu + 5)
    c_one = min(1.0, (d + 2) / 3 * 2 / ((d + 1.3) ** 2 + mu))
    return Constants(
        weights=weights,
        mu=mu,
        c_sigma=c_sigma,
        damping=1 + 2 * max(0.0, math.sqrt((mu - 1) / (d + 1)) - 1) + c_sigma,
        c_path=(4 + mu / d) / (d + 4 + 2 * mu / d),
        c_one=c_one,
        c_mu=min(1 - c_one, (d + 2) / 3 * 2 * (mu - 2 + 1 / mu) / ((d + 2) ** 2 + mu)),
        length=math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d)),
    )
