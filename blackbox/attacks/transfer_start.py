"""Transfer start: any attack that can start from an image, started from an adversarial example on surrogates (this project's own)."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from blackbox import attacks
from blackbox.adopted import as_attack
from blackbox.candidates.opening import AFTER, opening, outward
from blackbox.prior import Guided
from blackbox.protocol import Access, Attack, Task

_FROM_IMAGE = "square or an attack on labels, such as rays, sign-flip, hop-skip-jump or boundary"


@dataclass(frozen=True)
class TransferStart(Guided):
    """One query for an adversarial example on all members (`candidates.start`); an image that it does not fool goes on by
    queries from there. Suya et al. 2020, arXiv:1908.07000, start query attacks from transfer candidates too.

    Args:
        attack: a registered name or an attack that can start from an image. By default Square with a p_init of 0.1: the
            start is good, so the squares begin small.
        prior: `surrogates.prior(nets)`. candidates: ask for every static candidate (`candidates.Static`) before.
    """

    access: ClassVar[Access] = Access.TOPK  # of the default; an instance has its attack's
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2", "L1")
    minimises: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ("start", "static", "search")

    attack: str | Attack = "square"
    candidates: bool = False

    def __post_init__(self) -> None:
        inner = self.inner
        if not (inner.minimises or inner.from_start):
            raise ValueError(
                f"Expected an attack that can start from an image ({_FROM_IMAGE}), but it was {self.attack!r}. "
                "Others begin at the clean image whatever they are given."
            )
        # an instance has the access, norms and ways of the attack that it starts
        object.__setattr__(self, "access", inner.access)
        object.__setattr__(self, "norms", tuple(inner.norms))
        object.__setattr__(self, "minimises", inner.minimises)

    @property
    def inner(self) -> Attack:
        """The attack that is started."""
        if not isinstance(self.attack, str):
            return as_attack(self.attack)
        return attacks.build(self.attack, **({"p_init": 0.1} if self.attack == "square" else {}))

    def init(self, t: Task) -> Any:
        inner = self.inner
        first = yield from opening(t, self.known, self.candidates)
        if inner.from_start:
            return (yield from _searching(inner.from_start(t, first.x, first.loss)))
        x, _ = yield from outward(t, first.x, first.adv)
        return (yield from _searching(inner.init(replace(t, start=x))))

    def step(self, t: Task, s: Any, k: int) -> Any:
        return (yield from _searching(self.inner.step(t, s, k)))


def _searching(made: Any) -> Any:
    """What the started attack asks, all of it under the part ``search``."""
    if not inspect.isgenerator(made):
        return made
    search: Any = made
    tell: Any = None
    try:
        while True:
            ask = search.send(tell)
            tell = yield ask._replace(part=AFTER)
    except StopIteration as end:
        return end.value
