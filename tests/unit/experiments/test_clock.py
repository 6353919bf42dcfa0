"""The clock of the benchmarks."""

from __future__ import annotations

import pytest
import torch

from benchmarks import clock as clocks


class Clock:
    """A second for a row of the net, and whatever else is asked for."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Net(torch.nn.Module):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.seen = clock, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.clock.now += len(x)
        self.seen.append(float(x[0, 0]))
        return x


def test_the_ratio_is_that_of_all_to_the_calls_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(clocks, "time", clock)
    net = Net(clock)

    def work() -> None:
        for i, n in enumerate((4, 1, 3, 2)):
            net(torch.full((n, 1), float(i)))
            clock.now += 0.5 * n  # half as long beside the net as in it

    assert clocks.over_bare(net, work) == 1.5
    assert net.seen == [0, 0, 1, 1, 2, 2, 3, 3]  # each call once more, at once
    net.seen.clear()
    net(torch.zeros(1, 1))
    assert len(net.seen) == 1  # and no hook is left behind


def test_the_repeat_comes_before_and_behind_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(Clock())
    order: list[str] = []
    beside = clocks.Beside(net)
    monkeypatch.setattr(beside, "repeat", lambda x: order.append("repeat"))
    for _ in range(3):
        beside.before(net, (torch.zeros(1, 1),))
        order.append("call")
        beside.behind(net, (torch.zeros(1, 1),), torch.zeros(1, 1))
    assert order == ["repeat", "call", "call", "repeat", "repeat", "call"]
