"""AWT: a net that learns, image by image, to withstand the example that is being crafted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from blackbox.rng import Stream
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.surgery import Surgery, _each
from surrogates.crafting.surgery.edits import Edit, GradientEdits, edited, then
from surrogates.crafting.surgery.graph import Trace


@dataclass(frozen=True)
class AWT(Surgery):
    """Adversarial weight tuning: after each gradient, the weights move a little so that the loss which the attack raises falls.

    Chen et al. 2025, arXiv:2408.09469, "Enhancing adversarial transferability with adversarial weight tuning" (AAAI). *Departs from
    the paper*, which tunes all weights, for the whole batch, with passes of its own: here each image has factors of its own for the
    channels of each convolution and linear layer but the last, 1 at first, so that results do not depend on the batch and no further
    pass is needed. A factor falls by ``rate`` times its gradient, in units of the layer's mean absolute one, and stays within
    1 +- ``most`` (ours, all three).
    """

    rate: float = 0.01
    most: float = 0.2
    copied = True

    def __post_init__(self) -> None:
        if self.rate < 0 or not 0 <= self.most < 1:
            raise ValueError(f"Expected rate >= 0 and most in [0, 1) for AWT, but they were {self.rate} and {self.most}.")

    @contextmanager
    def __call__(self, nets: Sequence[nn.Module]) -> Iterator[Memory]:
        memory = Memory()
        with _each(nets, lambda net: edited(net, _Tuned(self, memory))):
            yield memory


class Memory:
    """What a surgery remembers of each row from step to step, by the rows' ids; a new run (step 0) begins with nothing."""

    def __init__(self) -> None:
        self.rows, self.k = b"", 0
        self.kept: dict[tuple[object, bytes], Tensor] = {}

    def before(self, x: Tensor, goal: Goal, rng: Stream, k: int) -> None:
        if k == 0 and self.k:
            self.kept.clear()
        self.k, self.rows = k, rng.ids.tobytes()

    def get(self, what: object) -> Tensor | None:
        return self.kept.get((what, self.rows)) if self.k else None

    def put(self, what: object, value: Tensor) -> None:
        self.kept[what, self.rows] = value


class _Tuned(Edit):
    """The factors of one net."""

    def __init__(self, settings: AWT, memory: Memory) -> None:
        self.settings, self.memory = settings, memory

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        if len(trace.weighted) < 2:
            raise ValueError("Expected a net with at least two convolutions or linear layers for AWT, but it has fewer. Leave AWT out.")
        for layer, at in enumerate(trace.weighted[:-1]):
            then(edits, at, partial(self, layer))

    def __call__(self, layer: int, out: Tensor) -> Tensor:
        key, rows = (self, layer), self.memory.rows
        axis = 1 if out.ndim == 4 else out.ndim - 1
        factor = self.memory.get(key)
        if factor is None:
            factor = torch.ones(len(out), out.shape[axis]).to(out)

        def tune(slope: Tensor) -> None:
            s = self.settings
            size = slope.abs().mean(1, keepdim=True).clamp_min(1e-30)
            self.memory.kept[key, rows] = factor.addcdiv(slope, size, value=-s.rate).clamp_(1 - s.most, 1 + s.most)

        changed: Tensor = _Scaled.apply(out, factor, axis, tune)
        return changed


class _Scaled(torch.autograd.Function):
    """``out`` times ``factor`` [m, C] along an axis, in place where it may be; ``tune`` gets the gradient by the factor."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, factor: Tensor, axis: int, tune: Callable[[Tensor], None]) -> Tensor:  # type: ignore[override]
        wide = factor.view([len(out), *(out.shape[i] if i == axis else 1 for i in range(1, out.ndim))])
        if out._is_view():
            changed = out * wide
        else:
            changed = out.mul_(wide)
            ctx.mark_dirty(out)
        ctx.save_for_backward(changed, factor, wide)
        ctx.axis, ctx.tune = axis, tune
        return changed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        changed, factor, wide = ctx.saved_tensors
        product = g * changed
        others = [i for i in range(1, g.ndim) if i != ctx.axis]
        ctx.tune((product.sum(others) if others else product) / factor)
        return torch.mul(g, wide, out=product), None, None, None
