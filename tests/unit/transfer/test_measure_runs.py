"""Several trainings and seeds of a source, two-level bootstrap, paired tests, eps curves: against hand-made outcomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import surrogates as sg
from blackbox.oracle.oracle import Oracle
from blackbox.statistics import Rate, mcnemar
from blackbox.statistics.bootstrap import drawn, resamples
from blackbox.threat import Linf
from surrogates.transfer.runs import Run, clusters
from tests.surrogate_doubles import Affine, images

T = Linf(0.1)
Y = torch.arange(6) % 3


def matrix(sources: dict[str, Any], **options: Any) -> sg.TransferMatrix:
    target = Oracle(Affine(16, seed=9), "labels", 3)
    return sg.transfer_matrix(sources, {"t": target}, images(6), Y, options.pop("attacks", ["fgsm"]), [T], **options)


def test_trainings_are_rows_of_their_own_and_keep_every_image() -> None:
    nets = [Affine(16, seed=s) for s in (1, 2, 3)]
    whole = matrix({"a": sg.Retrained(nets), "b": nets[0]})
    assert whole.sources == ("a #1", "a #2", "a #3", "b") and whole.runs[1] == Run("a", 1, 0)
    for i, net in enumerate(nets):
        alone = matrix({"a": net})
        assert np.array_equal(whole.adv_target[i], alone.adv_target[0]) and np.array_equal(whole.l2[i], alone.l2[0])
    assert whole.queries["t"] == 6 * (1 + 4 + 2)  # clean, four rows, two kinds of noise
    hits, among, which = whole.outcomes("a", "t", "fgsm", T)
    assert hits.shape == among.shape == (3, 6) and which.tolist() == [0, 1, 2]
    rates = [whole.rate(f"a #{i}", "t", "fgsm", T).value for i in (1, 2, 3)]
    assert (
        whole.estimate("a", "t", "fgsm", T).value == pytest.approx(np.mean(rates)) and whole.rate("b", "t", "fgsm", T).n
    )
    with pytest.raises(ValueError, match=r"one run of 'a' \(a #1, a #2, a #3\)"):
        whole.rate("a", "t", "fgsm", T)
    assert "a: mean of 3" in whole.table() and "b: mean" not in whole.table()


def test_a_list_is_still_an_ensemble() -> None:
    nets = [Affine(16, seed=s) for s in (1, 2)]
    assert matrix({"a": nets}).cost.tolist() == [[2]] and matrix({"a": sg.Retrained(nets)}).cost.tolist() == [[1], [1]]


def test_seeds_are_runs_and_the_first_is_the_only_one_of_before() -> None:
    both = matrix({"a": Affine(16, seed=1)}, attacks=["pgd"], seed=(4, 5), steps=3)
    assert both.sources == ("a seed 4", "a seed 5") and both.seed == 4
    for row, seed in enumerate((4, 5)):
        alone = matrix({"a": Affine(16, seed=1)}, attacks=["pgd"], seed=seed, steps=3)
        assert np.array_equal(both.l2[row], alone.l2[0]) and np.array_equal(both.adv_target[row], alone.adv_target[0])
    assert not np.array_equal(both.l2[0], both.l2[1])


def test_runs_are_pooled_by_training() -> None:
    assert clusters([Run("a", 0, 0), Run("a", 0, 1), Run("a", 1, 0), Run("a", 1, 1)]).tolist() == [0, 0, 1, 1]
    assert clusters([Run("a", 0, 0), Run("a", 0, 1)]).tolist() == [0, 0]


def test_saved_runs_come_back_and_files_of_before_still_load(tmp_path: Path) -> None:
    m = matrix({"a": sg.Retrained([Affine(16, seed=1), Affine(16, seed=2)])})
    again = sg.TransferMatrix.load(m.save(tmp_path))
    assert again.runs == m.runs and again.estimate("a", "t", "fgsm", T) == m.estimate("a", "t", "fgsm", T)
    raw = json.loads((tmp_path / "transfer.json").read_text())
    del raw["runs"]
    (tmp_path / "transfer.json").write_text(json.dumps(raw))
    assert sg.TransferMatrix.load(tmp_path).runs == (Run("a #1", 0, 0), Run("a #2", 0, 0))


@pytest.mark.parametrize(
    ("sources", "seed", "words"),
    [
        ({"a": sg.Retrained([Affine(16), Affine(16)]), "a #1": Affine(16)}, 0, "called 'a #1'"),
        ({"a": Affine(16)}, (1, 1), "different seeds"),
        ({"a": Affine(16)}, (), "one or more"),
    ],
)
def test_runs_that_cannot_be_told_apart_are_refused(sources: Any, seed: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        matrix(sources, seed=seed)
    with pytest.raises(ValueError, match="one or more trainings"):
        sg.Retrained([])


def test_equal_outcomes_have_the_interval_of_their_images() -> None:
    found = sg.two_level(np.ones((3, 20), dtype=bool))
    assert (found.value, found.low, found.high, found.n, found.runs) == (1.0, pytest.approx(Rate(20, 20).low), 1.0, 20, 3)
    assert sg.two_level(np.ones((2, 4)), np.zeros((2, 4))).n == 0


def test_one_run_has_the_interval_of_a_rate() -> None:
    found = sg.two_level(np.arange(400) < 120)
    assert (found.value, found.low, found.high) == (0.3, pytest.approx(Rate(120, 400).low), pytest.approx(Rate(120, 400).high))


def test_the_interval_sees_the_spread_of_trainings() -> None:
    """Runs with all or none of the images: nothing varies but the run. Its variance is 4/3 of a quarter, by 4 runs 1/12, so there
    are 3 outcomes on Wilson's scale; Student's t with 3 degrees of freedom is 3.182 (less the little that images add)."""
    hits = np.repeat([[True], [True], [False], [False]], 50, axis=1)
    found = sg.two_level(hits)
    half = 3.182 * (1 / 12 + 3.182**2 / 36) ** 0.5 / (1 + 3.182**2 / 3)
    assert found.value == 0.5 and found.low == pytest.approx(0.5 - half, abs=0.002) and found.high == pytest.approx(0.5 + half, abs=0.002)
    pairs = sg.two_level(hits, clusters=[0, 1, 0, 1])  # they average to a half: what is left is that of 200 outcomes
    assert pairs.high == pytest.approx(Rate(100, 200).high)


def test_values_of_several_runs_have_a_t_interval() -> None:
    values = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])  # images differ by 1, runs by 1, and nothing else does
    found = sg.two_level(values)
    # variances 1/3 and 1/4, with 2 and 1 degrees of freedom: together (7/12)^2 / (1/18 + 1/16) = 2.882, t = 3.260
    assert found.value == 2.5 and found.high - 2.5 == pytest.approx(3.260 * (7 / 12) ** 0.5, abs=0.005) == 2.5 - found.low
    assert sg.two_level(values[:1]).n == 3


def test_the_denominator_of_each_run_is_its_own() -> None:
    hits = np.array([[1, 0, 0, 0], [1, 1, 0, 0]], dtype=bool)
    among = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], dtype=bool)
    assert sg.two_level(hits, among).value == 0.5 and sg.two_level(hits, among).n == 4


def test_resamples_draw_as_many_as_there_are() -> None:
    for runs, picked in resamples(np.array([0, 0, 1]), 7, count=50):
        assert (picked.sum(1) == 7).all() and (runs[:, 0] == runs[:, 1]).all() and (runs[:, [0, 2]].sum(1) == 2).all()
    assert drawn(np.random.default_rng(0), 5, 3).shape == (3, 5)


def test_mcnemar_by_hand() -> None:
    """Nine discordant images, eight for the first: p = 2 (C(9,0) + C(9,1)) / 2^9 = 20 / 512."""
    a = np.array([1] * 8 + [0] + [1] * 5 + [0] * 2, dtype=bool)
    b = np.array([0] * 8 + [1] + [1] * 5 + [0] * 2, dtype=bool)
    assert mcnemar(a, b) == (5, 8, 1, 2, pytest.approx(20 / 512))
    assert mcnemar(a, a).p == 1.0


def written(first: list[list[int]], second: list[list[int]], eps: tuple[float, ...] = (0.1,)) -> sg.TransferMatrix:
    """Label 0 for all, right clean; 1 where fooled. Rows: runs of "a"."""
    r, n = len(first), len(first[0])
    runs = tuple(Run("a", i, 0) for i in range(r))
    m = sg.TransferMatrix.empty(
        tuple(f"a #{i}" for i in range(r)), ("t",), ("fgsm", "pgd"), tuple(Linf(e) for e in eps), np.zeros(n), None,
        np.arange(n, dtype=np.uint64), 16, runs=runs,
    )  # fmt: skip
    m.clean_source[:], m.clean_target[:] = 0, 0
    m.adv_source[:] = 1
    for i, hits in enumerate((first, second)):
        m.adv_target[:, i, :, 0] = np.array(hits)[:, None]
    return m


def test_attacks_are_compared_image_by_image() -> None:
    first, second = [1] * 8 + [0] + [1] * 5 + [0] * 2, [0] * 8 + [1] + [1] * 5 + [0] * 2
    m = written([first], [second])
    found = sg.compare(m, "fgsm", "pgd", source="a", target="t", threat=T)
    assert found.p == pytest.approx(20 / 512) and found.difference.value == pytest.approx(7 / 16)
    assert 0 < found.difference.low < 7 / 16 < found.difference.high and "8 against 1 images" in str(found)
    back = sg.compare(m, "pgd", "fgsm", source="a", target="t", threat=T)
    assert back.difference.value == -found.difference.value and back.p == found.p
    same = sg.compare(m, "pgd", "pgd", source="a", target="t", threat=T)
    width = 1.96 / 18  # half an image in each of the four cells: one in 18 differs
    assert (-same.difference.low, same.difference.high, same.p) == (pytest.approx(width, abs=1e-4), pytest.approx(width, abs=1e-4), 1)
    twice = sg.compare(written([first] * 2, [second] * 2), "fgsm", "pgd", source="a", target="t", threat=T)
    assert twice.p == pytest.approx(40 / 512) and len(twice.tests) == 2
    m.clean_source[0, :8] = 2  # the source has these wrong: both-correct leaves them out
    assert sg.compare(m, "fgsm", "pgd", source="a", target="t", threat=T).tests[0][1:3] == (0, 1)
    with pytest.raises(ValueError, match="same images"):
        sg.compare(m, "fgsm", "pgd", source="a", target="t", threat=T, given="source-fooled")


