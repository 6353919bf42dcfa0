"""A gate: bars and baselines whose verdicts are known in advance."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import binomtest

import blackbox as bb
from blackbox.evaluation import Evaluation, gate
from blackbox.evaluation.evaluation import Row
from blackbox.statistics import holm

N = 100


def evaluation(wrong: dict[tuple[str, str, int], int], unknown: int = 0, first: int = 0) -> Evaluation:
    """Rows that get the first images wrong, so many of them; ``unknown``: the last images of each row are not known."""
    rows = []
    for (sees, attack, budget), count in wrong.items():
        open_ = np.arange(N) >= N - unknown
        rows.append(Row(sees, attack, budget, (np.arange(N) < count) & ~open_, 0, open_))
    return Evaluation(rows, bb.Linf(0.1), 0, np.zeros(N, int), np.arange(first, first + N))


LABELS, CLEAN = ("labels", "auto", 500), ("nothing", "none (clean images)", 0)


@pytest.mark.parametrize(
    ("text", "bar"),
    [
        ("labels@500=0.6", gate.Bar("labels", 500, 0.6)),
        ("scores = 60%", gate.Bar("scores", None, 0.6)),
        ("labels@10,000=1", gate.Bar("labels", 10_000, 1.0)),
        ("white-box=0", gate.Bar("white-box", None, 0.0)),
    ],
)
def test_bars_are_read(text: str, bar: gate.Bar) -> None:
    assert gate.read(text) == bar


@pytest.mark.parametrize("text", ["0.6", "labels@500", "labels@500=60", "labels@=0.5", "labels@500=1.2.3", "labels@500=-1", ""])
def test_bars_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Expected"):
        gate.read(text)


@pytest.mark.parametrize(
    ("wrong", "unknown", "least", "state"),
    [
        (40, 0, 0.6, "pass"),  # 60 of 100, just kept
        (41, 0, 0.6, "fail"),
        (40, 10, 0.5, "pass"),  # 50 known right of 100, if all the unknown fall: just kept
        (40, 10, 0.51, "unknown"),
        (40, 10, 0.61, "fail"),  # missed whatever the unknown are
        (0, 100, 0.5, "unknown"),
    ],
)
def test_a_bar_is_kept_missed_or_undecided(wrong: int, unknown: int, least: float, state: str) -> None:
    found = evaluation({LABELS: wrong}, unknown)
    verdict = gate.check(found, [gate.Bar("labels", 500, least)])
    assert verdict.state == state, str(verdict)


def test_a_level_without_a_budget_means_its_largest_and_transfer_its_lowest_row() -> None:
    rows = {
        CLEAN: 2, ("labels", "auto", 100): 10, LABELS: 50, ("nothing", "fgsm from a", 0): 20, ("nothing", "pgd from b", 0): 30
    }  # fmt: skip
    found = evaluation(rows)
    for bar, kept in [("labels=0.5", 0.51), ("transfer=0.7", 0.71), ("clean=0.98", 0.99)]:
        read = gate.read(bar)
        assert gate.check(found, [read]).state == "pass"
        assert gate.check(found, [gate.Bar(read.sees, None, kept)]).state == "fail"
    with pytest.raises(ValueError, match="labels@500"):
        gate.check(found, [gate.read("scores@500=0.5")])


def test_a_baseline_is_compared_image_by_image() -> None:
    """Ten newly wrong and none newly right: p = 2^-10, times two rows; four: p = 1/16 is chance."""
    before = evaluation({LABELS: 40, CLEAN: 5})
    worse, slightly = evaluation({LABELS: 50, CLEAN: 5}), evaluation({LABELS: 44, CLEAN: 5})
    fell, same = gate.check(worse, baseline=before).checks
    assert (fell.state, same.state) == ("fail", "pass")
    assert "10 of 100 images newly wrong, 0 newly right" in fell.says and f"p = {2 * 2**-10:.2g}" in fell.says
    assert gate.check(slightly, baseline=before).state == "pass"
    assert gate.check(before, baseline=worse).state == "pass"  # better is no failure


def test_the_same_rate_with_other_images_wrong_is_no_failure() -> None:
    before, after = evaluation({LABELS: 40}), evaluation({LABELS: 40})
    after.rows[0].wrong[:] = np.roll(before.rows[0].wrong, 40)
    assert gate.check(after, baseline=before).state == "pass"


def test_unknown_images_can_leave_a_baseline_undecided() -> None:
    before, after = evaluation({LABELS: 40}), evaluation({LABELS: 43}, unknown=20)
    assert gate.check(after, baseline=before).state == "unknown"


@pytest.mark.parametrize(
    ("fell", "unknown", "state"),
    [(6, 0, "fail"), (6, 19, "unknown"), (5, 0, "fail"), (5, 1, "unknown"), (4, 1, "unknown"), (4, 0, "pass"), (0, 100, "unknown")],
)  # p: 2^-6; with 19 risen .997; 5: 2^-5, with one risen .109; 4: 2^-4, with one more fallen 2^-5
def test_what_is_unknown_decides_neither_way(fell: int, unknown: int, state: str) -> None:
    before, after = evaluation({LABELS: 40}), evaluation({LABELS: 40 + fell}, unknown=unknown)
    assert gate.check(after, baseline=before).state == state


def test_a_row_that_the_baseline_lacks_is_named() -> None:
    before, after = evaluation({CLEAN: 5}), evaluation({CLEAN: 5, LABELS: 100})
    verdict = gate.check(after, baseline=before)
    assert verdict.state == "unknown" and "labels@500" in str(verdict)
    fewer = gate.check(before, baseline=after)
    assert fewer.state == "pass" and "labels@500" in str(fewer)


def test_other_images_under_the_same_ids_are_refused() -> None:
    now, before = evaluation({LABELS: 40}), evaluation({LABELS: 40})
    now.prints, before.prints = np.arange(1, N + 1), np.arange(1, N + 1)
    assert gate.check(now, baseline=before).state == "pass"
    before.prints = before.prints + (np.arange(N) == 7)
    with pytest.raises(ValueError, match=r"1 of 100 are others .*the first is 7"):
        gate.check(now, baseline=before)


def test_too_few_images_are_said_to_be() -> None:
    few = Evaluation([Row("labels", "auto", 9, np.zeros(4, bool), 0)], bb.Linf(0.1), 0, np.zeros(4, int), np.arange(4))
    assert "take more images" in str(gate.check(few, baseline=few))


def test_a_baseline_of_another_threat_or_of_other_images_is_refused() -> None:
    now = evaluation({LABELS: 40})
    other = Evaluation(now.rows, bb.L2(0.1), 0, now.labels, now.ids)
    with pytest.raises(ValueError, match="same threat"):
        gate.check(now, baseline=other)
    with pytest.raises(ValueError, match="shares at least one image"):
        gate.check(now, baseline=evaluation({LABELS: 40}, first=N))
    with pytest.raises(ValueError, match="neither"):
        gate.check(now)


def test_the_verdict_is_saved_for_people_and_for_machines(tmp_path) -> None:
    found = evaluation({LABELS: 41, CLEAN: 2}, unknown=1)
    verdict = gate.check(found, [gate.read(t) for t in ("labels@500=0.7", "clean=0.98", "clean=0.9")])
    verdict.save(tmp_path)
    assert [c["state"] for c in json.loads((tmp_path / "gate.json").read_text())["checks"]] == ["fail", "unknown", "pass"]
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert suite.attrib == {"name": "blackbox", "tests": "3", "failures": "1", "errors": "1"}
    assert [next(e.tag for e in case) for case in suite] == ["failure", "error", "system-out"]
    assert verdict.state == "fail" and "FAILED" in str(verdict)


def test_bars_are_checked_before_anything_is_paid_for() -> None:
    gate.require([gate.read("labels@100=0.5"), gate.read("clean=0.9")], ["labels"], [100], ["clean"])
    for bad in ("scores@100=0.5", "labels@200=0.5", "transfer=0.5", "clean@100=0.5"):
        with pytest.raises(ValueError, match="one of clean, labels@100"):
            gate.require([gate.read(bad)], ["labels"], [100], ["clean"])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9]) == pytest.approx([0.9])
    assert len(holm([])) == 0
    assert gate._chance(10, 0) == pytest.approx(binomtest(10, 10, 0.5, alternative="greater").pvalue) == pytest.approx(2**-10)
