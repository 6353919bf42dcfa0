"""Surgery on transformers during crafting: PNA, TGR, VDC, ATT and FPR."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from blackbox.rng import Stream
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.surgery import Surgery
from surrogates.crafting.parts.tuned import Memory
from surrogates.crafting.surgery.attention import Attention
from surrogates.crafting.surgery.edits import edited
from surrogates.crafting.surgery.mixing import Back, in_lines, same


class _Edits(Memory):
    """The edits of all nets, and what they remember: within a pass in ``carried``, from step to step as `Memory`."""

    def __init__(self, settings: TransformerSurgery, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.settings: Any = settings  # each edit knows which
        self.rng = Stream(0, torch.zeros(0, dtype=torch.int64).numpy())
        self.carried: dict[object, Tensor] = {}
        self.edits = [(net, settings.kind(self, i)) for i, net in enumerate(dict.fromkeys(nets))]

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        super().before(x, goal, rng, k)
        self.rng = rng
        self.carried.clear()


class _Edit(Attention):
    """The edit of one net."""

    def __init__(self, all: _Edits, net: int) -> None:
        self.all, self.net = all, net
        self.name = type(all.settings).__name__


@dataclass(frozen=True)
class TransformerSurgery(Surgery):
    """Base class: applies one `_Edit` to each net. Raises: ValueError, at the first pass, a net without attention."""

    kind: ClassVar[type[_Edit]]

    @contextmanager
    def __call__(self, nets: Sequence[nn.Module]) -> Iterator[_Edits]:
        made = self.memory_of(list(nets))
        with ExitStack() as stack:
            for net, edit in made.edits:
                stack.enter_context(edited(net, edit))
            yield made

    def memory_of(self, nets: list[nn.Module]) -> _Edits:
        """What the edits of these nets share."""
        return _Edits(self, nets)


def uniform(rng: Stream, k: int, tag: str, shape: tuple[int, ...]) -> Iterator[tuple[slice, Tensor]]:
    """The draws of `Stream.uniform` for a few rows at a time, with their places: what is done with these stays in the cache."""
    few = max(1, 2**18 // math.prod(shape))
    for start in range(0, len(rng.ids), few):
        ids = rng.ids[start : start + few]
        yield slice(start, start + len(ids)), Stream(rng.seed, ids, rng.device).uniform(k, tag, shape)


def hooked(t: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    """``t``, whose gradient g becomes f(g)."""
    if t.requires_grad:
        t = t.view_as(t)  # a hook of its own, though ``t`` be used elsewhere too
        t.register_hook(f)
    return t


class _Constant(_Edit):
    def maps(self, layer: int, a: Tensor) -> tuple[Tensor, Back]:
        return a, None


@dataclass(frozen=True)
class PNA(TransformerSurgery):
    """Pay no attention: treats attention maps as constants, so that gradients pass through the values alone.

    Wei et al. 2022, arXiv:2109.04176, "Towards transferable adversarial attacks on vision transformers" (AAAI).
    """

    kind = _Constant


class _Regularised(_Edit):
    """Extreme entries of gradients out, the rest scaled."""

    def maps(self, layer: int, a: Tensor) -> tuple[Tensor, Back]:
        return a, lambda g: without_extreme_tokens(g).mul_(self.all.settings.of_map)

    def of_qkv(self, layer: int, g: Tensor) -> Tensor:
        return without_extremes(g).mul_(self.all.settings.of_qkv)

    def ends(self, layer: int, feeds: bool, out: Tensor) -> Tensor:
        return hooked(out, lambda g: without_extremes(g.clone()).mul_(self.all.settings.of_mlp)) if feeds and out.ndim == 3 else out


@dataclass(frozen=True)
class TGR(TransformerSurgery):
    """Token gradient regularisation: gradients inside a transformer lose their extreme tokens and are made smaller.

    In each channel of the queries, keys and values, and of what the feed-forward parts give, the tokens with the largest and the
    smallest gradient get none; in each attention map the row and the column of the largest and of the smallest entry. The rest is
    multiplied by 0.75, 0.5 and 0.25.

    Zhang et al. 2023, arXiv:2303.15754, "Transferable adversarial attacks on vision transformers with token gradient
    regularization" (CVPR). Where a net multiplies by the map itself, its queries, keys and values are left as they are.
    """

    of_map: float = 0.25
    of_qkv: float = 0.75
    of_mlp: float = 0.5
    kind = _Regularised


def without_extremes(g: Tensor) -> Tensor:
    """Set the largest and the smallest entry of each channel of ``g`` [..., tokens, channels] to zero, of equal ones all, in place."""
    highest, lowest = g.amax(-2, keepdim=True), g.amin(-2, keepdim=True)  # several times faster than their places
    keep = torch.ne(g, highest, out=torch.empty_like(g))  # zeros and ones: to multiply by these is faster than to fill where they are
    g.mul_(keep)
    return g.mul_(torch.ne(g, lowest, out=keep))


def without_extreme_tokens(g: Tensor) -> Tensor:
    """Set the rows and columns of the largest and the smallest entry of each map of ``g`` [..., N, N] to zero, in place."""
    rows, columns = torch.ones_like(g[..., 0]), torch.ones_like(g[..., 0, :])
    sign = torch.tensor([[1.0], [-1.0]], dtype=g.dtype, device=g.device)
    ends = torch.stack([g.amax(-1), -g.amin(-1)], -2)  # each row's, since their place in the whole map takes several times as long
    row = ends.argmax(-1)  # [..., 2]: the first row that holds it, and then the first column
    column = (g.gather(-2, row[..., None].expand(*row.shape, g.shape[-1])) * sign).argmax(-1)
    rows.scatter_(-1, row, 0.0)
    columns.scatter_(-1, column, 0.0)
    return g.mul_(rows[..., None]).mul_(columns[..., None, :])


class _Dense(_Edit):
    """Gradients of deeper places join those of shallower ones of their kind."""

    def maps(self, layer: int, a: Tensor) -> tuple[Tensor, Back]:
        return a, lambda g: self._join("map", self.all.settings.of_map, g)

    def ends(self, layer: int, feeds: bool, out: Tensor) -> Tensor:
        return hooked(out, lambda g: self._join("mlp", self.all.settings.of_mlp, g)) if feeds else out

    def _join(self, what: str, share: float, g: Tensor) -> Tensor:
        key, carried = (self.net, what), self.all.carried
        before = carried.get(key)
        joined = g if before is None or before.shape != g.shape else g + before  # a stage with other sizes begins anew
        carried[key] = share * joined
        return joined


@dataclass(frozen=True)
class VDC(TransformerSurgery):
    """Virtual dense connections: on the way back, each attention map and each feed-forward part also gets the gradients of all
    deeper ones, those of ``of_map`` (``of_mlp``) a block weaker from block to block.

    Zhang et al. 2024, "Improving the adversarial transferability of vision transformers with virtual dense connection" (AAAI).
    Chosen here: 0.1 for both; places are linked to those of the same kind and size.
    """

    of_map: float = 0.1
    of_mlp: float = 0.1
    kind = _Dense


class _Tuned(_Edit):
    """Extreme tokens are brought back to the mean; deep maps pass nothing."""

    def maps(self, layer: int, a: Tensor) -> tuple[Tensor, Back]:
        deep = layer >= self.all.settings.deep * self.layers
        return a, None if deep else lambda g: g.mul_(self.all.settings.of_map)

    def of_qkv(self, layer: int, g: Tensor) -> Tensor:
        return levelled(g)

    def ends(self, layer: int, feeds: bool, out: Tensor) -> Tensor:
        return hooked(out, levelled) if out.ndim == 3 else out


@dataclass(frozen=True)
class ATT(TransformerSurgery):
    """Adaptive token tuning: tokens whose gradient is longer than the average are shortened to it, and attention maps pass on less,
    the deepest nothing.

    Ming et al. 2024, "Boosting the transferability of adversarial attack on vision transformer with adaptive token tuning"
    (NeurIPS): adaptive re-scaling, hybrid truncation, and a self-paced patch-out (`SelfPaced`). Chosen here: the factor is the
    average length over the token's; maps keep 0.25 of their gradient, those behind 0.75 of the depth none.
    """

    of_map: float = 0.25
    deep: float = 0.75
    kind = _Tuned


def levelled(g: Tensor) -> Tensor:
    """Shorten tokens of ``g`` [..., tokens, channels] that are longer than the average to the average."""
    length = g.square().sum(-1, keepdim=True).sqrt()
    return g * (length.mean(-2, keepdim=True) / length.clamp_min(1e-30)).clamp_max(1)


class _Refined(_Edit):
    """Weighted maps, remembered tokens."""

    def maps(self, layer: int, a: Tensor) -> tuple[Tensor, Back]:
        wide = self.all.settings.wide
        if not wide:
            return a, same
        weight, out = in_lines(a), in_lines(a)
        times = len(a) // len(self.all.rng.ids)  # a net that attends within windows has several maps an image
        for rows, u in uniform(self.all.rng, self.all.k, f"map {layer}", tuple(a.shape[1:])):
            at = slice(rows.start * times, rows.stop * times)
            w = u.mul_(2).sub_(1).mul_(wide).add_(1).to(a)
            w = w if times == 1 else w.repeat_interleave(times, 0)
            full = a[at] * w
            cut = torch.clamp(full, 0, 1, out=out[at])
            torch.mul(w, torch.eq(full, cut, out=full), out=weight[at])  # nothing passes where one was cut off
        return out, lambda g: g.mul_(weight)

    def ends(self, layer: int, feeds: bool, out: Tensor) -> Tensor:
        share, key = self.all.settings.memory, (self.net, feeds, layer)
        if not share:
            return out
        before = self.all.get(key)
        mixed = out if before is None else ((1 - share) * out).add_(before.mul_(share))  # what was kept is not needed again
        self.all.put(key, mixed.detach())
        return mixed


@dataclass(frozen=True)
class FPR(TransformerSurgery):
    """Forward propagation refinement: attention maps are multiplied by random weights, and what each branch gives is mixed with
    what it gave at the steps before.

    Ren et al. 2025, arXiv:2503.15404, "Improving adversarial transferability on vision transformers via forward propagation
    refinement" (CVPR): attention map diversification, momentum token embedding. Chosen here: weights 1 + U(+-``wide``) in all
    layers, the products kept in [0, 1] (where one is cut off, no gradient passes); a branch keeps ``memory`` of its running mean.
    """

    wide: float = 2.0
    memory: float = 0.2
    kind = _Refined

    def __post_init__(self) -> None:
        if self.wide < 0 or not 0 <= self.memory < 1:
            raise ValueError(f"Expected wide >= 0 and memory in [0, 1) for FPR, but they were {self.wide} and {self.memory}.")
