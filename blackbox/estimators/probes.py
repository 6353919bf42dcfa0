"""What every estimator does: choose a probe that the target can see, ask in blocks, count before asking."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from blackbox.protocol import Ask, Steps, Task

LEVELS = 2  # probe steps of a quantised target that a probe moves at the least, on each side


@runtime_checkable
class Estimator(Protocol):
    """A frozen dataclass of settings.

    ``plan(shape, centre, k, most)``: the queries that one estimate costs a row. ``centre``: the loss at ``x`` is not
    known and has to be paid for, where the estimator needs it (one-sided differences do, two-sided ones do not).

    ``estimate(t, x, k, loss, most)``: the gradient [n, \\*shape] of the loss at ``x`` [n, \\*shape], to be ascended.
    ``loss`` [n]: the loss at ``x``, if known. ``most``: a bill that must not be exceeded, when a row has fewer queries
    left than the plan; the estimate is then coarser or partial, as the estimator says. Answers that were not paid
    (NaN) count as no difference, so a row that ended in between has finite numbers.
    """

    def plan(self, shape: tuple[int, ...], centre: bool = True, k: int = 0, most: int | None = None) -> int: ...

    def estimate(
        self, t: Task, x: Tensor, k: int, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]: ...


@runtime_checkable
class Progressive(Estimator, Protocol):
    """An estimator whose gradient at one point can be had in rounds, each building on the one before.

    ``rounds(shape)``: what each round costs a row; ``two_sided``: in pairs. ``refine(t, x, k, g, loss, most)``: round k,
    given the result ``g`` of round k - 1 (zeros before the first).
    """

    @property
    def two_sided(self) -> bool: ...

    def rounds(self, shape: tuple[int, ...]) -> list[int]: ...

    def refine(
        self, t: Task, x: Tensor, k: int, g: Tensor, loss: Tensor | None = None, most: int | None = None
    ) -> Steps[Tensor]: ...


@dataclass(frozen=True)
class Own:
    """Directions of each row's own, made when a call is put together (`blackbox.protocol.Directions`)."""

    count: int
    make: Callable[[Tensor, Tensor], Tensor]


def probe_size(t: Task, h: float, length: float = 1.0, two_sided: bool = True) -> float:
    """The largest change of a pixel by a probe: ``h``, but big enough to be seen.

    A target behind 8-bit inputs cannot see less than ``t.probe``: there it is rounded up to a whole number of levels,
    `LEVELS` at the least, so that what is asked is what is seen. Scores rounded to steps of r, or with noise of standard
    deviation r, put an error of order r on a difference; what balances it against curvature is of order r**(1/3) for
    two-sided and r**(1/2) for one-sided differences (Nocedal & Wright 2006, Numerical Optimization, section 8.1, with the
    image range as the unit of curvature), measured along the probe.

    Args:
        length: Euclidean length of a direction whose largest entry is 1 (1 for a pixel, sqrt(d) for signs everywhere).
    """
    if floor := max(t.resolution, t.noise):
        h = max(h, floor ** (1 / 3 if two_sided else 1 / 2) / length)
    if t.probe:
        h = max(math.ceil(h / t.probe - 1e-6), LEVELS) * t.probe
    return min(h, (t.threat.upper - t.threat.lower) / 2)


radius = probe_size  # its public name: `blackbox.estimators.radius`


def affordable(wanted: int, two_sided: bool, centre: bool, most: int | None) -> int:
    """How many of the ``wanted`` differences ``most`` queries pay for, with the centre where it must be paid for."""
    each, before = (2, 0) if two_sided else (1, int(centre))
    return wanted if most is None else max(0, min(wanted, (most - before) // each))


def bill(wanted: int, two_sided: bool, centre: bool, most: int | None) -> int:
    """What ``wanted`` differences cost, with the centre where it must be paid for, when at most ``most`` may be spent."""
    count = affordable(wanted, two_sided, centre, most)
    return (2 * count if two_sided else count + int(centre)) if count else 0


def blocks(count: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive blocks."""
    for start in range(0, count, size):
        yield start, min(count, start + size)


def centre(x: Tensor, loss: Tensor | None) -> Steps[Tensor]:
    """The loss at ``x``: as known, or for one query a row."""
    if loss is not None:
        return loss
    a = yield Ask(x, u=torch.zeros_like(x[:1]))  # a probe of length 0: not projected into the threat
    return a.loss[:, 0]


def pushes(
    t: Task, x: Tensor, h: float, loss: Tensor | None, two_sided: bool
) -> Steps[tuple[Tensor, Tensor, Tensor | None]]:
    """By how much single pixels are probed, [n, d]; what the box leaves of it, [n, d]; and the loss at the centre.

    Two-sided: ``h`` up and down, the distance between the two ends, None. One-sided: ``h`` up, or down at the upper edge.
    """
    flat = x.flatten(1)
    if two_sided:
        return torch.full_like(flat, h), (t.clip(x + h) - t.clip(x - h)).flatten(1), None
    base = yield from centre(x, loss)
    push = torch.where(flat + h <= t.threat.upper, h, -h)
    return push, t.clip(flat + push) - flat, base


def differences(answers: Tensor, loss: Tensor | None) -> Tensor:
    """Two-sided: [n, 2m] answers in pairs (+, -) -> [n, m]; with the loss at the centre: [n, m] -> [n, m].

    A difference that was not paid in full counts as 0.
    """
    diff = answers[:, 0::2] - answers[:, 1::2] if loss is None else answers - loss[:, None]
    return torch.where(diff.isnan(), torch.zeros_like(diff), diff)
