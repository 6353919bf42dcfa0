"""LL2S: uses what a transformer computes too often, and learns which part to change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.attention import TransformerSurgery, _Edit, _Edits

CHANGES = ("none", "sparse", "permuted", "ghost")


class _Learned(_Edits):
    """Draws a change for each row and layer, and learns from the loss that came of it."""

    def __init__(self, settings: TransformerSurgery, nets: list[nn.Module]) -> None:
        super().__init__(settings, nets)
        self.drawn: dict[object, Tensor] = {}

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        super().before(x, goal, rng, k)
        self.drawn.clear()

    def chosen(self, place: object, like: Tensor) -> Tensor:
        """The number [m] of the change of each row at a place of the net."""
        if place not in self.drawn:
            logits = self.get(place)
            shares = (torch.zeros(len(self.rng.ids), len(CHANGES)) if logits is None else logits).double().softmax(1)
            u = self.rng.uniform(self.k, f"change {place}", 1).double().cpu()
            self.drawn[place] = (shares.cumsum(1)[:, :-1] <= u).sum(1)
        return self.drawn[place].to(like.device)

    def told(self, loss: Tensor) -> None:
        """Make the changes of these rows likelier where the loss is larger than the row's mean so far, else less likely."""
        now, mean, rate = loss.double().cpu(), self.get("mean"), self.settings.rate
        better = torch.zeros_like(now) if mean is None else (now - mean).sign()
        self.put("mean", now if mean is None else mean + (now - mean) / (self.k + 1))
        for place, which in self.drawn.items():
            logits = self.get(place)
            logits = torch.zeros(len(now), len(CHANGES)).double() if logits is None else logits
            self.put(place, logits + rate * better[:, None] * (F.one_hot(which, len(CHANGES)) - logits.softmax(1)))


class _Redundant(_Edit):
    all: _Learned

    def _few(self, change: str, layer: int, t: Tensor, f: Callable[[Tensor, Stream], Tensor]) -> Tensor:
        """``t``, with f(rows, the draws of their images) in place of the rows whose change at this layer it is; the others take no time."""
        which = self.all.chosen((self.net, layer), t).cpu() == CHANGES.index(change)
        image, times = which.nonzero()[:, 0], len(t) // len(which)  # a net that attends within windows has several rows an image
        if not len(image):
            return t
        at = (image[:, None] * times + torch.arange(times)).flatten().to(t.device)
        rng = self.all.rng
        return t.index_copy(0, at, f(t.index_select(0, at), Stream(rng.seed, rng.ids[image.numpy()], rng.device)))

    def _draw(self, rng: Stream, tag: str, layer: int, t: Tensor, shape: tuple[int, ...]) -> Tensor:
        u = rng.uniform(self.all.k, f"{tag} {self.net} {layer}", shape).to(t.device)
        return u.repeat_interleave(len(t) // len(u), 0) if len(t) > len(u) else u

    def logits(self, layer: int, z: Tensor) -> Tensor:
        share = self.all.settings.share
        return self._few(
            "sparse", layer, z, lambda some, rng: some.masked_fill(self._draw(rng, "sparse", layer, some, tuple(z.shape[1:])) < share, 0.0)
        )

    def maps(self, layer: int, a: Tensor) -> Tensor:
        if a.ndim < 4:
            return a

        def dealt(some: Tensor, rng: Stream) -> Tensor:
            order = self._draw(rng, "heads", layer, some, (a.shape[1],)).argsort(dim=1, stable=True)
            return some.gather(1, order[:, :, None, None].expand_as(some))

        return self._few("permuted", layer, a, dealt)

    def ends(self, layer: int, feeds: bool, out: Tensor) -> Tensor:
        if not feeds or layer >= self.layers:
            return out
        share = self.all.settings.share

        def thinned(some: Tensor, rng: Stream) -> Tensor:
            return some * (self._draw(rng, "ghost", layer, some, tuple(out.shape[1:])) >= share) / (1 - share)

        return self._few("ghost", layer, out, thinned)


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
