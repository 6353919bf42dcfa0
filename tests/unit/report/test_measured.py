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
    assert measured.records() and all(record in found for record in measured.records())


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"rows": rows}))


BENCHMARK = {"n": 20, "seeds": [0, 1], "budget": 1000, "note": "", "peer": False, "first": [[1]]}
QUERIES = {"images": 10, "means": [7.0], "budget": 50, "target": "MNIST LeNet", "threat": "Linf 0.3"}


def test_both_forms_of_results_are_read(tmp_path: Path) -> None:
    photo = {"target": "CIFAR ResNet-20", **BENCHMARK}
    write(
        tmp_path,
        "benchmark_peers",
        [
            {
                **photo,
                "attack": "square",
                "threat": "Linf 8/255",
                "success": "98 % [90, 100] (39/40)",
                "mean": 12.5,
                "median": 2.0,
            },
            {
                **photo,
                "attack": "boundary",
                "threat": "L2 unlimited",
                "median distance at 1000": 0.5,
                "median distance at 5000": 0.25,
            },
            {
                **photo,
                "attack": "ART Square",
                "peer": True,
                "threat": "Linf 8/255",
                "success": "0 % (0/40)",
                "mean": 1.0,
                "median": 1.0,
            },
            {**photo, "attack": "rays", "threat": "Linf 8/255"},  # it could not be run
        ],
    )
    write(
        tmp_path,
        "query_efficiency_search",
        [
            {**QUERIES, "attack": "square, p_init 0.05", "success": [9, 10], "mean": 7.0, "median": 6.0},
            {**QUERIES, "attack": "fd-fgsm full", "success": [10, 10], "mean": 9.0, "median": 9.0},
        ],
    )
    write(
        tmp_path,
        "query_efficiency_targeted",
        [{**QUERIES, "attack": "nes-partial", "targeted": True, "success": [3, 10], "mean": 8.0, "median": 9.0}],
    )
    found = generator.collect(tmp_path)
    names = [(r["attack"], r["settings"], r["seeds"], r["images"]) for r in found]
    assert names == [
        ("fd-fgsm", "", 1, 10),
        ("nes-partial", "targeted", 1, 10),
        ("square", "", 2, 20),
        ("square", "p_init 0.05", 1, 10),
        ("boundary", "", 2, 20),
    ]
    assert [measured.describe(r) for r in found] == [
        "9.0 queries, 10/10 within 50 (MNIST LeNet, Linf 0.3)",
        "8.0 queries, 3/10 within 50 (targeted, MNIST LeNet, Linf 0.3)",
        "12.5 queries, 39/40 within 1,000 (CIFAR ResNet-20, Linf 8/255)",
        "7.0 queries, 9/10 within 50 (p_init 0.05, MNIST LeNet, Linf 0.3)",
        "median distance 0.5 by 1,000, 0.25 by 5,000 (CIFAR ResNet-20, L2 unlimited)",
    ]


def test_photographs_and_defaults_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {**QUERIES, "success": [1, 1], "mean": 1.0, "median": 1.0}
    write(
        tmp_path,
        "query_efficiency_search",
        [
            {**row, "attack": "square"},
            {**row, "attack": "square, p_init 0.05", "target": "CIFAR x"},
            {**row, "attack": "square", "target": "CIFAR x"},
        ],
    )
    found = generator.collect(tmp_path)
    assert [(r["target"], r["settings"]) for r in found] == [
        ("CIFAR x", "p_init 0.05"),
        ("CIFAR x", ""),
        ("MNIST LeNet", ""),
    ]
    monkeypatch.setattr(measured, "records", lambda: found)
    assert measured.shortest("square") == "1.0 queries, 1/1 within 50 (CIFAR x, Linf 0.3)"
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
