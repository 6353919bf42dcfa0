"""Ripples-linear: ripples, and where its waves do little, a regression of all answers (this project's own)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

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
        o, told = begin(t, Best(t.x0, t.loss0, t.x0.new_zeros(t.n, 0)), self.makers), []
        made = waves(t, o, self.makers, WAVES)
        tell: Any = None
        while True:
            try:
                ask = made.send(tell)
            except StopIteration as end:
                o = end.value
                break
            tell = yield ask
            told.append(tell)
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
            best, counts = yield from self.again(t, Opened(best, counts, s.taken, back))
        others = ~regresses
        if bool(others.any()):
            scene, every = Scene.alone(t, best, k), torch.ones_like(counts.tried)
            made = turn(scene, self.makers, counts, every, square_of(self.makers), MAKERS)
            best, after, _ = yield from among(made, others)
            counts = Counts(*(torch.where(others[:, None], new, old) for new, old in zip(after, counts, strict=True)))
        if bool(regresses.any()):
            best, linear = yield from self.regressed(t, best, regresses, linear, k)
        return self.State(*best, counts, s.taken, regresses, linear)

    def again(self, t: Task, o: Opened) -> Steps[tuple[Best, Counts]]:
        """The rows that wait begin as Square."""
        best, counts = yield from square_start(t, o, self.makers, STRIPES)
        return best, Counts(*(torch.where(o.waiting[:, None], new, old) for new, old in zip(counts, o.counts, strict=True)))

    def regressed(self, t: Task, best: Best, some: Tensor, s: BayesLinear.State, k: int) -> Steps[tuple[Best, BayesLinear.State]]:
        """A step of the regression in the rows ``some`` [n]."""
        index, part = some.nonzero()[:, 0], len(self.parts) - 1
        made: Generator[Ask, Tell, BayesLinear.State]
        made = self.linear.step(t.take(some.numpy(force=True)), of(s, lambda v: v.index_select(0, index)), k)
        tell: Any = None
        while True:
            try:
                ask = made.send(tell)
            except StopIteration as end:
                return best, of(end.value, lambda v: v.new_zeros(t.n, *v.shape[1:]).index_copy_(0, index, v))
            a = yield Ask(t.x0.index_copy(0, index, ask.x.to(t.x0)), mask=some, part=part)
            best = best.updated(a)[0]
            tell = Tell(*(None if v is None else v.index_select(0, index) for v in a))  # type: ignore[arg-type]


def among(made: Any, mask: Tensor) -> Any:
    """Run a generator of Asks in the rows ``mask`` [n] alone."""
    tell: Any = None
    while True:
        try:
            ask = made.send(tell)
        except StopIteration as end:
            return end.value
        tell = yield ask._replace(mask=mask)


def of(s: BayesLinear.State, do: Any) -> BayesLinear.State:
    """The regression's State with ``do`` done to each of its tensors."""
    a = s.answers
    return BayesLinear.State(Answers(do(a.moves), do(a.values), do(a.gram)), do(s.known), do(s.noise))
