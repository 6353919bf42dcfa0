"""The forecast: what is left, by what the others cost, at the pace of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.cli.progress import describe, eta
from blackbox.engine import Progress
from blackbox.engine import progress as module
from blackbox.engine.ledger import Ledger
from blackbox.engine.progress import expected_left


def test_what_is_left_by_hand() -> None:
    live = np.array([False, False, True, True])
    # one ended at 2, one used all 10 up; one has spent 4, one nothing. Of 3 at risk at 2 (the one at 0 had left), 1 ended:
    # survival 2/3. Left: 10 - 4, and 2 + 2/3 * 8. (One has used up its budget, so nothing lies beyond what was seen.)
    assert expected_left(np.array([2, 10, 4, 0]), live, 10) == pytest.approx(6 + 2 + 16 / 3)
    assert expected_left(np.array([2, 10, 4, 0]), live & False, 10) == 0
    assert expected_left(np.zeros(3, int), np.ones(3, bool), 7) == 21  # nothing is known: the budgets


def test_geometric_costs_are_forecast_within_a_few_per_cent() -> None:
    draw = np.random.default_rng(0)
    cost = np.minimum(draw.geometric(0.01, 4000), 1000)
    now = np.minimum(cost, np.where(np.arange(4000) < 2000, 150, 0))  # half at work for 150 steps, half not begun
    live = now < cost
    assert expected_left(now, live, 1000) == pytest.approx((cost - now).sum(), rel=0.15)


def test_of_all_images_and_at_this_process_s_pace() -> None:
    p = Progress(done=40, total=100, success=36, spent=9000, seconds=30, left=500, paid=100, working=10)
    assert eta(p) == 50 and describe(p) == "40 of 100 images done, 36 fooled (36 % of all), 9,000 queries, about 0:50 left"
    assert eta(Progress(40, 100, 36, 9000, 30, 500)) == float("inf")


class Clock:
    """A second a row, and a third of one for every round, also where a journal is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 0.3
        return self.now


def test_the_time_that_a_journal_is_read_for_is_no_pace_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told, oracle = Clock(), list[Progress](), bb.Oracle(lambda x: x, "scores", 2)
    monkeypatch.setattr(module, "time", clock)
    reporter = module.Reporter(told.append, Ledger.open(torch.zeros(3, 4)), oracle, 5)
    clock.now += 100
    reporter.report()
    oracle.counts["attack"] += 8
    clock.now += 10
    reporter.report()
    assert (told[-1].paid, told[-1].left, round(told[-1].working), round(told[-1].seconds)) == (8, 15, 10, 111)


@pytest.mark.parametrize("kind", ["journal", "checkpoint"])
def test_a_resumed_run_is_forecast_within_a_factor_of_two(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stop = Clock(), [400.0]
    monkeypatch.setattr(module, "time", clock)

    def slow(x: torch.Tensor) -> torch.Tensor:
        if clock.now > stop[0]:
            raise KeyboardInterrupt
        clock.now += len(x)
        return (x.flatten(1)[:, None] * torch.tensor([[1.0] * 8, [0.0] * 8])).sum(2) - torch.tensor([3.9, 0.0])

    x = torch.full((20, 8), 0.5) + torch.linspace(0, 0.02, 20)[:, None]
    told: list[Progress] = []

    def go() -> Any:
        oracle = bb.Oracle(slow, "scores", 2, returns="logits", max_rows=4)
        kept: Any = {kind: tmp_path / "f"}
        return bb.attack(oracle, x, torch.zeros(20, dtype=torch.int64), "nes", bb.Linf(0.02), 60, cohort=5, progress=told.append, **kept)

    with pytest.raises(KeyboardInterrupt):
        go()
    told.clear()
    clock.now, stop[0] = 0.0, 1e9
    go()
    end = clock.now
    said = [(eta(p), end - p.seconds) for p in told if p.paid >= 20 and p.done < p.total]
    assert len(said) > 5 and all(forecast <= 2 * left for forecast, left in said)
    assert all(forecast >= left / 2 for forecast, left in said if left > 20)
