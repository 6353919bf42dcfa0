"""Autograd functions with the usual values but other derivatives, which `surrogates.hooks` inserts into nets."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rowwise import row_norm, rows


class Switch:
    """A flag shared by the ReLUs of one forward pass: while off, they have their true derivative."""

    on: bool = True


class Rectified(torch.autograd.Function):
    """ReLU, in place or not, whose derivative is 1 (``silu`` False) or SiLU's while the switch is on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, switch: Switch, silu: bool, inplace: bool) -> Tensor:  # type: ignore[override]
        ctx.switch, ctx.silu = switch, silu
        if silu:
            ctx.save_for_backward(x.clone() if inplace else x)
        if inplace:
            ctx.mark_dirty(x)
            out = x.relu_()
        else:
            out = x.relu()
        if not silu:
            ctx.mask = out > 0
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        if not ctx.silu:
            return (g if ctx.switch.on else g * ctx.mask), None, None, None
        (x,) = ctx.saved_tensors
        if not ctx.switch.on:
            return g * (x > 0), None, None, None
        s = x.sigmoid()
        return g * (s * (1 + x * (1 - s))), None, None, None


class SoftPool(torch.autograd.Function):
    """2-d max pooling whose gradient goes to all entries of a window, by softmax(temperature * entry)."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, temperature: float
    ) -> Tensor:
        out = F.max_pool2d(x, size, stride, padding, dilation, ceil)
        ctx.save_for_backward(x)
        ctx.window = [_pair(v) for v in (size, size if stride in (None, [], ()) else stride, padding, dilation)]
        ctx.out, ctx.temperature = out.shape[-2:], temperature
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        size, stride, before, dilation = ctx.window
        # how far the windows extend beyond the right and lower edge (negative: how much they leave out)
        after = [
            (ctx.out[i] - 1) * stride[i] + dilation[i] * (size[i] - 1) + 1 - x.shape[-2 + i] - before[i] for i in (0, 1)
        ]
        edges = (before[1], after[1], before[0], after[0])
        wide = F.pad(x.reshape(-1, 1, *x.shape[-2:]), edges, value=-torch.inf)
        weight = (F.unfold(wide, size, dilation, 0, stride) * ctx.temperature).softmax(1)
        spread = weight * g.reshape(len(wide), 1, -1)
        back = F.fold(spread, wide.shape[-2:], size, dilation, 0, stride)
        return F.pad(back, [-e for e in edges]).view_as(x), None, None, None, None, None, None


def _pair(v: Any) -> tuple[int, int]:
    return (int(v), int(v)) if isinstance(v, int) else (int(v[0]), int(v[-1]))


class _Rescaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fork: Tensor, skip: Tensor, branch: list[Tensor], switch: Switch) -> Tensor:  # type: ignore[override]
        ctx.fork, ctx.branch, ctx.switch = fork, branch[0], switch
        return branch[0].detach() + skip

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        def through() -> Tensor:
            return torch.autograd.grad(ctx.branch, ctx.fork, g, retain_graph=True)[0]

        linear = through()
        ctx.switch.on = False
        try:
            length = row_norm(through())
        finally:
            ctx.switch.on = True
        return linear * rows(length / row_norm(linear).clamp_min(1e-30), linear), g, None, None


def rescaled(fork: Tensor, skip: Tensor, branch: Tensor, switch: Switch) -> Tensor:
    """``branch + skip``, both computed from ``fork``, with the branch's gradient rescaled.

    The gradient that the branch passes to the fork is scaled, for each row, to the length that it has with the switch off.
    The backward pass goes through the branch twice, from here."""
    out: Tensor = _Rescaled.apply(
        fork, skip, [branch], switch
    )  # hidden in a list: autograd must not go through it a third time
    return out
