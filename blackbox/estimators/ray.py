"""The distance of the boundary along a ray, and the direction in which it gets shorter, from labels.

The ray of a direction u leads to ``x0 + r u``; its distance r(u) is the smallest r at which the target's answer is what the attacker
wants. For a flat boundary with the normal n, r(u) is ``c / (n . u)``, so that for p at right angles to u

    slope(p) = (r(u) / r(u + b p) - 1) / b = (n . p) / (n . u)

whatever b is, and ``u + sum_i slope(p_i) p_i`` is the best direction in the span of u and the p_i, where these are orthonormal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox import search
from blackbox.estimators import boundary
from blackbox.estimators.probes import Own, blocks
from blackbox.proposals.noise import Noise
from blackbox.protocol import Ask, Steps, Task
from blackbox.rowwise import choose, row_dot, row_norm, rows, unit

MOST = 14  # of a bracket's widenings: its width doubles each time


def sphere(t: Task, u: Tensor) -> Tensor:
    """Directions of length 1 in the threat's norm: in L2 divided by their length, in Linf clipped to signs, where they are longer."""
    if t.threat.norm != "Linf":
        return unit(u)
    u = u.clamp(-1, 1)
    return u / rows(row_norm(u, torch.inf).clamp_min(1e-12), u)


def point(t: Task, u: Tensor, reach: Tensor) -> Tensor:
    """The point at ``reach`` [n] on the ray of ``u`` [n, \\*shape], clipped to the box."""
    return t.clip(t.x0 + rows(reach, u) * u)


def seen(t: Task, u: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """The ray through the point that the box leaves of another's at ``reach``: its direction and the point's distance."""
    moved = point(t, u, reach) - t.x0
    far = row_norm(moved, t.threat.p)
    some = far > 0
    return choose(some, moved / rows(far.clamp_min(1e-12), u), u), torch.where(some, far, reach)


def first(t: Task, x: Tensor, found: Tensor, share: float) -> Steps[tuple[Tensor, Tensor]]:
    """The ray through adversarial points ``x`` in the rows ``found``, bisected to a ``share`` of its distance."""
    far = t.distance(x)
    u = (x - t.x0) / rows(far.clamp_min(1e-12), x)
    tolerance = shortest(t, u, far * share)
    far = yield from search.bisect(lambda r: point(t, u, r), torch.zeros_like(far), far, tolerance, found)
    return seen(t, u, far)


def shortest(t: Task, u: Tensor, tolerance: Tensor) -> Tensor:
    """``tolerance`` [n] of distances along ``u``, but no less than changes an entry by as much as the target can tell."""
    visible = max(t.probe / 2, search.ROUNDING)
    return torch.maximum(tolerance, visible / row_norm(u, torch.inf).clamp_min(1e-12))


def distance(t: Task, u: Tensor, guess: Tensor, share: float, todo: Tensor) -> Steps[tuple[Tensor, Tensor]]:
    """The distance [n] along the rays of ``u``, of any length, to a ``share`` of ``guess`` [n]; and [n] whether one was found.

    A bracket around the guess is widened, twice as far each time, until its ends differ; then it is bisected.
    """
    a = yield Ask(point(t, u, guess), mask=todo)
    inside, todo = a.adv, todo & a.paid
    low, high, found = torch.zeros_like(guess), guess, a.adv
    low = torch.where(inside, low, guess)
    step, open_ = 4 * share, todo
    for _ in range(MOST):
        trial = torch.where(inside, guess * max(1 - step, 0.0), guess * (1 + step))
        open_ = open_ & (trial > 0) & (trial <= 8 * guess)
        if not bool(open_.any()):
            break
        a = yield Ask(point(t, u, trial), mask=open_)
        high, found = torch.where(a.adv, trial, high), found | a.adv
        low = torch.where(a.paid & ~a.adv, trial, low)
        open_, step = open_ & a.paid & (a.adv == inside), 2 * step
    tolerance = shortest(t, u, share * guess)
    high = yield from search.bisect(lambda r: point(t, u, r), low, high, tolerance, todo & found)
    return high, found & todo


def nearer(
    t: Task, u: Tensor, reach: Tensor, other: Tensor, share: float, todo: Tensor
) -> Steps[tuple[Tensor, Tensor, Tensor]]:
    """``other`` where its ray is shorter than ``reach`` by a ``share`` or more, else ``u``; its distance; [n] where it is."""
    inside = reach * (1 - share)
    a = yield Ask(point(t, other, inside), mask=todo)
    better = a.adv
    low, high, step, open_ = torch.zeros_like(reach), torch.where(better, inside, reach), 4 * share, better
    for _ in range(MOST):
        trial = inside * max(1 - step, 0.0)
        open_ = open_ & (trial > 0)
        if not bool(open_.any()):
            break
        a = yield Ask(point(t, other, trial), mask=open_)
        high, low = torch.where(a.adv, trial, high), torch.where(a.paid & ~a.adv, trial, low)
        open_, step = open_ & a.adv, 2 * step
    tolerance = shortest(t, other, share * reach)
    high = yield from search.bisect(lambda r: point(t, other, r), low, high, tolerance, better)
    seen_u, seen_r = seen(t, other, high)
    return choose(better, seen_u, u), torch.where(better, seen_r, reach), better


def slope(t: Task, u: Tensor, reach: Tensor, p: Tensor, size: float, share: float, todo: Tensor) -> Steps[Tensor]:
    """slope(p) [n] at ``u`` with the distance ``reach``, from a difference; 0 where none was found.

    One query tells which of the rays of ``u + b p`` and ``u - b p`` is the shorter, where b is ``size`` times the length of u; its
    distance is measured, for the other's may be infinite.
    """
    b = size * row_norm(u)
    todo = todo & (row_norm(p) > 0)
    a = yield Ask(point(t, u + rows(b, p) * p, reach), mask=todo)
    b = torch.where(a.adv, b, -b)
    far, found = yield from distance(t, u + rows(b, p) * p, reach, share, todo & a.paid)
    found = found & (far > 0)
    return torch.where(found, (reach / far.clamp_min(1e-12) - 1) / torch.where(found, b, torch.ones_like(b)), torch.zeros_like(reach))


def side(
    t: Task, u: Tensor, reach: Tensor, k: int, count: int, size: float, noise: Noise, beside: Sequence[Tensor]
) -> Steps[Tensor]:
    """Unit direction [n, \\*shape] in which rays get shorter, at right angles to those ``beside``, for ``count`` queries a row.

    The mean of random directions with the signs of their slopes: Sign-OPT's estimate (Cheng et al. 2020, arXiv:1909.10773).

    Departs from the paper: the directions of a block are orthonormal (`boundary.orthonormal`), the mean of the signs is subtracted,
    and a probe is no shorter than the target can tell.

    Args:
        size: length of a probe, as a share of the point's Euclidean distance. beside: unit, at right angles to each other.
    """
    total, plain = torch.zeros_like(u), torch.zeros_like(u)
    balance, paid = torch.zeros_like(reach), torch.zeros_like(reach)
    length = boundary.probe_length(t, size * reach * row_norm(u))
    centre = point(t, u, reach)
    for start, stop in blocks(count, boundary.most(noise, t.shape)):
        v = boundary.orthonormal(noise.draw(t.rng, k, f"side {start}", stop - start, t.shape))

        def make(row: Tensor, index: Tensor, v: Tensor = v) -> Tensor:
            near = v[index]
            for p in beside:
                near = near - rows(row_dot(near, p[row]), near) * p[row]
            return near

        a = yield Ask(centre, u=Own(len(v), make), h=length)
        sign = torch.where(a.paid, a.adv * 2.0 - 1.0, torch.zeros(()).to(total))
        balance, paid = balance + sign.sum(1), paid + a.paid.sum(1)  # whole numbers: exact in any order
        for j in range(len(v)):
            total += rows(sign[:, j], total) * v[j]
            plain += rows(a.paid[:, j].to(total.dtype), total) * v[j]
    mean = balance / paid.clamp_min(1)
    total = torch.where(rows(mean.abs() == 1, total), total, total - rows(mean, total) * plain)
    for p in beside:
        total = total - rows(row_dot(total, p), total) * p
    return unit(total)


def orthonormal(given: Sequence[Tensor], beside: Sequence[Tensor]) -> list[Tensor]:
    """Rows' directions turned into unit ones at right angles to each other and to those ``beside`` (Gram-Schmidt).

    What is in the span of those before it becomes zeros."""
    out: list[Tensor] = []
    for p in given:
        p = unit(p)
        for _ in range(2):  # once more, against the rounding of the first
            for other in (*beside, *out):
                p = p - rows(row_dot(p, other), p) * other
        out.append(choose(row_norm(p) > 1e-3, unit(p), torch.zeros_like(p)))
    return out


@dataclass(frozen=True)
class Estimate:
    """How the slopes of rays are estimated.

    probes: of a `side`. size: their length, see there. far: size of the differences, see `slope`; to a share ``coarse`` of the
    distance. noise: where the side's directions come from.
    """

    probes: int
    size: float
    far: float
    coarse: float
    noise: Noise

    def of(self, t: Task, u: Tensor, reach: Tensor, k: int, priors: Sequence[Tensor]) -> Steps[Tensor]:
        """What to add to ``u``: it leads to the best direction in the span of u, the ``priors``, and a `side` beside them."""
        beside = [] if t.threat.norm == "Linf" else [unit(u)]
        axes = orthonormal(priors, beside)
        axes.append((yield from side(t, u, reach, k, self.probes, self.size, self.noise, [*beside, *axes])))
        total = torch.zeros_like(u)
        for p in axes:
            s = yield from slope(t, u, reach, p, self.far, self.coarse, reach > 0)
            total = total + rows(s, p) * p
        return total

    def signs(self, t: Task, u: Tensor, reach: Tensor, k: int, priors: Sequence[Tensor]) -> Steps[Tensor]:
        """As `of`, but for a query a prior: of length 1, with the signs of their slopes, each with the weight of a probe."""
        beside = [] if t.threat.norm == "Linf" else [unit(u)]
        axes = orthonormal(priors, beside)
        v = yield from side(t, u, reach, k, self.probes, self.size, self.noise, [*beside, *axes])
        total, length = v * self.probes**0.5, boundary.probe_length(t, self.size * reach * row_norm(u))
        if axes:
            ways = torch.stack(axes, 1)
            a = yield Ask(point(t, u, reach), u=Own(len(axes), lambda row, index: ways[row, index]), h=length)
            for j, p in enumerate(axes):
                total = total + rows(torch.where(a.paid[:, j], a.adv[:, j] * 2.0 - 1.0, torch.zeros_like(reach)), p) * p
        return unit(total)


def descend(
    t: Task, best: tuple[Tensor, Tensor], y: Tensor, v: Tensor, tries: int, share: float
) -> Steps[tuple[Tensor, Tensor, Tensor]]:
    """The first of the rays ``y + v``, ``y + v / 3`` ... that is shorter than the ``best`` one, or that one; and [n] the share of
    ``v`` that was taken, 0 where there is none."""
    (u, reach), todo, step = best, row_norm(v) > 0, 1.0
    taken = torch.zeros_like(reach)
    for _ in range(tries):
        if not bool(todo.any()):
            break
        u, reach, now = yield from nearer(t, u, reach, sphere(t, y + step * v), share, todo)
        taken, todo, step = torch.where(now, step, taken), todo & ~now, step / 3
    return u, reach, taken
