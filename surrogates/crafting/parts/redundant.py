"""LL2S: uses what a transformer computes too often, and learns which part to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.attention import TransformerSurgery, _Edit, _Edits, uniform
from surrogates.crafting.surgery.mixing import Back, Changed, same

CHANGES = ("none", "sparse", "permuted", "ghost")
Change = Callable[[Tensor], Tensor]  # in place


class _Learned(_Edits):
    """Draws a change for each row and layer, and learns from the loss that came of it."""

    def __init__(self, settings: TransformerSurgery, nets: list[nn.Module]) -> None:
        super().__init__(settings, nets)
        self.drawn: dict[object, Tensor] = {}

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        super().before(x, goal, rng, k)
        self.drawn.clear()

    def chosen(self, place: object) -> Tensor:
        """The number [m] of the change of each row at a place of the net."""
        if place not in self.drawn:
            logits = self.get(place)
            shares = (torch.zeros(len(self.rng.ids), len(CHANGES)) if logits is None else logits).double().softmax(1)
            u = self.rng.uniform(self.k, f"change {place}", 1).double().cpu()
            self.drawn[place] = (shares.cumsum(1)[:, :-1] <= u).sum(1)
        return self.drawn[place]

    def told(self, loss: Tensor) -> None:
        """Make the changes of these rows likelier where the loss is larger than the row's mean so far, else less likely."""
        now, mean, rate = loss.double().cpu(), self.get("mean"), self.settings.rate
        better = torch.zeros_like(now) if mean is None else (now - mean).sign()
        self.put("mean", now if mean is None else mean + (now - mean) / (self.k + 1))
        if self.drawn:  # all places at once
            start = torch.zeros(len(now), len(CHANGES)).double()
            logits = torch.stack([start if (found := self.get(place)) is None else found for place in self.drawn])
            which = F.one_hot(torch.stack([*self.drawn.values()]), len(CHANGES))
            for place, new in zip(self.drawn, logits + rate * better[:, None] * (which - logits.softmax(2)), strict=True):
                self.put(place, new)


class _Redundant(_Edit):
    all: _Learned

    def _few(self, change: str, layer: int, t: Tensor) -> tuple[Tensor, Stream] | None:
        """The rows of ``t`` whose change at this layer it is, and the draws of their images; the others take no time."""
        which = self.all.chosen((self.net, layer)) == CHANGES.index(change)
        image, times = which.nonzero()[:, 0], len(t) // len(which)  # a net that attends within windows has several rows an image
        if not len(image):
            return None
        at = (image[:, None] * times + torch.arange(times)).flatten().to(t.device)
        rng = self.all.rng
        return at, Stream(rng.seed, rng.ids[image.numpy()], rng.device)

    def _draw(self, rng: Stream, tag: str, layer: int, t: Tensor, at: Tensor, shape: tuple[int, ...]) -> Tensor:
        u = torch.cat([some for _, some in uniform(rng, self.all.k, f"{tag} {self.net} {layer}", shape)]).to(t)
        return u.repeat_interleave(len(at) // len(u), 0) if len(at) > len(u) else u

    def logits(self, layer: int, z: Tensor) -> tuple[Tensor, Back]:
        """Sparse maps; and dealt ones here too, since a map that changes heads before its softmax needs no copy."""
        made = [f for f in (self._sparse(layer, z), self._permuted(layer, z)) if f is not None]
        for forth, _ in made:
            forth(z)

        def back(g: Tensor) -> Tensor:
            for _, f in made:
                f(g)
            return g

        return z, back if made else same

    def _sparse(self, layer: int, z: Tensor) -> tuple[Change, Change] | None:
        if (few := self._few("sparse", layer, z)) is None:
            return None
        at, rng = few
        u = self._draw(rng, "sparse", layer, z, at, tuple(z.shape[1:]))
        keep = torch.ge(u, self.all.settings.share, out=u)  # zeros and ones: several times faster than to fill where they are
        finite = bool(z.index_select(0, at).amin() > -torch.inf)  # not masked

        def thinned(t: Tensor) -> Tensor:
            some = t.index_select(0, at)
            return t.index_copy_(0, at, some.mul_(keep) if finite else some.masked_fill_(keep == 0, 0.0))

        return thinned, thinned

    def _permuted(self, layer: int, z: Tensor) -> tuple[Change, Change] | None:
        if z.ndim < 4 or (few := self._few("permuted", layer, z)) is None:
            return None
        at, rng = few
        order = self._draw(rng, "heads", layer, z, at, (z.shape[1],)).argsort(dim=1, stable=True)
        place = (order + z.shape[1] * torch.arange(len(at), device=z.device)[:, None]).flatten()  # of each head's map, among these

        def dealt(place: Tensor, t: Tensor) -> Tensor:
            some = t.index_select(0, at)
            return t.index_copy_(0, at, some.flatten(0, 1).index_select(0, place).view(some.shape))

        return partial(dealt, place), partial(dealt, place.argsort())

    def ends(self, layer: int, feeds: bool, out: Tensor) -> Tensor:
        if not feeds or layer >= self.layers or (few := self._few("ghost", layer, out)) is None:
            return out
        (at, rng), share = few, self.all.settings.share
        u = self._draw(rng, "ghost", layer, out, at, tuple(out.shape[1:]))
        keep = torch.ge(u, share, out=u)

        def thinned(t: Tensor) -> Tensor:
            return t.index_copy_(0, at, t.index_select(0, at).mul_(keep).div_(1 - share))

        changed: Tensor = Changed.apply(out, lambda t: (thinned(t), thinned))
        return changed


@dataclass(frozen=True)
class LL2S(TransformerSurgery):
    """Each layer of a transformer is changed in one of four ways for each image and step, and each image learns which raise its loss.

    Nothing; a share of the attention map's logits set to zero; the heads' maps dealt out to other heads; a share of what the
    feed-forward part gives dropped, the rest enlarged to match. The way of a layer is drawn by softmax(M), M is zero at first.

    After "The sword of Damocles in ViTs: computational redundancy amplifies adversarial transferability" (2025, arXiv:2504.10804):
    attention sparsity, permuted heads, ghost experts, learned online. *Departs from the paper*: no clean tokens, no
    adversarially trained ones; M moves by ``rate`` along the score of the way taken where the loss is above the image's mean so far,
    else against it (ours); the share 0.3 is ours.
    """

    share: float = 0.3
    rate: float = 0.1
    kind = _Redundant

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1 or self.rate < 0:
            raise ValueError(f"Expected share in [0, 1) and rate >= 0 for LL2S, but they were {self.share} and {self.rate}.")

    def memory_of(self, nets: list[nn.Module]) -> _Edits:
        return _Learned(self, nets)
