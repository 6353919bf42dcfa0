"""What a study may say: all faults at once, with the way to mend them, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blackbox.sweep import Plan, Study

GOOD = """
images = { data = "digits", n = 20 }
block = 8

[attack]
targets = ["digits:logreg", "digits:knn"]
attacks = ["square", { name = "nes", samples = 10 }]
threats = ["linf:0.1", "linf:0.2"]
budgets = [20, 40]
seeds = [0, 1, 2]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


def test_a_study_is_read_and_unfolds(tmp_path: Path) -> None:
    study = Study.load(write(tmp_path, GOOD))
    plan = Plan.of(study)
    cells = list(plan.cells())
    assert study.name == "grid" and plan.count == 20
    assert len(plan.points) == 2 * 2 * 2 * 2 * 3 and len(cells) == 3 * len(plan.points)
    assert len({c.key for c in cells}) == len(cells)
    assert sum(map(plan.worst, cells)) == 2 * 2 * 2 * 3 * 20 * (20 + 40)
    assert "48 points × 3 blocks of 8 images = 144 cells, at most 28,800 queries" in plan.summary()
    assert Study.parse(study.text()) == study
    again = list(Plan.of(Study.parse(study.text())).cells())
    assert again == cells


def test_what_decides_a_result_is_in_the_key(tmp_path: Path) -> None:
    def keys(text: str) -> set[str]:
        return {c.key for c in Plan.of(Study.load(write(tmp_path, text))).cells()}

    base = keys(GOOD)
    assert keys(GOOD + 'access = "scores"\n') != base  # said is not the same as left open: safe, if wasteful
    for old, new in (
        ("block = 8", "block = 8\nrows = 64"),
        ("n = 20", "n = 20, pick = 'first'"),
        ("block = 8", "block = 9"),
    ):
        assert not keys(GOOD.replace(old, new)) & base
    grown = keys(GOOD.replace("budgets = [20, 40]", "budgets = [20, 40, 80]"))
    assert grown > base  # a study that grew keeps what is done
    assert keys('name = "other"\n' + GOOD) == base


def test_all_faults_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace('"square"', '"sqare"').replace("samples = 10", "sampels = 10").replace("budgets", "budgts")
        .replace("seeds = [0, 1, 2]", "seeds = []").replace('"linf:0.2"', '"linf:8"').replace("n = 20", "n = 0")
    )  # fmt: skip
    with pytest.raises(ValueError) as caught:
        Study.load(write(tmp_path, text))
    said = str(caught.value)
    assert said.startswith("Expected a study, but ") and "grid.toml has" in said
    for word in (
        "attack.attacks.0: Expected attack to be one of", "Did you mean 'square'?", "Expected a setting of nes", "'sampels'",
        "attack.budgts: no such key. Did you mean 'budgets'?", "attack.budgets: Expected this key",
        "attack.seeds: Value should have at least 1 item",
        "attack.threats: Expected an Linf eps of at most 1", "8/255", "images.n: Input should be greater than or equal to 1",
    ):  # fmt: skip
        assert word in said, (word, said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("n = 20", "count = 20", "images.count: no such key. Expected one of data, n, "),
        ("seeds = [0, 1, 2]", "n = 20", "attack.n: no such key. It belongs in [images]."),
        ("block = 8", "seeds = [0]", "  seeds: no such key. It belongs in [attack] or [transfer]."),
        ("seeds = [0, 1, 2]", "block = 8", "attack.block: no such key. It belongs in the head of the file."),
        ("[attack]", "[attacks]", "attacks: no such key. Did you mean 'attack'?"),
    ],
)
def test_a_key_that_stands_in_the_wrong_table(old: str, new: str, said: str, tmp_path: Path) -> None:
    """A name that another table has is no misspelling of itself: `seeds: Did you mean 'seeds'?` was said here."""
    assert GOOD.count(old) == 1
    with pytest.raises(ValueError) as caught:
        Study.load(write(tmp_path, GOOD.replace(old, new)))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threats": ["l2:1", "l2:1"]}, "l2:1 is there twice"),
        ({"attacks": "parsimonious", "threats": "l2:1"}, "Expected a threat in Linf for parsimonious, but it was l2:1"),
        (
            {"access": "labels"},
            "Expected access to at least topk for square, but it was labels|at least scores for square",
        ),
        ({"votes": 2}, "Expected votes to be an odd number"),
        ({"channels": ["jpg"]}, "Did you mean 'jpeg'"),
        ({"budgets": 0}, "greater than or equal to 1"),
        ({"targets": []}, "at least 1 item"),
    ],
)
def test_grids_that_cannot_be(change: dict[str, Any], said: str) -> None:
    grid = {"targets": "digits:knn", "attacks": "square", "threats": "linf:0.1", "budgets": 10, **change}
    with pytest.raises(ValueError, match=said):
        Study(attack=grid)


def test_no_grid_no_file_no_toml_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected a grid, \[attack\] or \[transfer\], but there was none"):
        Study(name="empty")
    with pytest.raises(FileNotFoundError, match="Expected a study at"):
        Study.load(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="to be TOML, but it is not"):
        Study.load(write(tmp_path, "a = = 3"))
    with pytest.raises(FileNotFoundError, match="Expected the model nowhere.py:load, but there is no file nowhere.py"):
        Plan.of(Study.load(write(tmp_path, GOOD.replace("digits:knn", "nowhere.py:load"))))
