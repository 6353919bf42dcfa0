"""The transfer matrix: rates against hand-counted ones, noise of the same size, queries, and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import surrogates as sg
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.report.raw import write_transfer
from blackbox.rowwise import row_norm
from blackbox.testing import Failing
from blackbox.threat import L1, L2, Linf
from surrogates.transfer.noise import gaussian_noise, uniform_noise
from tests.surrogate_doubles import Affine, Scripted, images

T = Linf(0.1)


def planted() -> sg.TransferMatrix:
    """Eight images; every outcome written down.

    image           0  1  2  3  4  5  6  7
    label           0  0  1  1  2  2  0  1
    source clean    0  0  1  1  2  0  0  1     5 wrong
    target clean    0  0  1  1  2  2  1  0     6, 7 wrong
    source changed  1  2  0  1  0  1  0  0     wrong on 0 1 2 4 5 7
    target changed  1  1  1  2  2  0  2  1     wrong on 0 1 3 5 6; same mistake as the source on 0 alone
    noise           0  1  1  1  2  2  1  1     wrong on 1 6
    """
    m = sg.TransferMatrix.empty(
        ("a",), ("t",), ("fgsm",), (T,), np.array([0, 0, 1, 1, 2, 2, 0, 1]), None, np.arange(8, dtype=np.uint64), 16
    )
    m.clean_source[0] = [0, 0, 1, 1, 2, 0, 0, 1]
    m.clean_target[0] = [0, 0, 1, 1, 2, 2, 1, 0]
    m.adv_source[0, 0, 0] = [1, 2, 0, 1, 0, 1, 0, 0]
    m.adv_target[0, 0, 0, 0] = [1, 1, 1, 2, 2, 0, 2, 1]
    m.noise_target[0, 1, 0] = [0, 1, 1, 1, 2, 2, 1, 1]
    m.noise_l2[0, 1] = m.l2[0, 0, 0] = 0.2
    m.noise_linf[0, 1] = m.linf[0, 0, 0] = 0.1
    return m


@pytest.mark.parametrize(
    ("given", "k", "n"),
    [("all", 5, 8), ("target-correct", 4, 6), ("both-correct", 3, 5), ("source-fooled", 2, 4)],
)
def test_rates_are_the_hand_counted_ones(given: str, k: int, n: int) -> None:
    rate = planted().rate("a", "t", "fgsm", T, given)
    assert (rate.k, rate.n) == (k, n)


def test_split_and_the_other_rates() -> None:
    m = planted()
    parts = m.split("a", "t", "fgsm", T)
    assert [(r.k, r.n) for r in parts] == [(1, 6), (3, 6), (2, 6)]
    assert [(r.k, r.n) for r in m.split("a", "t", "fgsm", T, "source-fooled")] == [(1, 4), (1, 4), (2, 4)]
    assert (m.clean_accuracy("t").k, m.clean_accuracy("a").k) == (6, 7)
    noise = (
        m.noise_rate("t", T, "rms"),
        m.noise_rate("t", T, "rms", "all"),
        m.noise_rate("t", T, "rms", "both-correct", "a"),
    )
    assert [(r.k, r.n) for r in noise] == [(1, 6), (2, 8), (1, 5)]
    assert m.noise_rate("t", T, "linf").n == 0  # not measured
    assert m.rms("a", "fgsm", T)[0] == pytest.approx(0.05)


def test_images_the_target_gets_wrong_clean_count_in_no_condition() -> None:
    m = planted()
    before = [m.rate("a", "t", "fgsm", T, g).k for g in ("target-correct", "both-correct", "source-fooled")]
    m.adv_target[0, 0, 0, 0, 6:] = 2  # both wrong now
    assert before == [m.rate("a", "t", "fgsm", T, g).k for g in ("target-correct", "both-correct", "source-fooled")]


def test_targeted_rates_by_hand() -> None:
    """Goal 1 for labels 0 and 2, goal 2 for label 1."""
    m = planted()
    m.goals = np.array([1, 1, 2, 2, 1, 1, 1, 2])
    assert (m.rate("a", "t", "fgsm", T, "all").k, m.rate("a", "t", "fgsm", T).k) == (3, 3)
    assert m.rate("a", "t", "fgsm", T).n == 6
    assert (m.rate("a", "t", "fgsm", T, "source-fooled").k, m.rate("a", "t", "fgsm", T, "source-fooled").n) == (1, 1)


def test_what_was_never_answered_is_in_no_rate() -> None:
    m = planted()
    m.adv_target[0, 0, 0, 0, 0] = -1
    assert (m.rate("a", "t", "fgsm", T).k, m.rate("a", "t", "fgsm", T).n) == (3, 5)


def small(targets: dict[str, Any], n: int = 6, **options: Any) -> sg.TransferMatrix:
    sources = {"a": Affine(16, seed=1), "pair": [Affine(16, seed=2), Affine(16, seed=3)]}
    return sg.transfer_matrix(sources, targets, images(n), torch.arange(n) % 3, **options)


def test_outcomes_and_queries_of_a_real_run() -> None:
    oracle, net = Oracle(Affine(16, seed=1), "labels", 3), Affine(16, seed=1)
    m = small({"t": oracle}, attacks=["fgsm", "mifgsm"], threats=[T, L2(0.5)], steps=3)
    # 2 sources x 2 attacks x 2 threats; noise of two kinds for Linf, of one for L2
    assert oracle.counts == {"clean": 6, "transfer": 48, "noise": 18} and m.queries == {"t": 72}
    x, y = images(6), torch.arange(6) % 3
    made = sg.craft(net, x, y, "mi-fgsm", threat=T, steps=3)
    s, a, e, t = m.cell("a", "t", "mi-fgsm", T)
    assert np.array_equal(m.adv_target[s, a, e, t], sg.predict(net, made).numpy())
    assert np.array_equal(
        m.adv_target[s, a, e, t], m.adv_source[s, a, e]
    )  # the white-box diagonal is a cell like others
    assert np.allclose(m.linf[s, a, e], row_norm(made - x, np.inf)) and np.allclose(m.l2[s, a, e], row_norm(made - x))
    assert m.steps.tolist() == [1, 3] and m.cost.tolist() == [[1, 3], [2, 6]]
    # noise as long as the longest change of any source and attack
    assert np.allclose(m.noise_l2[:, 1], m.l2.max((0, 1)), rtol=1e-4)
    assert (m.noise_linf[0, 0] <= 0.1 + 1e-6).all() and np.isnan(m.noise_l2[1, 0]).all()


def test_noise_is_as_long_as_the_longest_change_to_the_image() -> None:
    flat = Affine(16)
    with torch.no_grad():
        flat.w.zero_()  # no gradient, no change
    target = Oracle(Affine(16, seed=4), "labels", 3)
    m = sg.transfer_matrix(
        {"a": Affine(16), "flat": flat}, {"t": target}, images(4), torch.arange(4) % 3, ["fgsm"], [T]
    )
    assert not m.l2[1].any() and np.allclose(m.noise_l2[0, 1], m.l2[0, 0, 0], rtol=1e-4) and m.l2[0].min() > 0.3


def test_an_image_fares_alike_in_any_batch() -> None:
    def run(rows: list[int]) -> sg.TransferMatrix:
        x, y, net = images(6)[rows], (torch.arange(6) % 3)[rows], Affine(16, seed=1)
        target = Oracle(Affine(16, seed=5), "labels", 3)
        return sg.transfer_matrix({"a": net}, {"t": target}, x, y, attacks=["pgd"], threats=[T], ids=rows, steps=4)

    whole, part = run([0, 1, 2, 3, 4, 5]), run([4, 1])
    for name in ("adv_source", "adv_target", "noise_target", "l2", "noise_l2", "noise_linf"):
        assert np.array_equal(getattr(whole, name)[..., [4, 1]], getattr(part, name)), name


@pytest.mark.parametrize("low", [0.3, 0.0])
def test_gaussian_noise_has_the_length_asked_for_after_the_cut(low: float) -> None:
    x = images(20, (3, 8, 8), low=low, high=1 - low)
    want, ids = torch.linspace(0.05, 4.0, 20), np.arange(20, dtype=np.uint64)
    made = gaussian_noise(x, want, T, 0, ids)
    assert torch.allclose(row_norm(made - x), want, rtol=1e-4)
    assert float(made.min()) >= 0 and float(made.max()) <= 1
    assert torch.equal(gaussian_noise(x[3:5], want[3:5], T, 0, ids[3:5]), made[3:5])
    assert not torch.equal(gaussian_noise(x, want, T, 1, ids), made)


def test_gaussian_noise_longer_than_the_box_stays_in_it() -> None:
    x = images(2)
    made = gaussian_noise(x, torch.tensor([100.0, 0.0]), T, 0, np.arange(2, dtype=np.uint64))
    assert bool(((made[0] == 0) | (made[0] == 1)).all()) and torch.equal(made[1], x[1])


def test_uniform_noise_fills_the_ball() -> None:
    x = images(50, (3, 8, 8), low=0.3, high=0.7)
    change = uniform_noise(x, T, 0, np.arange(50, dtype=np.uint64)) - x
    assert float(change.abs().max()) <= 0.1 + 1e-6 and float(change.abs().max()) > 0.0999
    assert float(change.std()) == pytest.approx(0.2 / 12**0.5, rel=0.02) and abs(float(change.mean())) < 0.002


def test_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    m = small(
        {"t": Oracle(Affine(16, seed=4), "labels", 3)}, threats=[T, L1(1.0)], target=torch.tensor([1, 2, 0, 1, 2, 0])
    )
    again = sg.TransferMatrix.load(m.save(tmp_path / "run"))
    assert (again.table() == m.table() and again.records() == m.records()) or str(again.records()) == str(m.records())
    assert again.threats == m.threats and again.queries == m.queries and again.goals is not None
    with pytest.raises(FileNotFoundError, match=r"transfer\.npz is not there"):
        sg.TransferMatrix.load(tmp_path)
    (tmp_path / "run" / "transfer.json").write_text("{}")
    with pytest.raises(ValueError, match="could not be read"):
        sg.TransferMatrix.load(tmp_path / "run")


def test_text_and_records_hold_the_rates() -> None:
    m = planted()
    table = m.table()
    assert (
        "images the target got right" in table
        and "67 % [30, 90]" in table
        and "clean accuracy" in table
        and "Gaussian" in table
    )
    rows = m.records()
    assert len(rows) == 4 + 2
    row = next(r for r in rows if r["source"] == "a" and r["given"] == "both-correct")
    assert (row["k"], row["n"], row["rate"], row["eps"]) == (3, 5, 0.6, 0.1) and row["low"] < 0.6 < row["high"]
    json.dumps(rows)


def test_the_heat_map_is_drawn(tmp_path: Path) -> None:
    m = small(
        {"t": Oracle(Affine(16, seed=4), "labels", 3), "u": Oracle(Affine(16), "labels", 3)}, threats=[T, L2(0.5)]
    )
    for given in ("all", "source-fooled"):
        assert m.plot(tmp_path / "deep" / f"{given}.png", given).stat().st_size > 10_000


def test_a_target_that_fails_leaves_the_matrix_so_far() -> None:
    target = Oracle(Scripted([[0, 1, 2], [0, 0, 0]]), "labels", 3, rows_per_call=3)  # the third call finds no answer
    with pytest.raises(TargetError) as error:
        sg.transfer_matrix({"a": Affine(16)}, {"t": target}, images(3), torch.arange(3), ["fgsm", "mi-fgsm"], [T])
    m = error.value.result
    assert (m.rate("a", "t", "fgsm", T).k, m.rate("a", "t", "fgsm", T).n) == (2, 3)
    assert m.rate("a", "t", "mi-fgsm", T).n == 0 and m.queries == {"t": 6}
    assert m.table().splitlines()[0] == (
        "INCOMPLETE: 3 of 9 answers are missing, and their images unknown: the target failed after 6 queries."
    )
    assert m.table().splitlines()[-2].split()[-1] == "unknown" and m.table().splitlines()[-1].startswith("3 images: below 100")


@pytest.mark.parametrize("how", ["raise", "interrupt"])
def test_what_is_said_after_a_failure_on_any_call_is_true(how: str, tmp_path: Path) -> None:
    """At every call on which the target may fail: answers that came are kept, and rates agree with the whole matrix."""
    x = images(5)
    y = Affine(16, seed=4)(x).argmax(1)
    y[0] = (y[0] + 1) % 3

    def measured(call: int) -> sg.TransferMatrix:
        target = Failing(Affine(16, seed=4), call, how)
        oracle = Oracle(target, "labels", 3, returns="logits", rows_per_call=2)
        try:
            return sg.transfer_matrix({"a": Affine(16)}, {"t": oracle}, x, y, ["fgsm"], [T, Linf(0.3)])
        except (TargetError, KeyboardInterrupt) as error:
            found = error.result  # type: ignore[union-attr]
        assert oracle.rows == sum(int((got >= 0).sum()) for got in (found.clean_target, found.adv_target, found.noise_target))
        return sg.TransferMatrix.load(found.save(tmp_path / str(call)))

    whole = measured(0)
    assert whole.complete and "INCOMPLETE" not in whole.table()
    for call in range(1, 22):  # 5 images are 3 calls: clean, then crafted, noise and noise at each radius
        m = measured(call)
        pairs = [(m.clean_accuracy("t"), whole.clean_accuracy("t"))]
        for given in ("all", "target-correct", "both-correct", "source-fooled"):
            for e in m.threats:
                pairs.append((m.rate("a", "t", "fgsm", e, given), whole.rate("a", "t", "fgsm", e, given)))
                pairs += zip(m.split("a", "t", "fgsm", e, given), whole.split("a", "t", "fgsm", e, given), strict=True)
        for rate, true in pairs:
            low, high = rate.bounds
            assert (not true.n or low <= true.value <= high) and (rate.unknown or rate == true), (call, rate, true)
        ended = "the target failed" if how == "raise" else "the run was stopped"
        first = m.table().splitlines()[0]
        assert m.complete or (first.startswith(f"INCOMPLETE: {m.missing} of {m.whole} answers are missing") and ended in first)
        if call > 15:  # in the noise of the second radius, the last to be asked about
            kinds = [(m.noise_rate("t", m.threats[1], k), whole.noise_rate("t", m.threats[1], k)) for k in ("linf", "rms")]
            assert m.complete == (call > 21) and all(rate.n + rate.unknown >= true.n for rate, true in kinds)
            assert m.table().count("  noise   ") == 4
        m.plot(tmp_path / "map.png") if call in (1, 5) and how == "raise" else None
        assert "nan" not in m.table() and "-1" not in write_transfer(m, tmp_path / "raw.csv").read_text()


def test_names_that_are_not_there_get_a_sentence() -> None:
    m = planted()
    for call in (
        lambda: m.rate("b", "t", "fgsm", T), lambda: m.rate("a", "u", "fgsm", T), lambda: m.rate("a", "t", "pgd", T),
        lambda: m.rate("a", "t", "fgsm", Linf(0.2)), lambda: m.rate("a", "t", "fgsm", T, "most"), lambda: m.table("most"),
        lambda: m.noise_rate("t", T, "salt"), lambda: m.noise_rate("t", T, "rms", "both-correct"), lambda: m.clean_accuracy("b"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"Expected .*but"):
            call()
    assert m.rate("a", "t", "FGSM", str(T)).n == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targets": {"t": Affine(16)}}, "Wrap it"),
        ({"targets": {"t": Oracle(Affine(16, 4), "labels", 4)}}, "source 'a' has 3 and target 't' has 4"),
        ({"targets": {}}, "at least one of the targets"),
        ({"attacks": ["fgsm", "FGSM"]}, "without repetition"),
        ({"attacks": ["fgms"]}, "Did you mean 'fgsm'"),
        ({"y": torch.tensor([0, 1, 9])}, "sample 2 has 9"),
        ({"x": images(3, (1, 3, 3))}, "images that source 'a' takes"),
        ({"sources": [Affine(16)]}, "Expected sources with names"),
        ({"sources": {"a": 3}}, "torch modules to take gradients through, but there were: int"),
        ({"targets": Oracle(Affine(16), "labels", 3)}, "Expected targets with names"),
        ({"attacks": "fgsm"}, "list of attacks, such as [\"fgsm\"], but it was 'fgsm'"),
        ({"threats": T}, "list of threats, such as [blackbox.Linf(8/255)], but it was Linf("),
        ({"threats": [L2(90.0)]}, "the diameter of the box"),
        ({"steps": 0}, "steps to be a whole number, at least 1, but it was 0"),
        ({"seed": None}, "seed to be a whole number, but it was None"),
        ({"seed": [0, 1.5]}, "each seed to be a whole number, but it was 1.5"),
        ({"target": torch.tensor([1, 2, 2])}, "for sample 2 both are 2"),
    ],
)
def test_bad_input_gets_a_sentence(change: dict[str, Any], words: str) -> None:
    args: dict[str, Any] = {
        "sources": {"a": Affine(16)},
        "targets": {"t": Oracle(Affine(16), "labels", 3)},
        "x": images(3),
        "y": torch.arange(3),
    }
    with pytest.raises(ValueError) as error:
        sg.transfer_matrix(**(args | change))
    assert words in str(error.value) and "\n" not in str(error.value)
    assert args["targets"]["t"].rows == 0, "nothing may be spent before the arguments are checked"


def test_a_number_is_no_threat() -> None:
    target = Oracle(Affine(16), "labels", 3)
    with pytest.raises(TypeError, match=r"a threat such as blackbox.Linf\(8/255\), but it was 0.1"):
        sg.transfer_matrix({"a": Affine(16)}, {"t": target}, images(3), torch.arange(3), threats=[0.1])  # type: ignore[list-item]
    assert target.rows == 0
