"""OARS (Feng, Hooda, Mangaokar, Fawaz, Jha & Prakash 2023, arXiv:2303.06280), around any attack."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox.attacks.adaptive import Adaptive, masked
from blackbox.protocol import Ask, Directions, Task, Tell
from blackbox.rowwise import choose, row_norm, rows


@dataclass(frozen=True)
class OARS(Adaptive):
    """Keeps the queries of an attack just so far apart that a stateful detector does not reject them.

    The smallest radius of random signs at which a copy of the clean image is not rejected is found by bisection. Candidates are
    then asked with such signs added, probes at no less than that length. A rejected candidate is drawn again with new
    signs; the radius grows with rejections and shrinks without, so that it follows what the detector lets pass.

    Departs from the paper: it adapts each attack's own step size and sampling radius by hand; here the radius is added to
    whatever the attack asks. The attack is told of a point that stays rejected as of one that nobody paid for.

    Args:
        attack: that is wrapped. most: the largest radius, in units of the image range; of a ball, no more than its own.
        searches: queries of the bisection. tries: of a candidate. grow, shrink: factors of the radius.
        keep: tell the attack of the point with its signs, not of the one that it proposed.
    """

    most: float = 0.1
    searches: int = 6
    tries: int = 4
    grow: float = 1.3
    shrink: float = 0.99
    keep: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.searches < 1 or self.tries < 1 or not self.most > 0 or not self.grow > 1 or not 0 < self.shrink <= 1:
            raise ValueError("Expected searches and tries of at least 1, most > 0, grow > 1 and shrink in (0, 1].")

    def signs(self, t: Task, x: Tensor, radius: Tensor, tag: str) -> Tensor:
        """``x`` with random signs of this size [n] added."""
        return x if not bool((radius > 0).any()) else x + rows(radius, x) * t.rng.signs(0, tag, t.shape)

    def top(self, t: Task) -> float:
        return min(self.most, t.eps) if t.threat.norm == "Linf" and not t.minimises else self.most

    def begin(self, t: Task) -> Generator[Ask, Tell, Tensor]:
        """The radius [n]: 0 where nothing is rejected."""
        zero = torch.zeros(t.n, device=t.x0.device)
        a = yield Ask(t.x0)
        low, high = zero, torch.where(refused(a), self.top(t), zero)
        for i in range(self.searches):
            todo = high > low
            if not bool(todo.any()):
                break
            middle = (low + high) / 2
            a = yield Ask(self.signs(t, t.x0, middle, f"OARS radius {i}"), mask=todo)
            no = refused(a)
            low, high = torch.where(todo & no, middle, low), torch.where(todo & a.paid & ~no, middle, high)
        return high

    def ask(self, t: Task, ask: Ask, memory: Tensor, tag: str) -> Generator[Ask, Tell, tuple[Tell, Tensor]]:
        if ask.u is not None:
            return (yield from self.probes(t, ask, memory))
        radius, todo, out = memory, masked(t, ask), None
        for i in range(self.tries):
            asked = self.signs(t, ask.x, radius, f"{tag} {i}")
            a = yield ask._replace(x=asked, mask=todo)
            no = refused(a)
            out = a if out is None else merged(out, a, todo)
            radius = self.turned(t, radius, no, todo & a.paid & ~no)
            todo = todo & no
            if not bool(todo.any()):
                break
        assert out is not None
        x = out.x if self.keep else t.project(ask.x.to(torch.float32))
        paid = out.paid & ~todo
        loss = torch.where(todo, t.loss0, out.loss)
        return out._replace(x=x, paid=paid, loss=loss, adv=out.adv & paid), radius

    def probes(self, t: Task, ask: Ask, radius: Tensor) -> Generator[Ask, Tell, tuple[Tell, Tensor]]:
        h = torch.as_tensor(ask.h, dtype=radius.dtype, device=radius.device).expand_as(radius)
        least = radius / length(t, ask.u).clamp_min(1e-12)
        a = yield ask._replace(h=torch.maximum(h, least))
        no = refused(a)
        many = no.sum(1) * 10 > a.paid.sum(1)  # whole numbers: exact in any order
        radius = self.turned(t, radius, many, a.paid.any(1) & ~no.any(1))
        return a._replace(paid=a.paid & ~no, loss=torch.where(no, torch.nan, a.loss)), radius

    def turned(self, t: Task, radius: Tensor, up: Tensor, down: Tensor) -> Tensor:
        """The radius after rejections or without."""
        more = (radius * self.grow).clamp(min(1 / 255, self.top(t)), self.top(t))
        return torch.where(up, more, torch.where(down, radius * self.shrink, radius))


def refused(a: Tell) -> Tensor:
    """Which of the answers are rejections."""
    return torch.zeros_like(a.paid) if a.rejected is None else a.rejected


def merged(old: Tell, new: Tell, mask: Tensor) -> Tell:
    """The later answer [n] where ``mask``, the earlier one elsewhere."""
    told = [torch.where(mask, b, a) for a, b in ((old.loss, new.loss), (old.adv, new.adv), (old.paid, new.paid))]
    shown = None if new.shown is None else choose(mask, new.shown, old.shown)
    return Tell(told[0], told[1], told[2], choose(mask, new.x, old.x), shown, None)


def length(t: Task, u: Tensor | Directions | None) -> Tensor:
    """The root-mean-square entry [n] of the first of the probes' directions."""
    n, device = t.n, t.x0.device
    if isinstance(u, Tensor):
        return (row_norm(u[:1]) / t.d**0.5).expand(n)
    assert u is not None
    index = torch.arange(n, device=device)
    return row_norm(u.make(index, torch.zeros_like(index))) / t.d**0.5
