"""Hybrid: surrogates and random search in one budget, by a bandit for each image (this project's own).

Which search runs when (`Hybrid.settle`):

    scores or the top k   the bandit of `Hybrid` itself
    labels, Linf          `HybridLabels`: a search over sign vectors
    labels, L2            `TransferStart`: every static candidate, then HopSkipJump

The bandit's queries for an image:

    waves     0 or 1    the first of the waves over the whole image with which `ripples` begins: it needs no prior
    start     0 or 1    an adversarial example on the prior; where the wave took away much of the margin, after the other waves
    waves     0 to 5    the others
    stripes   0 or 1    Square's start, where waves took away little of the margin
    makers    1 a step  the best point changed by the maker that Thompson sampling draws; without the prior where the start
                        took away too little (`trust`)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from blackbox.attacks.hybrid_labels import HybridLabels
from blackbox.attacks.ripples import square_of
from blackbox.attacks.transfer_start import TransferStart
from blackbox.candidates import Bank, Maker, Scene, usual
from blackbox.candidates.bandit import Counts, flags, turn
from blackbox.candidates.craft import fused
from blackbox.candidates.maker import Best
from blackbox.candidates.start import start
from blackbox.candidates.trust import Trust
from blackbox.candidates.whole import FIRST, OTHERS, Opened, begin, square_start, waves
from blackbox.prior import Guided, view
from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.threat import Threat

WAVES, START, STRIPES, MAKERS = range(4)  # parts; the makers' are the last and those behind it
MUCH = 0.5  # of the margin; a wave that takes away as much says that the others are worth more than the prior (ours, chosen likewise)


@dataclass(frozen=True)
class Hybrid(Guided):
    """`Ripples` with makers that ask a prior among the others: each image gets whatever works on it.

    What the prior is worth is learned on the target, image by image, from little trust on: the first wave comes before the
    start, makers that ask the prior are credited with less than the others, and where the start disappoints the image goes on
    without them. Both searches draw alike, so with a prior that is of no use an image costs what it does with `Ripples`, and
    the start. The point is kept where the target's loss rises, and that is the maker's success; what does not raise it is its
    failure. A maker that would propose the same again at the same point is not drawn, and for what equals the best point a
    square is tried. Towards a class only re-crafts, ripples and squares take part.

    Args:
        prior: `surrogates.prior(nets)`. makers: `candidates.usual` and one's own, a `Squares` among them.
        trust: three shares, see `candidates.trust.Trust` (ours, chosen on images and targets other than those reported on).
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    makers: tuple[Maker, ...] = field(default_factory=usual)
    trust: tuple[float, float, float] = tuple(Trust())  # type: ignore[assignment]  # plain: checkpoints hold its repr

    def __post_init__(self) -> None:
        square_of(self.makers)
        if len(self.trust) != 3 or not all(0 <= share <= 1 for share in self.trust):
            raise ValueError(f"Expected trust to be three shares in [0, 1], but it was {self.trust!r}.")

    @property
    def parts(self) -> tuple[str, ...]:  # type: ignore[override]  # they follow from the makers
        return ("waves", "start", "stripes", *(m.name for m in self.makers))

    def settle(self, access: Access, threat: Threat) -> Any:
        """The search for what the target shows."""
        if access > Access.LABELS:
            return self
        if threat.norm == "Linf":
            return HybridLabels(self.prior)
        return TransferStart(self.prior, "hop-skip-jump", candidates=True)

    @dataclass
    class State:
        x: Tensor  # [n, *shape] the best point
        loss: Tensor
        shown: Tensor  # [n, C] what the target showed there
        counts: Counts
        live: Tensor  # [n] paid for the last candidate and did not succeed: worth crafting for
        alone: Tensor  # [n] the start disappointed: random search without the prior
        bank: Bank

    def init(self, t: Task) -> Steps[State]:
        clean = fused(self.known.logits(t.x0), None)
        nothing = torch.full((t.n, self.known.classes), torch.nan, device=t.x0.device)
        o, alone = begin(t, Best(t.x0, t.loss0, nothing), self.makers), torch.zeros(t.n, dtype=torch.bool, device=t.x0.device)
        o = yield from waves(t, o, self.makers, WAVES, FIRST)
        much = o.taken >= MUCH
        o, alone = yield from self.started(t, o, alone, ~much, clean)
        o = yield from waves(t, o, self.makers, WAVES, OTHERS)
        o, alone = yield from self.started(t, o, alone, much, clean)
        best, counts = yield from square_start(t, o, self.makers, STRIPES)
        return self.State(*best, counts, best.loss < 0, alone, Bank.open(t, self.known, clean))

    def started(self, t: Task, o: Opened, alone: Tensor, some: Tensor, clean: Tensor) -> Steps[tuple[Opened, Tensor]]:
        """Ask for the start in the rows ``some`` [n] that still wait; and [n] which rows go on alone."""
        if not bool((some := some & o.waiting).any()):
            return o, alone
        x = t.x0.clone()
        x[some] = start(t.take(some.numpy(force=True)), self.known)
        a = yield Ask(x, mask=some, part=START)
        alone = alone | (some & Trust(*self.trust).disappointed(t, a, clean))
        return o._replace(best=o.best.updated(a)[0], waiting=o.waiting & (~some | (a.paid & ~a.adv))), alone

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        known = view(self.known, few=True)  # the start leaves few
        scene = Scene(t, known, s.x, s.loss, s.shown, k, s.bank.copy(), torch.arange(t.n, device=s.x.device))
        surrogate = flags(tuple(m.surrogate for m in self.makers), s.x.device)
        allowed = (s.live & ~s.alone)[:, None] | ~surrogate
        best, counts, a = yield from turn(scene, self.makers, s.counts, allowed, square_of(self.makers), MAKERS)
        return self.State(*best, counts, a.paid & ~a.adv, s.alone, scene.bank)
