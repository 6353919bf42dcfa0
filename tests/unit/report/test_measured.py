"""What ``blackbox list attacks`` says was measured: taken from committed results, never typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blackbox import attacks
from blackbox.report import measured
from experiments import measured as generator

ROOT = Path(__file__).resolve().parents[3]


def test_every_packaged_figure_is_in_the_results() -> None:
    """A measurement that is newer than the file is no fault; one that no result holds is: python -m experiments.measured."""
    found = generator.collect(ROOT / "experiments" / "results")
    assert all(record in found for record in measured.records())


def write(folder: Path, target: str, rows: list[dict[str, Any]], use: str = "reporting") -> None:
    """A results file of four images."""
    about = {"name": target, "use": use, "title": target.title(), "threat": "Linf 8/255"}
    more = {"budget": 50, "goal": "untargeted", "access": "scores", "queries": [3, 5, 7, 50], "found": [1, 1, 1, 0]}
    found = {"target": about, "images": {"data": "cifar"}, "rows": [{"seed": 0, **more, **row} for row in rows]}
    (folder / "queries").mkdir(exist_ok=True)
    (folder / "queries" / f"{target}.json").write_text(json.dumps(found))


def test_seeds_are_one_record_and_settings_are_told(tmp_path: Path) -> None:
    other = {"queries": [5, 7, 9, 50]}
    rows: list[dict[str, Any]] = [
        {"attack": "square"}, {"attack": "square", "seed": 1, **other}, {"attack": "square, p_init 0.05"},
        {"attack": "rays", "access": "labels"}, {"attack": "hybrid, two"}, {"attack": "hybrid, two", "access": "labels"},
        {"attack": "square", "goal": "next class"}, {"attack": "foolbox HopSkipJump", "access": "labels"},
    ]  # fmt: skip
    write(tmp_path, "densenet", rows)
    write(tmp_path, "resnet20", rows, use="choosing")
    found = generator.collect(tmp_path)
    assert [(r["attack"], r["settings"], r["seeds"]) for r in found] == [
        ("square", "", 2), ("square", "p_init 0.05", 1), ("square", "towards a class", 1), ("rays", "", 1),
        ("hybrid", "with a small VGG and a small CNN", 1), ("hybrid", "with a small VGG and a small CNN, labels alone", 1),
    ]  # fmt: skip
    assert found[0]["mean"] == 17.0 and found[0]["low"] < 17 < found[0]["high"] and found[0]["fooled"] == 0.75


def test_a_record_in_words_has_its_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"attack": "square", "settings": "p_init 0.05", "target": "DenseNet", "threat": "Linf 8/255", "budget": 1000, "images": 206,
              "seeds": 3, "fooled": 0.998, "mean": 112.4, "low": 97.6, "high": 128.2}  # fmt: skip
    told = "112 [98, 128] queries, 100 % fooled within 1,000 (p_init 0.05, DenseNet, Linf 8/255, 206 images)"
    assert measured.describe(record) == told
    plain = {**record, "settings": "", "mean": 11.24, "low": 9.8, "high": 13.0}
    monkeypatch.setattr(measured, "records", lambda: [record, plain])
    assert measured.shortest("square").startswith("11.2 [9.8, 13.0] queries")
    assert measured.shortest("rays") == "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nes", ("nes", "")),
        ("nes-partial", ("nes-partial", "")),
        ("fd-ifgsm pca 50", ("fd-ifgsm", "pca 50")),
        ("squared", None),
        ("foolbox HopSkipJump", None),
    ],
)
def test_names_of_rows(text: str, expected: tuple[str, str] | None) -> None:
    assert generator.named(text) == expected


def test_every_record_is_of_a_registered_attack() -> None:
    assert {r["attack"] for r in measured.records()} <= set(attacks.names())
