"""P-RGF: a guess of the gradient mixed into random directions, by how good it proves to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.estimators.probes import Own, affordable, bill, blocks, centre, differences, probe_size
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import row_dot, row_norm, row_sum, rows, unit

Prior = Callable[[Task, Tensor, int], Tensor]


@dataclass(frozen=True)
class PriorGuided:
    """Random directions biased towards a prior direction: P-RGF (Cheng et al. 2019, arXiv:1906.06919).

    ``prior(t, x, k)`` gives a direction [n, \\*shape] at ``x``, of any length and either sign: a surrogate's gradient,
    the last step, the way to a start image. One query looks along it, ``looks`` queries along random directions; they
    give the cosine between prior and gradient, and with it the share lambda of the prior in each of ``samples``
    directions (`share`). Where lambda is 1 the prior is the estimate and no more is paid: `plan` is the most an
    estimate costs. Where it is 0 this is RGF; a row of zeros is no prior, so lambda is 0 there.

    The estimate has the gradient's length as the looks saw it. It is a direction of small mean squared error, not
    unbiased; the clip to the box is not corrected for.

    Departs from the paper: the gradient's length, which it looks at every tenth step, is looked at in every estimate,
    since estimators keep nothing between steps. Where ``most`` leaves no direction after the looks, all is spent on RGF.

    Args:
        prior: see above. h: a probe's root mean square change of a pixel, in units of the image range: 0.0001.
            samples: directions: 50. looks: random directions for the gradient's length: 10 (all three the authors' code).
            block: directions an Ask.
    """

    prior: Prior
    h: float = 0.0001
    samples: int = 50
    looks: int = 10
    block: int = 64

    def __post_init__(self) -> None:
        if self.samples < 1 or self.looks < 1:
            raise ValueError(f"Expected samples and looks of at least 1, but they were {self.samples} and {self.looks}.")

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0, most: int | None = None) -> int:
        return bill(1 + self.looks + self.samples, False, centre, most)

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]:
        count = affordable(1 + self.looks + self.samples, False, loss is None, most)
        if not count:
            return torch.zeros_like(x)
        base = yield from centre(x, loss)
        root = t.d**0.5
        sigma = probe_size(t, self.h, root, False) * root
        everyone = torch.ones(t.n, dtype=torch.bool, device=x.device)
        v, zero = torch.zeros_like(x), x.new_zeros(t.n)
        if count < self.looks + 2:
            g = yield from self.average(t, x, k, "directions", count, sigma, base, v, zero, everyone)
            return g * t.d
        v = unit(self.prior(t, x, k))
        a = yield Ask(x, u=Own(1, lambda row, index: v[row]), h=sigma)
        along = differences(a.loss, base)[:, 0] / sigma
        looked = unit(t.rng.shared_normal(k, "looks", (self.looks, *t.shape)))
        a = yield Ask(x, u=looked, h=sigma)
        slopes = differences(a.loss, base) / sigma
        length = (row_sum(slopes * slopes) * (t.d / self.looks)).sqrt()
        left = count - 1 - self.looks
        mix = share(along * along / (length * length).clamp_min(1e-30), t.d, left)
        g = rows(along, v) * v
        rest = mix < 1
        if bool(rest.any()):
            mixed = yield from self.average(t, x, k, "directions", left, sigma, base, v, mix, rest)
            g = torch.where(rows(rest, g), mixed, g)
        return unit(g) * rows(torch.where(length > 0, length, row_norm(g)), g)

    def average(
        self, t: Task, x: Tensor, k: int, tag: str, count: int, sigma: float, base: Tensor, v: Tensor, mix: Tensor,
        mask: Tensor,
    ) -> Steps[Tensor]:  # fmt: skip
        """The mean of ``df / sigma * u`` over directions u that hold the share ``mix`` [n] of the prior ``v``."""
        g = torch.zeros_like(x)
        for start, stop in blocks(count, self.block):
            drawn = t.rng.shared_normal(k, f"{tag} {start}", (stop - start, *t.shape))

            def make(row: Tensor, index: Tensor, drawn: Tensor = drawn) -> Tensor:
                around, along = drawn[index], v[row]
                around = unit(around - rows(row_dot(around, along), along) * along)
                return rows(mix[row].sqrt(), along) * along + rows((1 - mix[row]).sqrt(), along) * around

            a = yield Ask(x, u=Own(stop - start, make), h=sigma, mask=mask)
            slope = differences(a.loss, base) / sigma
            everyone = torch.arange(t.n, device=x.device)
            for j in range(stop - start):
                g.addcmul_(rows(slope[:, j].contiguous(), g), make(everyone, torch.full_like(everyone, j)))
        return g / count


def share(cosine2: Tensor, d: int, q: int) -> Tensor:
    """The paper's best share lambda of a prior in each of q directions, for the square of its cosine to the gradient.

    It minimises the mean squared error of the estimate, scaled as it is best, in d dimensions.
    """
    a = cosine2.double()
    between = (1 - a) * (a * (d + 2 * q - 2) - 1) / (2 * a * d * q - a * a * d * (d + 2 * q - 2) - 1)
    low, high = 1 / (d + 2 * q - 2), (2 * q - 1) / (d + 2 * q - 2)
    return torch.where(a <= low, 0.0, torch.where(a >= high, 1.0, between)).clamp(0, 1).to(cosine2.dtype)
