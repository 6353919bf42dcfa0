"""What pages on transfer, substitutes, defences and settings say, from rows made up so that the answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blackbox as bb
import surrogates as sg
from experiments import measurements, published, published_studies, runner


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (measurements, published_studies):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    folder = tmp_path / runner.RESULTS
    folder.mkdir(parents=True)
    return folder


def put(folder: Path, name: str, **found: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(found))


def test_outcomes_are_counted_without_what_does_not_count() -> None:
    text = runner.each(np.array([True, False, True, True]), np.array([True, True, False, True]))
    assert text == "10-1" and runner.counted(text) == [2, 3]
    assert runner.each(np.array([True, False])) == "10"
    with pytest.raises(ValueError, match="longer"):
        runner.each([True], [True, False])


def matrix(folder: Path) -> None:
    """Ten images, all right clean but the last; own nets fool 8 and 1, noise none."""
    sources, wrong = tuple(published_studies.SOURCES.values()), (9, 2, 2, 8, 1)
    labels = np.zeros(10, int)
    made = sg.TransferMatrix.empty(sources, ("t",), ("mi-fgsm",), (bb.Linf(8 / 255),), labels, None, np.arange(10), 12)
    made.clean_source[:], made.clean_target[:] = 0, np.array([[0] * 9 + [1]])
    for s, k in enumerate(wrong):
        made.adv_target[s, 0, 0, 0] = np.arange(10) < k
    made.noise_target[0, :, 0] = 0
    made.noise_l2[0] = made.noise_linf[0] = 0.1
    made.save(folder / "transfer_matrix")


def test_transfer_is_of_images_that_the_target_has_right(made: Path) -> None:
    matrix(made)
    assert published.shown("transfer both t 8").endswith("(8/9)") and published.shown("transfer noise t 8").endswith("(0/9)")
    table = published.shown("transfer-table 8")
    assert "| t | 9 | 0 % [0, 30] | 0 % [0, 30] | 100 %" in table and "11 % [2, 43]" in table
    assert "| t | 9 | 7 | 0 | 0.016 |" in published.shown("overlap-table 8")


def test_the_chosen_preset_is_marked_and_tests_are_counted(made: Path) -> None:
    def row(preset: str, fooled: str) -> dict[str, Any]:
        return {"source": "a", "effort": 10, "preset": preset, "gradients": 10, "fooled": {"t": fooled}}

    tests = [{"p adjusted": p, "chosen alone": a, "other alone": b} for p, a, b in ((0.01, 9, 0), (0.04, 0, 8), (0.06, 9, 1))]
    reporting, choosing = [row("fgsm", "11-"), row("mi-fgsm", "10-")], [row("fgsm", "100"), row("mi-fgsm", "110")]
    put(made, "transfer_league", chosen={"a": {"10": {"preset": "mi-fgsm"}}}, tests=tests, reporting=reporting, choosing=choosing)
    lines = published.shown("preset-table a 10").strip().split("\n")
    assert lines[2].startswith("| **mi-fgsm** * | 10 | 50 %") and lines[3].startswith("| fgsm | 10 | 100 %")
    assert published.shown("preset a 10 chosen t").endswith("(1/2)")
    assert [published.shown(f"preset-tests {which}") for which in ("all", "better", "worse")] == ["3", "1", "1"]


def test_labels_of_digits_that_change_while_the_loss_is_straight(made: Path) -> None:
    each = {"first eps that fools": [0.1, 0.3, None, 0.2], "radius of linearity": [0.1, 0.2, 0.5, 0.3]}
    put(made, "taylor_digits", losses={"margin": {"each": each}})
    assert published.shown("straight margin").endswith("(2/4)")


def test_how_a_setting_was_chosen_is_told_of_what_is_for_choosing(made: Path) -> None:
    row = {"target": "resnet20", "among": "raw-filtered", "p_init": 0.4, "seed": 100, "budget": 100, "ids": [1, 2, 3, 4],
           "queries": [8, 16, 24, 36], "found": [1, 1, 1, 0]}  # fmt: skip
    put(made, "square_p_init", rows=[row])
    assert "| resnet20 | 4 | 37" in published.shown("p-init-table")
    put(made, "square_p_init", rows=[row | {"target": "resnet32", "among": "raw", "seed": 0}, row])
    with pytest.raises(ValueError, match="to rest on what is for choosing, but the target resnet32"):
        published.shown("p-init-table")
    other = row | {"target": "resnet32", "among": "raw", "seed": 0, "found": [1] * 4}
    put(made, "tuned", chosen={"p_init": 0.4}, rows=[other, other | {"p_init": 0.8, "queries": [16, 32, 48, 76]}])
    assert published.shown("tuned p_init") == "0.4"
    assert "| resnet32 | 4 | 21" in (table := published.shown("tuned-table 0.8")) and "| 0.49 [" in table
