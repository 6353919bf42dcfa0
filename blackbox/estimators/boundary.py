"""The boundary's normal from labels: which side of it random points around a boundary point fall on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from blackbox.estimators.probes import blocks
from blackbox.proposals.noise import Noise
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import rows, unit

BLOCK = 64  # directions in memory at a time
# of directions at right angles to each other: how many, and their entries in all (of long ones no more than `BLOCK`)
SQUARE, ENTRIES = 512, 2**22
ROUGH = 1e-5  # smallest root-mean-square change of an entry by a probe: ten times what float32 networks round away


def probe_length(t: Task, h: Tensor) -> Tensor:
    """[n] the Euclidean length of a probe: ``h``, but no less than moves a typical entry by one level of the target's input,
    or by more than float32 rounds away. For ImageNet the length that the paper's theory gives is below both."""
    return h.clamp_min(max(t.probe, ROUGH) * math.sqrt(t.d))


def most(noise: Noise, shape: tuple[int, ...]) -> int:
    """Directions of a block."""
    return min(noise.dimensions(shape), SQUARE, max(BLOCK, ENTRIES // math.prod(shape)))


def orthonormal(u: Tensor) -> Tensor:
    """``u`` [m, \\*shape], no more than are independent, turned into as many directions of length 1 at right angles that
    span the same.

    The sum of m signed directions s_i u_i is as far from the normal g as the part of it that is not along g is long. From
    independent directions in d dimensions the squared cosine with g is q / (1 + q), where q = 2 m / (pi d); at right angles
    the sum has the length sqrt(m) whatever the signs, and it is q.
    """
    q, _ = torch.linalg.qr(u.flatten(1).T)
    return q.T.contiguous().view_as(u)


def normal(t: Task, x: Tensor, k: int, count: int, h: Tensor, noise: Noise) -> Steps[Tensor]:
    """The boundary's normal at ``x`` [n, \\*shape], towards the adversarial side, for ``count`` queries a row.

    Signs of random probes with their mean subtracted: equation 16 of Chen, Jordan & Wainwright 2020,
    arXiv:1904.02144, with the displacements that are left after the clip to the box. Zero where nothing was paid.

    Departs from the paper: the probes of a block are orthogonal to each other (`orthonormal`), not independent.

    Args:
        h: [n] probe length in L2. k: the step, an address for the draws.
    """
    signed, plain = torch.zeros_like(x), torch.zeros_like(x)
    balance = torch.zeros(t.n, device=x.device)
    paid = torch.zeros(t.n, device=x.device)
    for start, stop in blocks(count, most(noise, t.shape)):
        u = orthonormal(noise.draw(t.rng, k, f"normal {start}", stop - start, t.shape))
        a = yield Ask(x, u=u, h=h)
        side = torch.where(a.paid, a.adv * 2.0 - 1.0, torch.zeros(()).to(x))
        balance, paid = balance + side.sum(1), paid + a.paid.sum(1)  # whole numbers: exact in any order
        for j in range(len(u)):
            moved = t.clip(x + rows(h, x) * u[j]) - x
            signed += rows(side[:, j], x) * moved
            plain += rows(a.paid[:, j].to(x.dtype), x) * moved
    mean = balance / paid.clamp_min(1)
    return unit(torch.where(rows(mean.abs() == 1, x), signed, signed - rows(mean, x) * plain))
