"""Gradient edits: traces a net's forward pass once (`graph`), then edits it call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from surrogates.crafting.surgery.backward import Rectified, SoftPool, Switch, rescaled
from surrogates.crafting.surgery.graph import START, Residual, Trace, name_of, tensors, traced

_KEY = "_edited"
Place = tuple[int, int]  # a call's number, and which of its outputs


@dataclass
class GradientEdits:
    """The changes at each call of a net, for all edits that are open on it.

    Attributes:
        factor: multiplies the gradient of an output.
        relus: True for SiLU's derivative, False for 1.
        pools: the temperature.
        sums: residual sums whose branch is rescaled.
        calls: functions (function, arguments, keywords) -> output that take the place of a call.
        change: functions that replace an output.
        show: functions that receive an output.
    """

    factor: dict[Place, float] = field(default_factory=dict)
    relus: dict[int, bool] = field(default_factory=dict)
    pools: dict[int, float] = field(default_factory=dict)
    sums: dict[int, Residual] = field(default_factory=dict)
    calls: dict[int, Callable[[Any, Any, Any], Any]] = field(default_factory=dict)
    change: dict[Place, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    show: dict[Place, list[Callable[[Tensor], None]]] = field(default_factory=dict)


def then(edits: GradientEdits, place: Place, f: Callable[[Tensor], Tensor]) -> None:
    """Replace an output by ``f`` of it, after what other edits make of it."""
    before = edits.change.get(place)
    edits.change[place] = f if before is None else lambda t: f(before(t))


class Edit:
    """Base class of an edit of one net."""

    def add(self, trace: Trace, edits: GradientEdits) -> None:
        """Add this edit's changes to ``edits``. Raises: ValueError, the net lacks what it edits."""
        raise NotImplementedError


class _EditedForward:
    """Replaces a net's forward while edits are open on it, and keeps its trace."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.forward = net, net.forward
        self.own = net.__dict__.get("forward")  # a forward set on the instance
        self.open: list[Edit] = []
        self.trace: Trace | None = None
        self.edits: GradientEdits | None = None
        self.reading = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        x = args[0] if args else None
        if self.reading or not isinstance(x, Tensor) or not (torch.is_grad_enabled() and x.requires_grad):
            return self.forward(*args, **kwargs)
        if self.trace is None:
            self.reading = True
            try:
                self.trace = traced(self.net, x[:1])
            finally:
                self.reading = False
        if self.edits is None:
            edits = GradientEdits()
            for edit in self.open:
                edit.add(self.trace, edits)
            self.edits = edits
        with _EditedPass(self.trace, self.edits, x):
            return self.forward(*args, **kwargs)


@contextmanager
def edited(net: nn.Module, edit: Edit) -> Iterator[None]:
    """Edit the net in this context. Passes without graph (or whose input requires no gradient) are not edited."""
    state = net.__dict__.get(_KEY)
    if state is None:
        state = _EditedForward(net)
        net.__dict__[_KEY] = net.__dict__["forward"] = state
    state.open.append(edit)
    state.edits = None
    try:
        yield
    finally:
        state.open = [other for other in state.open if other is not edit]
        state.edits = None
        if not state.open:
            del net.__dict__[_KEY], net.__dict__["forward"]
            if state.own is not None:
                net.__dict__["forward"] = state.own


class _EditedPass(TorchFunctionMode):
    """One forward pass with edits."""

    def __init__(self, trace: Trace, edits: GradientEdits, x: Tensor) -> None:
        super().__init__()
        self.trace, self.edits, self.switch, self.call = trace, edits, Switch(), START
        self.watched = edits.factor.keys() | edits.change.keys() | edits.show.keys()
        self.forks = {residual.fork for residual in edits.sums.values()}
        self.calls = {call for call, _ in self.watched | self.forks}
        self.busy = self.calls | trace.kinds.keys()
        self.kept: dict[Place, Tensor] = {(START, 0): x}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.call += 1
        if self.call not in self.busy:  # most calls
            return func(*args, **kwargs) if kwargs else func(*args)
        kwargs = kwargs or {}
        expected = self.trace.kinds.get(self.call)
        if expected is None:
            out = func(*args, **kwargs)
        elif expected != name_of(func):
            raise ValueError(
                f"Expected a net that makes the same calls for every batch, but call {self.call} was {expected} before and now "
                f"is {name_of(func)}. Surgery needs a net without branches in its forward."
            )
        elif self.call in self.edits.relus:
            out = self._relu(func, *args, **kwargs)
        elif self.call in self.edits.pools:
            out = self._pool(*args, **kwargs)
        elif self.call in self.edits.sums:
            out = self._sum(self.edits.sums[self.call], args)
        elif self.call in self.edits.calls:
            out = self.edits.calls[self.call](func, args, kwargs)
        else:
            out = func(*args, **kwargs)
        return self._watch(out) if self.call in self.calls else out

    def _relu(self, func: Any, x: Tensor, inplace: bool = False, **kwargs: Any) -> Any:
        silu = self.edits.relus[self.call]
        return Rectified.apply(x, self.switch, silu, inplace or name_of(func) == "relu_")

    def _pool(
        self, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        soft = SoftPool.apply(x, kernel_size, stride, padding, dilation, ceil_mode, self.edits.pools[self.call])
        if not return_indices:
            return soft
        with torch.no_grad():
            places = nn.functional.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode, True)[1]
        return soft, places

    def _sum(self, residual: Residual, args: Any) -> Tensor:
        fork, branch, skip = self.kept[residual.fork], args[residual.branch], args[residual.skip]
        return rescaled(fork, skip, branch, self.switch)

    def _watch(self, out: Any) -> Any:
        for place, t in enumerate(tensors([out])):
            at = (self.call, place)
            if at in self.watched:
                changed = t
                if at in self.edits.change:
                    changed = self.edits.change[at](changed)
                if at in self.edits.factor and changed.requires_grad:
                    factor = self.edits.factor[at]
                    changed.register_hook(lambda g, factor=factor: g * factor)
                if at in self.edits.show:
                    for look in self.edits.show[at]:
                        look(changed)
                    changed = changed.clone()  # a later in-place call must not change what was shown
                if changed is not t:
                    out = changed if isinstance(out, Tensor) else _put(out, place, changed)
                t = changed
            if at in self.forks:
                self.kept[at] = t
        return out


def _put(out: Any, place: int, t: Tensor) -> Any:
    """Replace one tensor of a tuple or list."""
    values = list(out)
    values[place] = t
    return type(out)(values) if isinstance(out, list) else tuple(values)
