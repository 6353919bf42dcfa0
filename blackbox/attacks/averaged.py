"""Averaging over fresh answers, around any attack (Athalye, Carlini & Wagner 2018, arXiv:1802.00420, for queries)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.attacks.adaptive import Adaptive, masked
from blackbox.protocol import Access, Ask, Task, Tell


@dataclass(frozen=True)
class Averaged(Adaptive):
    """Asks again about points that matter, as far as the spread of the answers says that it pays.

    A candidate that looks no better than the best is dropped at once. One that looks better is asked again until its mean is
    better by more than the noise leaves in doubt, or ``most`` answers are there; labels are decided by their majority. The spread
    comes from ``pairs`` points that are asked twice: where both answers are the same each time, nothing is asked again.
    Probes are left alone: an estimate from more probes averages as well.

    Departs from the paper: it averages gradients over a defence's draws; here it is answers, by a sequential test of this
    project's own.

    Args:
        attack: that is wrapped. most: answers a point. pairs: points asked twice to learn the spread. doubt: standard errors
            by which a mean has to be better.
    """

    most: int = 8
    pairs: int = 8
    doubt: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.most < 2 or self.pairs < 1 or self.doubt < 0:
            raise ValueError("Expected most of at least 2, pairs of at least 1 and doubt of at least 0.")

    @dataclass
    class Memory:
        best: Tensor  # [n] the best mean so far
        seen: Tensor  # [n] points asked twice
        square: Tensor  # [n] sum of the squared differences of their answers

    def begin(self, t: Task) -> Generator[Ask, Tell, Memory]:
        yield from ()
        zero = torch.zeros(t.n, device=t.x0.device)
        return self.Memory(torch.full_like(zero, -torch.inf) if t.minimises else t.loss0.clone(), zero, zero)

    def ask(self, t: Task, ask: Ask, memory: Memory, tag: str) -> Generator[Ask, Tell, tuple[Tell, Memory]]:
        labels = t.access is Access.LABELS
        a = yield ask
        if ask.u is not None:
            return a, memory
        m, first, count = memory, a, torch.ones(t.n, device=t.x0.device)
        total, yes = a.loss, a.adv.to(count)
        asked = masked(t, ask) & a.paid
        looks = asked & (a.adv if t.minimises else a.loss > m.best)
        for _ in range(self.most - 1):
            again = looks & self.doubtful(t, m, total / count, count, yes)
            if not bool(again.any()):
                break
            b = yield ask._replace(mask=again)
            fresh = again & b.paid
            twice = fresh & (count == 1)
            gap = b.adv.to(count) - first.adv.to(count) if labels else b.loss - first.loss
            m = self.Memory(m.best, m.seen + twice, m.square + torch.where(twice, gap * gap, 0))
            total, yes = torch.where(fresh, total + b.loss, total), torch.where(fresh, yes + b.adv, yes)
            count, looks = count + fresh, looks & b.paid
        mean, adv = total / count, yes * 2 > count
        best = m.best if t.minimises else torch.where(asked & (mean > m.best), mean, m.best)
        loss = torch.where(a.paid, adv * 2.0 - 1.0, torch.nan) if labels else mean
        return a._replace(loss=loss, adv=adv & a.paid), self.Memory(best, m.seen, m.square)

    def doubtful(self, t: Task, m: Memory, mean: Tensor, count: Tensor, yes: Tensor) -> Tensor:
        """Which points [n] another answer could still change."""
        spread = (m.square / (2 * m.seen).clamp_min(1)).sqrt()
        unknown = (m.seen < self.pairs) & (count < 2)
        lead = (2 * yes - count).abs()
        if t.access is Access.LABELS or t.minimises:
            near = lead <= 1
        else:
            near = (mean > m.best) & (mean - m.best < self.doubt * spread / count.sqrt())
        return unknown | ((m.square > 0) & near)

