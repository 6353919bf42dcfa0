"""Gaussian smoothing: random directions, one-sided (RGF) or in antithetic pairs (NES)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.estimators.probes import Own, affordable, bill, blocks, centre, differences, probe_size
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import rows, weighted_sum


@dataclass(frozen=True)
class Gaussian:
    """The gradient of the loss smoothed by a Gaussian: the mean of ``df / h * u`` over random directions u ~ N(0, I).

    Two-sided, with pairs +u and -u: NES (Ilyas et al. 2018, arXiv:1804.08598, section 2.2; antithetic sampling after
    Salimans et al. 2017). One-sided: RGF (Nesterov & Spokoiny 2017, Random gradient-free minimization, eq. 30).

    Departs from the papers: the clip to the box is accounted for in closed form. By Stein's lemma
    ``E[clip(x + h u)_i u_i] = h p_i`` with ``p_i`` the probability that pixel i stays inside, so each pixel is divided
    by ``h p_i`` instead of h, and the estimate is unbiased on a linear loss at the box's edges too.

    Args:
        h: standard deviation of a pixel's change, in units of the image range (the paper's sigma: 0.001).
        samples: probes: half of them pairs when two-sided (the reference code's 50). own: different directions for
            every row, not for every step only. block: directions an Ask.
    """

    h: float = 0.001
    samples: int = 50
    two_sided: bool = True
    own: bool = False
    block: int = 64

    def __post_init__(self) -> None:
        check_samples(self.samples, self.two_sided)

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0, most: int | None = None) -> int:
        return bill(self.samples // 2 if self.two_sided else self.samples, self.two_sided, centre, most)

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        h = probe_size(t, self.h, t.d**0.5, self.two_sided)
        count = self.samples // 2 if self.two_sided else self.samples

        def shared(j: int, m: int) -> Tensor:
            return t.rng.shared_normal(k, f"gaussian {j}", (m, *t.shape))

        def own(keep: Tensor | None, j: int) -> Tensor:
            rng = t.rng if keep is None else t.rng.take(keep.numpy(force=True))
            return rng.normal(k, f"gaussian {j}", t.shape)

        g = yield from averaged(t, x, h, count, shared, own if self.own else None, loss, self.two_sided, most, self.block)
        inside = torch.special.ndtr((t.threat.upper - x) / h) - torch.special.ndtr((t.threat.lower - x) / h)
        return g / (inside * (2 * h if self.two_sided else h))


def check_samples(samples: int, two_sided: bool) -> None:
    if samples < 1 or (two_sided and samples % 2):
        raise ValueError(
            f"Expected samples to be {'an even number' if two_sided else 'at least 1'}, but it was {samples}."
        )


def averaged(
    t: Task,
    x: Tensor,
    h: float,
    count: int,
    shared: Callable[[int, int], Tensor],
    own: Callable[[Tensor | None, int], Tensor] | None,
    loss: Tensor | None,
    two_sided: bool,
    most: int | None,
    block: int,
) -> Steps[Tensor]:
    """The mean of ``df * u`` over ``count`` directions u, not yet divided by a displacement: [n, \\*shape].

    shared(start, m): directions start..start+m for all rows. own(rows, j): direction j for these rows; it is drawn
    again where it is needed instead of being kept.
    """
    each = 2 if two_sided else 1
    count = affordable(count, two_sided, loss is None, most)
    g = torch.zeros_like(x)
    if not count:
        return g
    base = None if two_sided else (yield from centre(x, loss))
    for start, stop in blocks(count, block):
        m = stop - start
        if own is None:
            u = shared(start, m)
            a = yield Ask(x, u=torch.stack([u, -u], 1).flatten(0, 1) if two_sided else u, h=h)
            g += weighted_sum(differences(a.loss, base), u)
            continue

        def make(row: Tensor, index: Tensor, start: int = start) -> Tensor:
            out = x.new_empty(len(row), *t.shape)
            for j in torch.unique(index // each).tolist():
                at = (index // each == j).nonzero()[:, 0]
                out[at] = own(row[at], start + j)
            return out * rows((1 - 2 * (index % 2)).to(out.dtype), out) if two_sided else out

        a = yield Ask(x, u=Own(each * m, make), h=h)
        diff = differences(a.loss, base)
        for j in range(m):
            g.addcmul_(rows(diff[:, j].contiguous(), g), own(None, start + j))
    return g / count


