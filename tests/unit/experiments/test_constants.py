"""The constants of ripples and hybrid beside others: what is replaced, and what pages may say of it."""

from __future__ import annotations

import json
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from blackbox.attacks import Hybrid, hybrid, hybrid_labels, ripple_labels
from blackbox.candidates import moves, usual, whole
from experiments import measurements, published, published_constants
from experiments.studies import constants
from experiments.studies.constants import KNOBS


def test_the_values_in_use_are_what_the_study_calls_them() -> None:
    now = {
        "LITTLE": f"{whole.LITTLE:g}", "ON_LITTLE": "({:g}, {:g})".format(*whole.ON_LITTLE), "MUCH": f"{hybrid.MUCH:g}",
        "prior_right": f"{Hybrid.trust[1]:g}", "guided moves": "({:g}, {:g})".format(*hybrid_labels.LITTLE),
        "first waves": f"{hybrid_labels.BEFORE}",
    }  # fmt: skip
    assert {name: KNOBS[name].now for name in now} == now
    assert {move.worth for move in moves.ALONE} == {(1.0, 2.0)}


@pytest.mark.parametrize("name", KNOBS)
def test_a_value_is_there_while_the_attack_runs_and_not_behind_it(name: str) -> None:
    for value in KNOBS[name].others:
        before = [resolve_name(where) for where, _ in value.patch]
        with value.set():
            assert [resolve_name(where) for where, _ in value.patch] == [new for _, new in value.patch] != before or not before
        assert [resolve_name(where) for where, _ in value.patch] == before
        assert bool(value.patch) != bool(value.options())


def test_moves_that_are_left_out_keep_their_place() -> None:
    some = constants.without(moves.Wave)
    assert [m.name for m in some] == [m.name for m in ripple_labels.ALONE]
    assert [m.worth[0] < 1e-3 for m in some] == [isinstance(m, moves.Wave) for m in some]


def test_credits_are_of_makers_that_ask_the_prior() -> None:
    pairs = list(zip(usual(), constants.credited(1, 2), strict=True))
    assert [b.worth[1] / a.worth[1] for a, b in pairs] == [1 + a.surrogate for a, _ in pairs] and any(a.surrogate for a, _ in pairs)


def row(value: str, queries: list[int], **more: Any) -> dict[str, Any]:
    made = {"search": "ripples", "knob": "LITTLE" if value != "as it is" else "", "value": value, "target": "resnet20", "prior": "",
            "seed": 100, "budget": 100, "among": "raw-filtered", "ids": [1, 2, 3, 4], "queries": queries, "found": [1] * 4}  # fmt: skip
    return made | more


def test_a_page_tells_of_ratios_over_the_value_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / measurements.RESULTS / "constants"
    folder.mkdir(parents=True)
    monkeypatch.setattr(measurements, "ROOT", tmp_path)

    def put(*rows: dict[str, Any]) -> None:
        (folder / "ripples.json").write_text(json.dumps({"rows": rows}))

    now = row("as it is", [10, 20, 30, 44])
    put(now, row("0", [10, 20, 30, 44]), row("0.2", [20, 40, 60, 80]))
    table = published.shown("constant-table LITTLE")
    assert "| ResNet-20 | 4 | 1 | 26.0 [" in table and "| the same | 1.92 [" in table
    assert [published_constants.constants_compared(which) for which in ("all", "less", "more")] == [2, 0, 1]
    assert str(published_constants.constants_better()) == "none"
    put(now, row("0.2", [5, 9, 15, 20]))
    assert str(published_constants.constants_better()) == "LITTLE 0.2: less on resnet20"
    put(row("as it is", [9] * 4, target="resnet32", among="raw"), row("0", [8] * 4, target="resnet32", among="raw"))
    with pytest.raises(ValueError, match="to rest on what is for choosing, but the target resnet32"):
        published.shown("constant-table LITTLE")
