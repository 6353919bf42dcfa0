"""Hybrid: surrogates and random search in one budget, by a bandit for each image (this project's own)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from blackbox.attacks.hybrid_labels import HybridLabels
from blackbox.attacks.square import Square
from blackbox.attacks.transfer_start import TransferStart
from blackbox.candidates import Bank, Maker, Scene, Squares, usual
from blackbox.candidates.craft import fused
from blackbox.candidates.maker import thompson, worth
from blackbox.candidates.start import start
from blackbox.prior import Guided, view
from blackbox.proposals.stripes import stripes
from blackbox.protocol import Access, Ask, Steps, Task
from blackbox.rowwise import choose, differs
from blackbox.threat import Threat

_SCRATCH = Squares(p_init=Square.p_init, p_towards=Square.p_init)  # of rows whose prior was of no use


@dataclass(frozen=True)
class Hybrid(Guided):
    """Thompson sampling over candidate makers: each image gets whatever works on it.

    It starts from a craft (`candidates.craft.start`), one query. Then a maker is drawn a step: each has a Beta posterior of its worth,
    one number is drawn from each, the largest proposes. The point is kept where the target's loss rises, and that is the
    maker's reward (by how far it rises made useless makers look no worse than squares: 10.2 for 8.7 queries). A maker that
    would propose the same again at the same point is not drawn, and for what equals the best point a square is tried. Where
    the start takes away less than a share of the clean margin (``trust``: of images that the prior itself gets wrong, of
    others, towards a class), Square's stripes are looked at too, and the image goes on from the better without it: a prior
    that misleads shall cost little. Towards a class only re-crafts, ripples and squares take part (without ripples 82 queries
    for 86 with all, Square 187). With labels alone it is another search (`HybridLabels`; in L2 `TransferStart` with all
    candidates and HopSkipJump).

    Args (figures, here and above: on images and targets other than those reported on):
        prior: `surrogates.prior(nets)`. makers: `candidates.usual` and one's own, a `Squares` among them.
        trust: see above. The first: crafts of random weights take off a third by their size alone (MNIST: 31 queries with 0.5,
            27 with 0.7 or 0.9, Square 20). The second: with 0.2 8.0, 0.3 8.4, 0.5 10.2. Towards a class: 0.2 148, 0.6 126, Square 122.
    """

    access: ClassVar[Access] = Access.LABELS
    norms: ClassVar[tuple[str, ...]] = ("Linf", "L2")

    makers: tuple[Maker, ...] = field(default_factory=usual)
    trust: tuple[float, float, float] = (0.7, 0.2, 0.6)

    def __post_init__(self) -> None:
        if not any(isinstance(m, Squares) for m in self.makers):
            raise ValueError("Expected makers with a Squares among them, which can always propose, but there was none.")
        if len(self.trust) != 3 or not all(0 <= share <= 1 for share in self.trust):
            raise ValueError(f"Expected trust to be three shares in [0, 1], but it was {self.trust!r}.")

    @property
    def parts(self) -> tuple[str, ...]:  # type: ignore[override]  # they follow from the makers
        return ("start", "stripes", *(m.name for m in self.makers))

    @property
    def last(self) -> int:
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
        x: Tensor
        loss: Tensor
        shown: Tensor  # [n, C]
        a: Tensor  # [n, makers] of the Beta posteriors
        b: Tensor
        tried: Tensor  # [n, makers] at this very point
        live: Tensor  # [n] paid for the last candidate and did not succeed: worth crafting for
        alone: Tensor  # [n] the start was a disappointment: random search without the prior
        bank: Bank

    def init(self, t: Task) -> Steps[State]:
        a = yield Ask(start(t, self.known), part=0)
        worse = ~(a.loss > t.loss0)
        x, loss, shown = choose(worse, t.x0, a.x), torch.where(worse, t.loss0, a.loss), a.shown
        shown = torch.where(worse[:, None], torch.nan, shown)
        alive = a.paid & ~a.adv
        kept = ((a.loss - t.loss0) / t.loss0.abs().clamp_min(1e-6)).clamp(0, 1).nan_to_num(nan=0.0)
        clean = x.new_zeros(t.n, self.known.classes)
        if bool(alive.any()):
            clean[alive] = fused(self.known.logits(t.x0[alive]), None)
        assert t.goal is not None
        least = kept.new_tensor(self.trust)[2 if t.targeted else (clean.argmax(1) == t.goal).long()]
        if bool((poor := alive & (kept < least)).any()):
            b = yield Ask(stripes(t), mask=poor, part=1)
            better = b.loss > loss
            x, loss = choose(better, b.x, x), torch.where(better, b.loss, loss)
            shown = torch.where(better[:, None], b.shown, shown)
        blank = torch.zeros(t.n, len(self.makers), device=x.device, dtype=torch.float64)
        first, second = (blank + torch.tensor([(worth(m, t.targeted) or (1.0, 1.0))[i] for m in self.makers]).to(blank) for i in (0, 1))
        return self.State(x, loss, shown, first, second, blank.bool(), alive, poor, Bank.open(t, self.known, clean))

    def step(self, t: Task, s: State, k: int) -> Steps[State]:
        known = view(self.known, few=True)  # the start leaves few
        scene = Scene(t, known, s.x, s.loss, s.shown, k, s.bank.copy(), torch.arange(t.n, device=s.x.device))
        arm = self.draw(scene, s)
        lone = s.alone & (arm == self.last)
        x, tried = s.x.clone(), s.tried.clone()
        for i, maker in enumerate(self.makers):
            if bool((chosen := (arm == i) & ~lone).any()):
                x[chosen] = maker.make(scene.take(chosen))
        if bool(lone.any()):
            x[lone] = _SCRATCH.make(scene.take(lone))
        x = t.project(x)
        if bool((same := ~differs(x, s.x)).any()):
            tried[same] |= torch.nn.functional.one_hot(arm[same], len(self.makers)).bool()
            arm = torch.where(same, self.last, arm)
            x[same] = self.makers[self.last].make(scene.take(same))
        a = yield Ask(x, part=arm + 2)
        better = a.loss > s.loss
        took = torch.nn.functional.one_hot(arm, len(self.makers)).bool() & a.paid[:, None]
        once = torch.tensor([m.once for m in self.makers], device=x.device)
        return self.State(
            x=choose(better, a.x, s.x),
            loss=torch.where(better, a.loss, s.loss),
            shown=torch.where(better[:, None], a.shown, s.shown),
            a=s.a + (took & better[:, None]),
            b=s.b + (took & ~better[:, None]),
            tried=(tried | (took & once)) & ~better[:, None],
            live=a.paid & ~a.adv,
            alone=s.alone,
            bank=scene.bank,
        )

    def draw(self, scene: Scene, s: State) -> Tensor:
        """[n] the maker of each row."""
        drawn = thompson(scene.t, scene.k, s.a, s.b)
        for i, maker in enumerate(self.makers):
            able = torch.zeros_like(s.alone)
            if worth(maker, scene.t.targeted):
                able = maker.ready(scene) & ((s.live & ~s.alone) | (not maker.surrogate)) & ~s.tried[:, i]
            drawn[:, i] = torch.where(able, drawn[:, i], -1.0)
        return drawn.argmax(1)
