"""Figures found by the way to them in a results file: outcomes, values with their intervals, counts; and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import measurements, published

FOUND: dict[str, Any] = {
    "settings": {"target": "lenet"},
    "nets": {"plain": {"wrong": {"clean": "100-", "pgd": [3, 4]}}, "robust": {"wrong": {"clean": "0001", "pgd": "1-10"}}},
    "rows": [{"way": {"name": "labels"}, "fooled": "1101"}, {"way": {"name": "scores"}, "fooled": "1111"}],
    "rank": [0.5, 0.25, 0.75, 12], "answers": 6400, "confidence": 0.475, "mean": 12.4, "choosing": [{"fooled": "11"}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(measurements, "ROOT", tmp_path)
    path = tmp_path / measurements.RESULTS / "made.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(FOUND))
    return path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("share made nets plain wrong clean", "33 % [6, 79] (1/3)"), ("share made rows way.name=labels fooled", "75 % [30, 95] (3/4)"),
        ("share made rows 1 fooled", "100 % [51, 100] (4/4)"), ("estimate made rank", "0.50 [0.25, 0.75] (n = 12)"),
        ("count made answers", "6,400"), ("count made rows", "2"), ("seen made .0% confidence", "48 %"),
    ],
)  # fmt: skip
def test_what_is_found(words: str, told: str) -> None:
    assert published.shown(words) == told


def test_a_table_of_shares() -> None:
    assert "| clean | 33 % [6, 79] (1/3) | 25 % [5, 70] (1/4) |\n| pgd |" in published.shown("share-table made nets")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("share made nets plain wrong fgsm", "nets > plain > wrong > fgsm, but there it has ['clean', 'pgd']"),
        ("share made rows way.name=none fooled", "Mend the mark"),
        ("share made mean", "Expected outcomes"), ("count made mean", "whole number"),
        ("estimate made mean", "[value, low, high, n] in"), ("share made choosing 0 fooled", "it is for choosing"),
    ],
)  # fmt: skip
def test_what_is_not(words: str, told: str) -> None:
    with pytest.raises(ValueError, match="Expected") as error:
        published.shown(words)
    assert told in str(error.value)


@pytest.mark.parametrize("settings", [{"target": "mnist_nat"}, {"targets": ["densenet", "resnet20"]}])
def test_a_target_for_choosing_is_not_reported(made: Path, settings: dict[str, Any]) -> None:
    made.write_text(json.dumps({**FOUND, "settings": settings}))
    with pytest.raises(ValueError, match="it is for choosing"):
        published.shown("share made rows 0 fooled")
