"""How surgery on a net is done: its forward pass is read once (`surrogates.crafting.surgery.graph`), then watched call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from surrogates.crafting.surgery.backward import Rectified, SoftPool, Switch, rescaled
from surrogates.crafting.surgery.graph import START, Plan, Residual, name_of, read, tensors

_KEY = "_operated"
Place = tuple[int, int]  # a call's number, and which of its outputs


@dataclass
class Orders:
    """What to do at which call, for all cuts of a net together.

    factor: of the gradient of an output. relus: True for SiLU's derivative, False for 1. pools: the temperature. sums:
    whose branch is to be rescaled. change: an output is replaced by what this makes of it. show: handed an output.
    """

    factor: dict[Place, float] = field(default_factory=dict)
    relus: dict[int, bool] = field(default_factory=dict)
    pools: dict[int, float] = field(default_factory=dict)
    sums: dict[int, Residual] = field(default_factory=dict)
    change: dict[Place, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    show: dict[Place, list[Callable[[Tensor], None]]] = field(default_factory=dict)


class Cut:
    """Base class of an operation on one net."""

    def plan(self, plan: Plan, orders: Orders) -> None:
        """Add what is to be done to ``orders``. Raises: ValueError, when the net does not have what is operated on."""
        raise NotImplementedError


class _Operated:
    """Stands in for the forward of a net: the cuts now open on it, and its plan."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.forward = net, net.forward
        self.own = net.__dict__.get("forward")  # somebody else had put one on the instance
        self.cuts: list[Cut] = []
        self.plan: Plan | None = None
        self.orders: Orders | None = None
        self.reading = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        x = args[0] if args else None
        if self.reading or not isinstance(x, Tensor) or not (torch.is_grad_enabled() and x.requires_grad):
            return self.forward(*args, **kwargs)
        if self.plan is None:
            self.reading = True
            try:
                self.plan = read(self.net, x[:1])
            finally:
                self.reading = False
        if self.orders is None:
            orders = Orders()
            for cut in self.cuts:
                cut.plan(self.plan, orders)
            self.orders = orders
        with _Run(self.plan, self.orders, x):
            return self.forward(*args, **kwargs)


@contextmanager
def operated(net: nn.Module, cut: Cut) -> Iterator[None]:
    """The net with one more cut. Passes without graph (or whose input wants no gradient) are left alone."""
    state = net.__dict__.get(_KEY)
    if state is None:
        state = _Operated(net)
        net.__dict__[_KEY] = net.__dict__["forward"] = state
    state.cuts.append(cut)
    state.orders = None
    try:
        yield
    finally:
        state.cuts = [other for other in state.cuts if other is not cut]
        state.orders = None
        if not state.cuts:
            del net.__dict__[_KEY], net.__dict__["forward"]
            if state.own is not None:
                net.__dict__["forward"] = state.own


class _Run(TorchFunctionMode):
    """One forward pass under orders."""

    def __init__(self, plan: Plan, orders: Orders, x: Tensor) -> None:
        super().__init__()
        self.plan, self.orders, self.switch, self.call = plan, orders, Switch(), START
        self.watched = orders.factor.keys() | orders.change.keys() | orders.show.keys()
        self.forks = {residual.fork for residual in orders.sums.values()}
        self.calls = {call for call, _ in self.watched | self.forks}
        self.kept: dict[Place, Tensor] = {(START, 0): x}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.call += 1
        kwargs = kwargs or {}
        planned = self.plan.kinds.get(self.call)
        if planned is None:
            out = func(*args, **kwargs)
        elif planned != name_of(func):
            raise ValueError(
                f"Expected a net that makes the same calls for every batch, but call {self.call} was {planned} before and now "
                f"is {name_of(func)}. Surgery needs a net without branches in its forward."
            )
        elif self.call in self.orders.relus:
            out = self._relu(func, *args, **kwargs)
        elif self.call in self.orders.pools:
            out = self._pool(*args, **kwargs)
        elif self.call in self.orders.sums:
            out = self._sum(self.orders.sums[self.call], args)
        else:
            out = func(*args, **kwargs)
        return self._watch(out) if self.call in self.calls else out

    def _relu(self, func: Any, x: Tensor, inplace: bool = False, **kwargs: Any) -> Any:
        silu = self.orders.relus[self.call]
        return Rectified.apply(x, self.switch, silu, inplace or name_of(func) == "relu_")

    def _pool(
        self, x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        soft = SoftPool.apply(x, kernel_size, stride, padding, dilation, ceil_mode, self.orders.pools[self.call])
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
                if at in self.orders.change:
                    changed = self.orders.change[at](changed)
                if at in self.orders.factor and changed.requires_grad:
                    factor = self.orders.factor[at]
                    changed.register_hook(lambda g, factor=factor: g * factor)
                if at in self.orders.show:
                    for look in self.orders.show[at]:
                        look(changed)
                    changed = changed.clone()  # a later call in place must not touch what was shown
                if changed is not t:
                    out = changed if isinstance(out, Tensor) else _put(out, place, changed)
                t = changed
            if at in self.forks:
                self.kept[at] = t
        return out


def _put(out: Any, place: int, t: Tensor) -> Any:
    """A tuple or list of tensors with one of them replaced."""
    values = list(out)
    values[place] = t
    return type(out)(values) if isinstance(out, list) else tuple(values)
