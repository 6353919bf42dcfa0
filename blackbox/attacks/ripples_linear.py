"""Ripples-linear: ripples, and where its waves do little, a regression of all answers (this project's own)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from blackbox.attacks.bayes_linear import BayesLinear
from blackbox.attacks.ripples import MAKERS, STRIPES, WAVES, Ripples, square_of
from blackbox.candidates import Maker, Scene, without_prior
from blackbox.candidates.bandit import Counts, turn
from blackbox.candidates.maker import Best
from blackbox.candidates.whole import Opened, begin, square_start, waves
from blackbox.estimators.answers import SIDE, Answers
from blackbox.proposals.ripples import drawings
from blackbox.protocol import Access, Ask, Attack, Steps, Task, Tell
from blackbox.threat import Threat

T = TypeVar("T")


@dataclass(frozen=True)
class RipplesLinear(Attack):
    """The first waves of `Ripples`; an image from which none takes much of the margin goes on as `BayesLinear`, the others as `Ripples`.

    Adversarially trained nets hardly mind waves, and are close to linear inside the ball; ordinary ones are the reverse. So
    the first queries tell which search an image wants. The regression is put to the test: where after ``trial`` of its steps the
    answers leave more than ``noise`` of themselves unexplained, the image goes back to `Ripples`. Drawings stay with it, and
    images of more than 32 pixels a side, on which this was not measured. On labels and the top k it is `Ripples`.

    Args:
        makers: of `Ripples`. linear: the regression. little: the share of the margin that one of the waves must take away.
        trial: steps of the regression before it is judged. noise: what its answers may leave unexplained. All three ours,
            chosen by `experiments.studies.robust --study handover`.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf",)
    informed: ClassVar[bool] = True

    makers: tuple[Maker, ...] = field(default_factory=without_prior)
    linear: BayesLinear = field(default_factory=BayesLinear)
    little: float = 0.2
    trial: int = 3
    noise: float = 0.045

    def __post_init__(self) -> None:
        square_of(self.makers)
        if self.trial < 1 or not 0 <= self.little <= 1 or not self.noise >= 0:
            raise ValueError(
                f"Expected trial of at least 1, little in [0, 1] and noise of at least 0, but they were {self.trial}, {self.little} "
                f"and {self.noise}."
            )

    def settle(self, access: Access, threat: Threat) -> Attack:
        """The search for what the target shows."""
        return self if access >= Access.SCORES else Ripples(self.makers).settle(access, threat)

    @property
    def parts(self) -> tuple[str, ...]:  # type: ignore[override]  # they follow from the makers
        return ("waves", "stripes", *(m.name for m in self.makers), "linear")

    @dataclass
    class State:
        x: Tensor  # [n, *shape] the best point
        loss: Tensor
        shown: Tensor  # [n, 0]: kept for the makers, which ask for no more than the loss
        counts: Counts
        taken: Tensor  # [n] the share of the margin that the waves took away
        regresses: Tensor  # [n] bool: goes on as the regression
        linear: BayesLinear.State  # of other rows it knows nothing

    def init(self, t: Task) -> Steps[State]:
        told: list[Tell] = []
        opened = begin(t, Best(t.x0, t.loss0, t.x0.new_zeros(t.n, 0)), self.makers)

        def remembered(a: Tell) -> Tell:
            told.append(a)
            return a

        o = yield from relayed(waves(t, opened, self.makers, WAVES), told=remembered)
        some = o.waiting & (o.taken < self.little) & ~drawings(t) & (max(t.grid[1:]) <= SIDE)
        best, counts = yield from square_start(t, o._replace(waiting=o.waiting & ~some), self.makers, STRIPES)
        linear = self.linear.init(t)
        if bool(some.any()):
            x, shown = torch.stack([a.x for a in told], 1), torch.stack([a.shown for a in told], 1)
            linear = replace(linear, answers=linear.answers.learned(t, x, shown, self.linear.smooth, self.linear.window))
        return self.State(*best, counts, o.taken, some, linear)

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        best, counts, regresses, linear = Best(s.x, s.loss, s.shown), s.counts, s.regresses, s.linear
        if k == self.trial and bool((back := regresses & (linear.noise > self.noise)).any()):
            regresses = regresses & ~back
            best, after = yield from square_start(t, Opened(best, counts, s.taken, back), self.makers, STRIPES)
            counts = where(back, after, counts)
        others = ~regresses
        if bool(others.any()):
            scene, every = Scene.alone(t, best, k), torch.ones_like(counts.tried)
            made = turn(scene, self.makers, counts, every, square_of(self.makers), MAKERS)
            best, after, _ = yield from relayed(made, lambda ask: ask._replace(mask=others))
            counts = where(others, after, counts)
        if bool(regresses.any()):
            best, linear = yield from self.regressed(t, best, regresses, linear, k)
        return self.State(*best, counts, s.taken, regresses, linear)

    def regressed(self, t: Task, best: Best, some: Tensor, s: BayesLinear.State, k: int) -> Steps[tuple[Best, BayesLinear.State]]:
        """A step of the regression in the rows ``some`` [n]."""
        index, part = some.nonzero()[:, 0], len(self.parts) - 1

        def ours(ask: Ask) -> Ask:
            return Ask(t.x0.index_copy(0, index, ask.x.to(t.x0)), mask=some, part=part)

        def theirs(a: Tell) -> Tell:
            nonlocal best
            best = best.updated(a)[0]
            return Tell(*(None if v is None else v.index_select(0, index) for v in a))  # type: ignore[arg-type]

        made = self.linear.step(t.take(some.numpy(force=True)), of(s, lambda v: v.index_select(0, index)), k)
        after = yield from relayed(made, ours, theirs)
        return best, of(after, lambda v: v.new_zeros(t.n, *v.shape[1:]).index_copy_(0, index, v))


def relayed(made: Generator[Ask, Tell, T], asked: Any = None, told: Any = None) -> Steps[T]:
    """Run a generator of Asks to its end, with each Ask as ``asked`` makes it and each Tell as ``told`` does."""
    tell: Any = None
    while True:
        try:
            ask = made.send(tell)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        tell = yield ask if asked is None else asked(ask)
        tell = tell if told is None else told(tell)


def where(some: Tensor, new: Counts, old: Counts) -> Counts:
    """The new counts of the rows ``some`` [n], the old ones of the others."""
    return Counts(*(torch.where(some[:, None], a, b) for a, b in zip(new, old, strict=True)))


def of(s: BayesLinear.State, do: Any) -> BayesLinear.State:
    """The regression's State with ``do`` done to each of its tensors."""
    a = s.answers
    return BayesLinear.State(Answers(do(a.moves), do(a.values), do(a.gram)), do(s.known), do(s.noise))
