"""Attention with its derivative written out, so that an edit reaches the map and what it is made of at no cost of its own.

Both passes keep a map in rows of whole cache lines, filled up with zeros: on some processors the last bit of a product depends on where
a row lies (`nets.predict.pieces`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Back = Callable[[Tensor], Tensor] | None  # the gradient of what was changed -> that of what it was; None: nothing passes
LINE = 16  # floats


def same(g: Tensor) -> Tensor:
    """The gradient of what is left as it is."""
    return g


class MapEdit(Protocol):
    """What is done to a map, by the number of its layer. What is given may be changed in place, and is best returned itself."""

    def logits(self, layer: int, z: Tensor) -> tuple[Tensor, Back]:
        """The map [m, ..., N, M] before its softmax: what it becomes, and its gradient."""

    def maps(self, layer: int, a: Tensor) -> tuple[Tensor, Back]:
        """The map: the same. Its values are needed on the way back: only its gradient may be changed in place."""

    def of_qkv(self, layer: int, g: Tensor) -> Tensor:
        """The gradient [m, ..., N, d] of the queries, of the keys or of the values."""


class Changed(torch.autograd.Function):
    """``f(t)``, where f gives a tensor and how its gradient becomes that of t; f may work in place."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, f: Callable[[Tensor], tuple[Tensor, Back]]) -> Tensor:  # type: ignore[override]
        out, ctx.back = f(t.clone())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, None]:  # type: ignore[override]
        return (None if ctx.back is None else ctx.back(g.clone())), None


class Mixed(torch.autograd.Function):
    """softmax(q k^T ``scale`` + ``mask``) v, for q [\\*lead, N, d], k [\\*lead, M, d], v [\\*lead, M, e], with an edit of the map."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, edit: MapEdit, layer: int
    ) -> Tensor:
        lead, n, count = q.shape[:-2], q.shape[-2], k.shape[-2]
        more = -count % LINE
        q, k, v = q.reshape(-1, n, q.shape[-1]), *(F.pad(t, (0, 0, 0, more)).flatten(0, -3) for t in (k, v))
        wide = torch.bmm(q, k.mT).mul_(scale)
        z = _masked(wide[..., :count].view(*lead, n, count), mask)
        new, ctx.of_logits = edit.logits(layer, z)
        a = _filled(new, z, wide, -torch.inf)
        a = torch.softmax(a, -1, out=a)
        b, ctx.of_maps = edit.maps(layer, seen := a[..., :count].view(*lead, n, count))
        b = _filled(b, seen, a, 0.0)
        ctx.save_for_backward(q, k, v, a, b)
        ctx.edit, ctx.layer, ctx.scale, ctx.lead, ctx.count = edit, layer, scale, lead, count
        ctx.mask = mask if ctx.needs_input_grad[3] else None
        return torch.bmm(b[..., :count], v[:, :count]).view(*lead, n, v.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        q, k, v, a, b = ctx.saved_tensors
        lead, count, g = ctx.lead, ctx.count, g.reshape(-1, *g.shape[-2:])

        def finished(*parts: Tensor) -> list[Tensor]:
            return [ctx.edit.of_qkv(ctx.layer, t.view(*lead, *t.shape[-2:])) for t in parts]

        of_v = torch.bmm(b[..., :count].mT, g)
        if ctx.of_maps is None or ctx.of_logits is None:
            return None, None, *finished(of_v), None, None, None, None
        wide = _changed(torch.bmm(g, v.mT), ctx.of_maps, lead, count)
        wide = torch._softmax_backward_data(wide, a, -1, a.dtype, grad_input=wide)
        wide = _changed(wide, ctx.of_logits, lead, count)
        z = wide[..., :count]
        of_mask = None if ctx.mask is None else z.view(*lead, -1, count).sum_to_size(ctx.mask.shape)
        wide.mul_(ctx.scale)
        return *finished(torch.bmm(z, k[:, :count]), torch.bmm(z.mT, q), of_v), of_mask, None, None, None


def in_lines(t: Tensor) -> Tensor:
    """An empty tensor like maps ``t`` [..., N, M], laid out as these passes want it."""
    return t.new_empty(*t.shape[:-1], t.shape[-1] + -t.shape[-1] % LINE)[..., : t.shape[-1]]


def _masked(z: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return z
    return z.masked_fill_(~mask, -torch.inf) if mask.dtype == torch.bool else z.add_(mask)


def _filled(new: Tensor, seen: Tensor, wide: Tensor, value: float) -> Tensor:
    """Maps [\\*lead, N, M] in whole lines, with ``value`` behind: ``new``, or ``seen``, which lies in ``wide``."""
    if new is not seen and new.stride() == seen.stride() and new.untyped_storage().nbytes() == wide.nbytes:  # `in_lines`
        seen, wide = new, new.as_strided(wide.shape, wide.stride())
        wide[..., seen.shape[-1] :] = value
    elif new is not seen:
        return F.pad(new, (0, wide.shape[-1] - new.shape[-1]), value=value).view_as(wide)
    elif value:
        wide[..., seen.shape[-1] :] = value
    return wide


def _changed(wide: Tensor, back: Callable[[Tensor], Tensor], lead: torch.Size, count: int) -> Tensor:
    """The gradient of maps in whole lines, with zeros behind ``count``, changed."""
    if back is same:
        return wide
    seen = wide[..., :count].view(*lead, -1, count)
    return _filled(back(seen), seen, wide, 0.0)
