"""The simulation of coverage, where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import blackbox as bb
from benchmarks import __main__ as command
from benchmarks import coverage


def test_the_coverage_of_wilsons_interval_is_that_of_the_binomial_sum() -> None:
    exact = {}
    for p in coverage.RATES:
        held = [k for k in range(101) if bb.Rate(k, 100).low <= p <= bb.Rate(k, 100).high]
        exact[f"{p:g}"] = float(binom.pmf(held, 100, p).sum())
    assert exact["0.99"] == pytest.approx(0.9206, abs=1e-4), "whole numbers leave no choice near 1"
    found = {w: (e, t) for kind, w, t, e in coverage.rates({}, 100, 1000, np.random.default_rng(0)) if kind == "rate"}
    for what, ((low, high), truth) in found.items():
        assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(exact[what], abs=0.02), what


def test_made_outcomes_have_the_rates_that_they_are_said_to_have() -> None:
    rng = np.random.default_rng(0)
    made = np.stack([coverage.outcomes(0.8, 0.3, 3, 500, rng, more=0.2) for _ in range(40)])
    assert made[..., 0].mean() == pytest.approx(0.8, abs=0.02) and made[..., 1].mean() == pytest.approx(0.8511, abs=0.02)
    assert all(np.ptp(q.mean(0)) > 0 and q.max() <= budget for q, budget in coverage.populations().values())


def test_a_size_is_measured_anew_by_itself() -> None:
    s = command.Settings(only=("coverage",), sizes=(50,))
    row = {"part": "coverage", "device": "cpu", "n": 50}
    assert command.anew(row, "coverage", s) and not command.anew({**row, "n": 100}, "coverage", s)
    assert not command.anew(row, "speed", s) and command.anew({"part": "speed", "device": "cpu"}, "speed", s)
