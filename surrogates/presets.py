"""Crafting recipes as data: paper, formula, defaults, cost, and where ours departs from the paper."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from blackbox.direction import Direction, chain, identity, mean_abs, momentum, nesterov
from blackbox.threat import Threat


@dataclass(frozen=True)
class Preset:
    """One member of the FGSM family: x <- project(x + step * direction(gradient)).

    Attributes:
        name: the paper's own, lower case. title, paper, arxiv: where it comes from. formula: what it computes.
        steps: T by default. factor: step = factor * eps / T. decay: mu of the momentum, None for none.
        lookahead: the gradient is taken ahead, at x + step * mu * m. random_start: begin at a random point of the ball.
        departures: where this differs from the paper, or what the paper leaves open.
    """

    name: str
    title: str
    paper: str
    arxiv: str
    formula: str
    steps: int = 10
    factor: float = 1.0
    decay: float | None = None
    lookahead: bool = False
    random_start: bool = False
    departures: str = "none"

    def cost(self, steps: int | None = None, nets: int = 1) -> int:
        """G: forward-and-backward passes an image."""
        return (steps or self.steps) * nets

    def step(self, threat: Threat, steps: int) -> float:
        """The default step size, in units of the threat's norm."""
        return self.factor * threat.eps / steps

    def direction(self, threat: Threat, step: float, decay: float | None = None) -> Direction:
        """The chain from gradient to the direction *before* the threat's steepest step is taken along it."""
        mu = self.decay if decay is None else decay
        if mu is None:
            return identity()
        return chain(mean_abs(), nesterov(mu, step) if self.lookahead else momentum(mu))


_ALL = (
    Preset(
        "fgsm",
        "Fast gradient sign method",
        "Goodfellow, Shlens & Szegedy 2015",
        "1412.6572",
        "x' = x + eps * sign(grad J(x, y))",
        steps=1,
        departures="L2 and L1 (the paper has Linf only): the steepest step of that norm, of length eps.",
    ),
    Preset(
        "i-fgsm",
        "Iterative FGSM (basic iterative method)",
        "Kurakin, Goodfellow & Bengio 2017",
        "1607.02533",
        "x <- project(x + a * sign(grad J(x, y))), a = eps / T",
        departures="T = 10 and a = eps / T, as transfer papers since Dong et al. 2018 run it; the paper takes a = 1/255 and "
        "min(eps + 4, 1.25 eps) steps.",
    ),
    Preset(
        "pgd",
        "Projected gradient descent",
        "Madry et al. 2018",
        "1706.06083",
        "x0 uniform in the ball; x <- project(x + a * sign(grad J(x, y))), a = 2.5 eps / T",
        steps=20,
        factor=2.5,
        random_start=True,
        departures="one start. T = 20 as in the paper's table 2; a = 2.5 eps / T, as the paper sets it for L2.",
    ),
    Preset(
        "mi-fgsm",
        "Momentum iterative FGSM",
        "Dong et al. 2018",
        "1710.06081",
        "m <- mu * m + g / mean|g|; x <- project(x + a * sign(m)), a = eps / T, mu = 1",
        decay=1.0,
        departures="g is divided by its mean absolute entry instead of the sum: the same signs for all T.",
    ),
    Preset(
        "ni-fgsm",
        "Nesterov iterative FGSM",
        "Lin et al. 2020",
        "1908.06281",
        "g = grad J(x + a * mu * m, y); m <- mu * m + g / mean|g|; x <- project(x + a * sign(m)), a = eps / T, mu = 1",
        decay=1.0,
        lookahead=True,
        departures="g is divided by its mean absolute entry, as the authors' code does; with the sum of the paper's eq. 7 "
        "the look-ahead would be d times shorter, next to nothing.",
    ),
)
_BY_NAME = {preset.name: preset for preset in _ALL}
_ALIASES = {"bim": "i-fgsm", "fgm": "fgsm", "mim": "mi-fgsm"}


def names() -> list[str]:
    """The presets there are."""
    return list(_BY_NAME)


def get(name: str | Preset) -> Preset:
    """A preset by name; ``mifgsm``, ``MI_FGSM`` and ``mim`` all mean mi-fgsm.

    Raises:
        ValueError: no such preset; suggests the nearest.
    """
    if isinstance(name, Preset):
        return name
    plain = {re.sub(r"[^a-z0-9]", "", known): known for known in _BY_NAME} | _ALIASES
    key = re.sub(r"[^a-z0-9]", "", str(name).lower())
    if key in plain:
        return _BY_NAME[plain[key]]
    close = difflib.get_close_matches(key, list(plain), n=1, cutoff=0.5)
    hint = f"Did you mean {plain[close[0]]!r}? " if close else ""
    raise ValueError(f"Expected the name of a preset, but it was {name!r}. {hint}There are {', '.join(_BY_NAME)}.")
