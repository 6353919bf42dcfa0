"""Loggers: what they are told is what the result says, and none of them can disturb a run."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import blackbox as bb
from blackbox.engine.progress import Reporter
from blackbox.loggers import CSV, attack
from blackbox.loggers.attack import curve, grid
from tests.unit.evaluation.test_tuning import Border
from tests.unit.loggers.kept import BUDGET, CURVE, Full, Kept, X, climb


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of the engine is told, and logged."""
    told, live = Reporter.report, attack.AttackLog.live

    def at_once(self: attack.AttackLog, ledger: Any) -> None:
        self.next = 0.0
        live(self, ledger)

    monkeypatch.setattr(Reporter, "report", lambda self, final=False: told(self, True))
    monkeypatch.setattr(attack.AttackLog, "live", at_once)


@pytest.mark.parametrize("cohort", [128, 2])
def test_the_curve_logged_is_the_known_one_and_the_results_own(always: None, cohort: int) -> None:
    kept = Kept()
    result = climb(kept, cohort=cohort)
    points = kept.points("curve/success_rate")
    assert points == sorted(CURVE.items())  # each number of queries once, in order
    assert [value for _, value in points] == [r.value for r in result.curve([q for q, _ in points])]
    assert [kept.calls[0][0], kept.calls[-1]] == ["start", ("end", "done")]
    assert kept.calls[0][1]["budget"] == BUDGET and kept.calls[0][1]["run"] == "Climb-seed0"
    for name, value in (("success_rate", 0.75), ("robust_accuracy", 0.2), ("mean_queries", 8.0), ("known", 5), ("unknown", 0)):
        assert kept.last(f"final/{name}") == value, name
    assert kept.last("final/spent") == result.queries.sum() == 33


def test_live_numbers_are_true_when_they_are_told(always: None) -> None:
    """After step k of Climb the images with 2, 3, 4 steps to go are fooled by steps 2, 3, 4: nothing is told early."""
    kept = Kept()
    climb(kept)
    known, rates = dict(kept.points("attack/known")), kept.points("attack/success_rate")
    assert rates[:4] == [(5, 0.0), (9, 0.0), (13, 0.25), (16, 0.5)]  # by queries spent in all
    assert [known[q] for q in (5, 9, 13, 16, 18)] == [1, 1, 2, 3, 4]
    first = next(i for i, (_, (_, values)) in enumerate(kept._told()) if "curve/success_rate" in values)
    assert first < len(kept._told()) / 2  # while it runs, not at its end


def test_examples_are_those_found_first(always: None) -> None:
    kept = Kept()
    result = climb(kept)
    pictures = [c[1] for c in kept.calls if c[0] == "images"]
    assert [(step, list(named)) for step, named in pictures] == [(3, ["example/0"]), (4, ["example/1"]), (5, ["example/2"])]
    clean, adversarial, change = pictures[0][1]["example/0"].split(4, -1)
    assert torch.equal(clean, X[0]) and torch.equal(adversarial, result.x_adv[0])
    assert torch.allclose(change, torch.ones(1, 4, 4))  # all of it upwards, by the same amount


class Cut(Border):
    """Answers so many rows."""

    def __init__(self, most: int, error: type[BaseException]) -> None:
        super().__init__()
        self.most, self.error = most, error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.rows + len(x) > self.most:
            raise self.error("no more")
        return super().forward(x)


@pytest.mark.parametrize(("error", "status"), [(OSError, "incomplete"), (KeyboardInterrupt, "stopped")])
def test_of_a_run_cut_short_only_what_is_known_is_logged(always: None, error: type[BaseException], status: str) -> None:
    kept = Kept()
    with pytest.raises((bb.TargetError, KeyboardInterrupt)) as caught:
        climb(kept, Cut(16, error))  # the clean check and three steps: two images are fooled, two are at work
    points = kept.points("curve/success_rate")
    assert points == sorted(CURVE.items())[:4]
    assert [value for _, value in points] == [r.value for r in caught.value.result.curve([q for q, _ in points])]
    assert (kept.last("final/known"), kept.last("final/unknown"), kept.last("final/spent")) == (3, 2, 16)
    assert kept.calls[-1] == ("end", status)
    assert caught.value.result.queries.sum() == 16


def test_a_target_that_never_answered_has_no_rate() -> None:
    kept = Kept()
    with pytest.raises(bb.TargetError):
        climb(kept, Cut(0, OSError))
    names = {name for _, (_, values) in kept._told() for name in values}
    assert names == {"attack/known", "attack/unknown", "final/known", "final/unknown", "final/spent"}
    assert kept.last("final/unknown") == 5


@pytest.mark.parametrize("method", ["start", "scalars", "images", "end"])
def test_a_logger_that_fails_is_dropped_once_and_costs_nothing(always: None, method: str) -> None:
    plain, full, kept = climb(None), Full(method), Kept()
    with pytest.warns(RuntimeWarning, match=f"Full failed in {method} and is dropped; the run goes on. .*No space left") as said:
        result = climb([full, kept])
    assert len(said) == 1 and [c[0] for c in full.calls].count("failed") == 1
    assert torch.equal(plain.x_adv, result.x_adv) and torch.equal(plain.queries, result.queries)
    assert kept.points("curve/success_rate") == sorted(CURVE.items())


def test_eight_bit_curves_come_when_rounding_has_decided(always: None) -> None:
    kept = Kept()
    result = climb(kept, eight_bit=True)
    points = kept.points("curve/success_rate")
    assert [value for _, value in points] == [r.value for r in result.curve([q for q, _ in points])]
    assert len(points) == BUDGET


@pytest.mark.parametrize("budget", [1, 7, 100, 1000, 123_456])
def test_the_grid_begins_at_one_and_ends_at_the_budget(budget: int) -> None:
    at = grid(budget)
    assert at[0] == 1 and at[-1] == budget and len(at) <= attack.POINTS and (at[1:] > at[:-1]).all()


def test_curve_by_hand() -> None:
    import numpy as np

    first, attacked = np.array([3, 0, 1, 2]), np.array([True, True, True, False])
    assert curve(first, attacked, np.array([1, 2, 3])).tolist() == [1 / 3, 1 / 3, 2 / 3]


def test_csv_is_read_back_and_a_second_run_has_its_own_folder(tmp_path: Path) -> None:
    first = climb(f"csv:{tmp_path}")
    climb(CSV(tmp_path), seed=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Climb-seed0", "Climb-seed0-2"]
    with open(tmp_path / "Climb-seed0" / "scalars.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    curve = {int(r["step"]): float(r["value"]) for r in lines if r["name"] == "curve/success_rate"}
    assert curve == CURVE and list(curve.values()) == [r.value for r in first.curve(list(curve))]
    settings = json.loads((tmp_path / "Climb-seed0" / "settings.json").read_text())
    assert settings["status"] == "done" and settings["eps"] == 0.1 and settings["target"] == "Border"
    assert (tmp_path / "Climb-seed0" / "example" / "0.png").exists()


def test_a_folder_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(RuntimeWarning, match="CSV failed in start"):
        assert climb(f"csv:{tmp_path / 'file'}").success.sum() == 3


@pytest.mark.parametrize(
    ("log", "kind", "said"),
    [
        ("tensorbord", ValueError, "Expected a logger, tensorboard, csv, wandb, mlflow"),
        (["csv", "x:y"], ValueError, "it was 'x:y'"),
        ([object()], TypeError, "lacks start, scalars, images, end"),
    ],
)
def test_what_is_no_logger_is_said_before_the_first_query(log: Any, kind: type[Exception], said: str) -> None:
    model = Border()
    with pytest.raises(kind, match=said):
        climb(log, model)
    assert not model.rows


def test_no_logger_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        climb([])


class Hurried(Kept):
    """The user presses ctrl-C while this one closes."""

    def end(self, status: str) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("most", [10**6, 16])
def test_ctrl_c_while_a_logger_closes_loses_no_result(most: int) -> None:
    plain = climb(None)
    with pytest.raises(KeyboardInterrupt) as caught:
        climb(Hurried(), Cut(most, OSError))
    found = caught.value.result
    assert found.complete == (most > 16) and int(found.queries.sum()) == min(most, int(plain.queries.sum()))
    assert torch.equal(found.x_adv[found.known & found.success], plain.x_adv[found.known & found.success])
