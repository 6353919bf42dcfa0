"""Other toolkits' query attacks (`experiments.peers.entries`) behind a counter of our own, beside which ours are published.

As entries the engine counts them. The published rows are this counter's, and stay so: here a peer that takes several images at once gets
them (with one seed for all), the seeds are those of the rows that settings were chosen by, and the clean check is known by its place
among the first calls; behind the engine each image is alone, with a seed of its own, and the counts would be others.

A peer attacks an image, or a batch, behind a `Meter` an image, which counts each row, looks at every answer (so that a peer need not
notice its own success) and stops the attack when the budget is out. Which settings a peer may have, why, and on whose word, stands
in ``peers.toml``; `experiments.peers.settings` chooses among them. The extra ``[peers]`` installs the toolkits.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

import blackbox as bb
from experiments.peers.entries import Peer, Setting, art_classifier, by_part, load
from experiments.peers.turns import Ask, by_turns

__all__ = ["Meter", "Meters", "Peer", "Setting", "Spent", "art_classifier", "by_part", "load", "of_ours", "run"]


class Spent(Exception):
    """The budget is out, or the image is fooled and the attack has nothing left to do."""


class Meter(nn.Module):
    """Counts rows of one image, looks at every answer, stops at the budget.

    The clean check is paid as the first query, by every peer: one that asks for the clean image gets that answer for it, once.

    Args:
        net: whose answers it gives. ask: instead of it, where rows of several searches are answered together.
        hold: rows are moved into the threat before they are answered. remember: a row that was asked before is not counted.

    Attributes:
        first: the number of the row that first was adversarial inside the threat, 0 where none was. reached: (row, distance)
            whenever an adversarial row came nearer than those before.
    """

    def __init__(
        self, net: nn.Module, x: Tensor, y: int, threat: bb.Threat, budget: int, *, ask: Ask | None = None, hold: bool = False,
        remember: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.net, self.x, self.y, self.threat, self.budget, self.hold = net, x, y, threat, budget, hold
        self.ask: Ask = ask or net.forward  # a bound method: a module would become a part of this one
        self.known: set[bytes] | None = set() if remember else None
        self.rows, self.first, self.calls, self.over = 1, 0, 0, False
        self.reached: list[tuple[int, float]] = []

    @property
    def done(self) -> bool:
        return bool(self.first and self.threat.eps < math.inf) or self.over

    def forward(self, z: Tensor) -> Tensor:
        z = self.moved(z)
        if self.rows >= self.budget:
            raise Spent
        with torch.no_grad():
            out = self.ask(z)
        self.note(z, out)
        if self.done:
            raise Spent
        return out

    def moved(self, z: Tensor) -> Tensor:
        z = z.detach().to(self.x.dtype)  # ART's HopSkipJump sends float64
        return self.threat.project(z, self.x.expand_as(z)) if self.hold else z

    def note(self, z: Tensor, out: Tensor) -> None:
        """Count rows and their answers, in their order."""
        new = torch.ones(len(z), dtype=torch.bool)
        if self.calls <= 3 and (clean := (z == self.x).flatten(1).all(1)).any():  # a peer makes its own check at once or never
            new[int(clean.nonzero()[0])] = False
            self.calls = 4
        self.calls += 1
        if self.known is not None:
            for i, row in enumerate(z):
                key = row.numpy().tobytes()
                new[i] &= key not in self.known
                self.known.add(key)
        room = self.budget - self.rows
        self.over |= int(new.sum()) > room
        z, out = z[new][:room], out[new][:room]
        wrong = (out.argmax(1) != self.y).nonzero()[:, 0]
        far = self.threat.distance(z[wrong], self.x.expand_as(z[wrong])).tolist() if len(wrong) else []
        for i, distance in zip(wrong.tolist(), far, strict=True):
            self._found(self.rows + i + 1, distance)
        self.rows += len(z)

    def _found(self, row: int, distance: float) -> None:
        if not self.reached or distance < self.reached[-1][1]:
            self.reached.append((row, distance))
        if distance <= self.threat.eps + self.threat.tolerance and not self.first:
            self.first = row

    def distance_at(self, queries: int) -> float:
        """The smallest distance among adversarial rows within so many queries; inf where there is none."""
        return min((d for at, d in self.reached if at <= queries), default=math.inf)


class Meters(nn.Module):
    """Several images that a peer attacks in one batch, each with its own `Meter`: a row belongs to the nearest image.

    Rows of an image that is fooled or has no budget left are answered and not counted: alone its attack would have ended.
    """

    def __init__(self, net: nn.Module, each: Sequence[Meter], ask: Ask | None = None) -> None:
        super().__init__()
        self.net, self.each, self.ask = net, list(each), ask or net.forward
        self.x = torch.cat([m.x for m in each])

    def forward(self, z: Tensor) -> Tensor:
        z = z.detach().to(self.x.dtype)
        n, m = len(z), len(self.x)
        far = self.each[0].threat.distance(z.repeat_interleave(m, 0), self.x.repeat(n, 1, 1, 1)).view(n, m)
        of = far.argmin(1).tolist()
        z = torch.cat([self.each[i].moved(row) for i, row in zip(of, z.split(1), strict=True)])
        with torch.no_grad():
            out = self.ask(z)
        for i in set(of):
            at = [j for j, other in enumerate(of) if other == i]
            if not self.each[i].done:
                self.each[i].note(z[at], out[at])
        if all(meter.done or meter.rows >= meter.budget for meter in self.each):
            raise Spent
        return out


def run(
    peer: Peer, how: Setting, net: nn.Module, x: Tensor, y: Tensor, threat: bb.Threat, budget: int, seeds: Sequence[int]
) -> tuple[list[Meter], list[str]]:
    """A peer on each image, or on each batch of as many as it takes, with the first image's seed; the answers come together.

    Returns:
        A meter an image; what went wrong, where something did.
    """
    meters = [
        Meter(net, x[i : i + 1], int(y[i]), threat, budget, hold=how.hold, remember=how.remember).eval() for i in range(len(x))
    ]

    def work(at: slice, ask: Ask) -> None:
        some = meters[at]
        for meter in some:
            meter.ask = ask
        model = some[0] if len(some) == 1 else Meters(net, some, ask).eval()
        peer.attack(model, x[at], y[at], threat, budget, seeds[at.start], how)

    works = [partial(work, slice(i, min(i + peer.batch, len(x)))) for i in range(0, len(x), peer.batch)]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # ART's GeoDA leaves a file where it runs
        ends = by_turns(net, works)
    return meters, [f"{type(e).__name__}: {str(e)[:80]}" for e in ends if e is not None and not of_ours(e)]


def of_ours(error: BaseException | None) -> bool:
    """Whether a search was ended by its `Meter`; ART wraps what it catches."""
    return error is not None and (isinstance(error, Spent) or of_ours(error.__cause__ or error.__context__))
