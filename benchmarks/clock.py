"""Clocks for ratios: what is compared runs in turn, in one process on one machine, so that the machine's mood meets both sides."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module


def now(device: torch.device | str = "cpu") -> float:
    """Seconds, once the device has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def bare(net: Module, calls: Iterable[Tensor]) -> float:
    """Seconds of the net alone on these calls, in this order: a change of size costs a net something too."""
    with torch.inference_mode():
        begin = now(_device(net))
        for x in calls:
            net(x)
        return now(_device(net)) - begin


def _device(net: Module) -> torch.device | str:
    return next((p.device for p in net.parameters()), "cpu")


class Beside:
    """Repeats each call of a net at once, so that a mood of the machine that lasts longer than one call weighs on both.

    Whichever of the two comes second finds the weights in the cache: the repeat comes before its call and behind it in turn.
    """

    def __init__(self, net: Module) -> None:
        self.net, self.calls, self.alone, self.inside = net, 0, 0.0, False

    def before(self, net: Module, given: tuple[Tensor, ...]) -> None:
        if not self.inside and self.calls % 2 == 0:
            self.repeat(given[0])

    def behind(self, net: Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        if not self.inside:
            if self.calls % 2:
                self.repeat(given[0])
            self.calls += 1

    def repeat(self, x: Tensor) -> None:
        self.inside = True  # the repeat runs the hooks too: having them costs both the same
        self.alone += bare(self.net, [x])
        self.inside = False


def over_bare(net: Module, work: Callable[[], object]) -> float:
    """Wall time of ``work`` over that of the net alone on the very same calls, images and all."""
    beside = Beside(net)
    hooks = [net.register_forward_pre_hook(beside.before), net.register_forward_hook(beside.behind)]
    try:
        begin = now(_device(net))
        work()
        return (now(_device(net)) - begin - beside.alone) / beside.alone
    finally:
        for hook in hooks:
            hook.remove()


def seconds(call: Callable[[], object], device: torch.device | str = "cpu", process: bool = False) -> float:
    """Of one call: wall time, or this process's own, which other programs on the machine disturb less."""
    if process:
        begin = time.process_time()
        call()
        return time.process_time() - begin
    begin = now(device)
    call()
    return now(device) - begin


def paired(a: Callable[[], float], b: Callable[[], float], pairs: int) -> list[tuple[float, float]]:
    """Seconds of either, in pairs whose order alternates; the first of each is thrown away."""
    a(), b()
    out = []
    for i in range(pairs):
        if i % 2 == 0:
            one, two = a(), b()
        else:
            two, one = b(), a()
        out.append((one, two))
    return out


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, range, and each: what every row of a benchmark holds."""
    rounded = [float(f"{v:.5g}") for v in values]
    return {"median": median(rounded), "low": min(rounded), "high": max(rounded), "all": rounded}
