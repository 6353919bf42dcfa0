"""`Direction`: turns a gradient into the direction of a step, as a chain of small parts.

The design is optax's: a part is a pair of pure functions, and a paper's method is a chain. The gradient may come from
autograd through a surrogate or from finite differences over queries.

    fgsm, i-fgsm:  stateless(threat.steepest)
    mi-fgsm:       chain(mean_abs(), momentum(1.0), sign())
    ni-fgsm:       chain(mean_abs(), nesterov(1.0, step), sign())

Every tensor of a state leads with the row axis, so that the engine can drop finished rows and save the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rowwise import row_sum, rows, unit

State = Any


class Direction(NamedTuple):
    """``init(x0) -> state``; ``update(gradient, state) -> (direction, state)``; ``peek(x, state) -> point``.

    ``peek`` gives the point of the next gradient: ``x`` itself, or one further along (Nesterov).
    """

    init: Callable[[Tensor], State]
    update: Callable[[Tensor, State], tuple[Tensor, State]]
    peek: Callable[[Tensor, State], Tensor] = lambda x, state: x


def stateless(f: Callable[[Tensor], Tensor]) -> Direction:
    """A part without memory: the direction is ``f(gradient)``."""
    return Direction(lambda x0: (), lambda g, state: (f(g), state))


def chain(*parts: Direction) -> Direction:
    """Apply the parts from left to right."""

    def init(x0: Tensor) -> State:
        return tuple(part.init(x0) for part in parts)

    def update(g: Tensor, state: State) -> tuple[Tensor, State]:
        after = []
        for part, s in zip(parts, state, strict=True):
            g, s = part.update(g, s)
            after.append(s)
        return g, tuple(after)

    def peek(x: Tensor, state: State) -> Tensor:
        for part, s in zip(parts, state, strict=True):
            x = part.peek(x, s)
        return x

    return Direction(init, update, peek)


def identity() -> Direction:
    """The unchanged gradient."""
    return stateless(lambda g: g)


def sign() -> Direction:
    """The sign of each entry: the steepest step in Linf (Goodfellow et al. 2015, arXiv:1412.6572)."""
    return stateless(torch.sign)


def l2() -> Direction:
    """The gradient scaled to Euclidean length 1 in each row; a zero row stays zero."""
    return stateless(unit)


def mean_abs() -> Direction:
    """Divide each row by its mean absolute entry: MI-FGSM's L1 normalisation up to the constant d, at least 1e-12.

    Source: Dong et al. 2018, arXiv:1710.06081, eq. 6.
    """
    return stateless(lambda g: g / rows((row_sum(g.abs()) / g[0].numel()).clamp_min(1e-12), g))


def momentum(decay: float) -> Direction:
    """``m <- decay * m + g`` (Dong et al. 2018, arXiv:1710.06081, eq. 6)."""

    def update(g: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        m = decay * m + g
        return m, m

    return Direction(torch.zeros_like, update)


def average(decay: float) -> Direction:
    """The moving average ``m <- decay * m + (1 - decay) * g``."""

    def update(g: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        m = decay * m + (1 - decay) * g
        return m, m

    return Direction(torch.zeros_like, update)


def adam(first: float = 0.9, second: float = 0.999) -> Direction:
    """Adam's step at learning rate 1 (Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1)."""

    def init(x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.zeros_like(x0), torch.zeros_like(x0), x0.new_zeros(len(x0))

    def update(g: Tensor, state: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, State]:
        mean, square, count = state
        count = count + 1
        mean, square = first * mean + (1 - first) * g, second * square + (1 - second) * g * g
        unbiased = square / rows(1 - second**count, g)
        return mean / rows(1 - first**count, g) / (unbiased.sqrt() + 1e-8), (mean, square, count)

    return Direction(init, update)


def nesterov(decay: float, step: float) -> Direction:
    """Momentum whose gradient is taken at ``x + step * decay * m`` (Lin et al. 2020, arXiv:1908.06281, eq. 6)."""
    return momentum(decay)._replace(peek=lambda x, m: x + step * decay * m)


def smooth(kernel: Tensor) -> Direction:
    """Convolve each channel of the gradient with ``kernel`` [k, k] (TI; Dong et al. 2019, arXiv:1904.02884)."""

    def convolve(g: Tensor) -> Tensor:
        weight = kernel.to(g).expand(g.shape[1], 1, *kernel.shape)
        return F.conv2d(g, weight, padding="same", groups=g.shape[1])

    return stateless(convolve)
