"""Ripples: Square's search with waves a few pixels long among its proposals (this project's own)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from blackbox.attacks.ripple_labels import RippleLabels
from blackbox.attacks.tangent import Tangent
from blackbox.candidates import Maker, Scene, Squares, without_prior
from blackbox.candidates.bandit import Counts, turn
from blackbox.candidates.maker import Best
from blackbox.candidates.whole import begin, square_start, waves
from blackbox.protocol import Access, Attack, Steps, Task
from blackbox.threat import Threat

WAVES, STRIPES, MAKERS = range(3)  # parts; the makers' are the last and those behind it


@dataclass(frozen=True)
class Ripples(Attack):
    """Waves over the whole image first; then, one query a step, a window of waves or a square, kept where the loss rises.

    Nets trained on photographs are sensitive to waves of high frequency (Tsuzuku & Sato 2019, arXiv:1809.04098; Yin et al.
    2019, arXiv:1906.08988), so a search that proposes them needs no surrogate to begin near its goal. Which maker proposes,
    short waves, longer ones or squares, is drawn for each image by Thompson sampling over how often each has helped there:
    where waves do nothing, as on digits, what remains is Square (arXiv:1912.00049), which this is built on. With labels alone
    it is `RippleLabels` in Linf and `Tangent`, without waves, in L2.

    Args:
        makers: `candidates.without_prior()` and one's own, a `candidates.Squares` among them.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    makers: tuple[Maker, ...] = field(default_factory=without_prior)

    def __post_init__(self) -> None:
        square_of(self.makers)

    def settle(self, access: Access, threat: Threat) -> Attack:
        """The search for what the target shows."""
        if access > Access.LABELS:
            return self
        return RippleLabels() if threat.norm == "Linf" else Tangent()

    @property
    def parts(self) -> tuple[str, ...]:  # type: ignore[override]  # they follow from the makers
        return ("waves", "stripes", *(m.name for m in self.makers))

    @dataclass
    class State:
        x: Tensor  # [n, *shape] the best point
        loss: Tensor
        shown: Tensor  # [n, 0]: this search asks for no more than the loss
        counts: Counts

    def init(self, t: Task) -> Steps[State]:
        o = begin(t, Best(t.x0, t.loss0, t.x0.new_zeros(t.n, 0)), self.makers)
        o = yield from waves(t, o, self.makers, WAVES)
        best, counts = yield from square_start(t, o, self.makers, STRIPES)
        return self.State(*best, counts)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        scene = Scene.alone(t, Best(s.x, s.loss, s.shown), k)
        everyone = torch.ones_like(s.counts.tried)
        best, counts, _ = yield from turn(scene, self.makers, s.counts, everyone, square_of(self.makers), MAKERS)
        return self.State(*best, counts)


def square_of(makers: tuple[Maker, ...]) -> int:
    """Which of the makers is Square's move. Raises: ValueError, none."""
    found = next((i for i, m in enumerate(makers) if isinstance(m, Squares)), None)
    if found is None:
        raise ValueError("Expected makers with a Squares among them, which can always propose, but there was none.")
    return found
