"""Hybrid: surrogates and random search in one budget, by a bandit for each image (this project's own).

Which search runs when (`Hybrid.settle`):

    scores or the top k   the bandit of `Hybrid` itself
    labels, Linf          `HybridLabels`: a search over sign vectors
    labels, L2            `TransferStart`: every static candidate, then HopSkipJump

The bandit's queries for an image:

    start     1         an adversarial example on the prior
    stripes   0 or 1    Square's start, where the prior's took away too little of the margin (`trust`)
    makers    1 a step  the best point changed by the maker that Thompson sampling draws; without the prior after stripes
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from blackbox.attacks.hybrid_labels import HybridLabels
from blackbox.attacks.square import Square
from blackbox.attacks.transfer_start import TransferStart
from blackbox.candidates import Bank, Maker, Scene, Squares, usual
from blackbox.candidates.bandit import draw, initial_counts, propose
from blackbox.candidates.craft import fused
from blackbox.candidates.maker import Best
from blackbox.candidates.start import start
from blackbox.candidates.trust import Trust
from blackbox.prior import Guided, view
from blackbox.proposals.stripes import stripes
from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.rowwise import differs
from blackbox.threat import Threat

START, STRIPES, MAKERS = range(3)  # parts; the makers' are the last and those behind it
WITHOUT_PRIOR = Squares(p_init=Square.p_init, p_towards=Square.p_init)  # as large as Square's own


@dataclass(frozen=True)
class Hybrid(Guided):
    """Thompson sampling over candidate makers: each image gets whatever works on it.

    The point is kept where the target's loss rises, and that is the maker's success; what does not raise it is its
    failure. A maker that would propose the same again at the same point is not drawn, and for what equals the best point a
    square is tried. Where the start disappoints, the image goes on without the prior, so that one that misleads costs
    little. Towards a class only re-crafts, ripples and squares take part.

    Args:
        prior: `surrogates.prior(nets)`. makers: `candidates.usual` and one's own, a `Squares` among them.
        trust: three shares, see `candidates.trust.Trust` (ours, chosen on images and targets other than those reported on).
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    makers: tuple[Maker, ...] = field(default_factory=usual)
    trust: tuple[float, float, float] = tuple(Trust())  # type: ignore[assignment]  # plain: checkpoints hold its repr

    def __post_init__(self) -> None:
        if not any(isinstance(m, Squares) for m in self.makers):
            raise ValueError("Expected makers with a Squares among them, which can always propose, but there was none.")
        if len(self.trust) != 3 or not all(0 <= share <= 1 for share in self.trust):
            raise ValueError(f"Expected trust to be three shares in [0, 1], but it was {self.trust!r}.")

    @property
    def parts(self) -> tuple[str, ...]:  # type: ignore[override]  # they follow from the makers
        return ("start", "stripes", *(m.name for m in self.makers))

    @property
    def square(self) -> int:
        """Which of the makers is Square's move."""
        return next(i for i, m in enumerate(self.makers) if isinstance(m, Squares))

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
        a: Tensor  # [n, makers] successes, the initial ones included
        b: Tensor  # [n, makers] failures
        tried: Tensor  # [n, makers] at this very point
        live: Tensor  # [n] paid for the last candidate and did not succeed: worth crafting for
        alone: Tensor  # [n] the start disappointed: random search without the prior
        bank: Bank

    def init(self, t: Task) -> Steps[State]:
        a = yield Ask(start(t, self.known), part=START)
        best, _ = Best(t.x0, t.loss0, torch.full_like(a.shown, torch.nan)).updated(a)
        live = a.paid & ~a.adv
        clean = best.x.new_zeros(t.n, self.known.classes)  # the prior's logits at the clean images, where wanted
        if bool(live.any()):
            clean[live] = fused(self.known.logits(t.x0[live]), None)
        alone = live & Trust(*self.trust).disappointed(t, a, clean)
        if bool(alone.any()):
            b = yield Ask(stripes(t), mask=alone, part=STRIPES)
            best, _ = best.updated(b)
        successes, failures = initial_counts(self.makers, t)
        tried = torch.zeros_like(successes, dtype=torch.bool)
        return self.State(*best, successes, failures, tried, live, alone, Bank.open(t, self.known, clean))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        known = view(self.known, few=True)  # the start leaves few
        scene = Scene(t, known, s.x, s.loss, s.shown, k, s.bank.copy(), torch.arange(t.n, device=s.x.device))
        surrogate = torch.tensor([m.surrogate for m in self.makers], device=s.x.device)
        allowed = ((s.live & ~s.alone)[:, None] | ~surrogate) & ~s.tried
        maker = draw(scene, self.makers, s.a, s.b, allowed)
        own = s.alone & (maker == self.square)
        x = t.project(propose(scene, (*self.makers, WITHOUT_PRIOR), torch.where(own, len(self.makers), maker)))
        tried = s.tried
        if bool((same := ~differs(x, s.x)).any()):
            tried = tried | (same[:, None] & self.one_hot(maker))
            maker = torch.where(same, self.square, maker)
            x[same] = self.makers[self.square].make(scene.take(same))
        a = yield Ask(x, part=MAKERS + maker)
        best, better = Best(s.x, s.loss, s.shown).updated(a)
        once = torch.tensor([m.once for m in self.makers], device=x.device)
        proposed, better = self.one_hot(maker) & a.paid[:, None], better[:, None]
        return self.State(
            *best,
            a=s.a + (proposed & better),
            b=s.b + (proposed & ~better),
            tried=(tried | (proposed & once)) & ~better,
            live=a.paid & ~a.adv,
            alone=s.alone,
            bank=scene.bank,
        )

    def one_hot(self, maker: Tensor) -> Tensor:
        """[n, makers] bool."""
        return torch.nn.functional.one_hot(maker, len(self.makers)).bool()
