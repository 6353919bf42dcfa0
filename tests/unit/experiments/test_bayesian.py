"""What is fooled within 50 queries: the rows that are asked for, and the tables made of rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import measurements, published_bayesian
from experiments.studies import bayesian


def test_rows_are_asked_for_by_name() -> None:
    names = [row.attack for row in bayesian.asked(bayesian.Settings(attacks=("p-bo two coefficient 1.0", "bo")))]
    assert names == ["p-bo, two, coefficient 1.0", "bo"]
    assert {"hybrid, two", "square"} <= {row.attack for row in bayesian.asked(bayesian.Settings())}
    assert all(row.code in ("bo", "p-bo") for row in bayesian.asked(bayesian.Settings(study="settings")))
    with pytest.raises(ValueError, match="Expected --attacks to be of p-bo two, .* but it named b-o"):
        bayesian.asked(bayesian.Settings(attacks=("b-o",)))


def test_the_tables_count_what_the_rows_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def row(attack: str, found: list[int]) -> dict[str, object]:
        return {"attack": attack, "seed": 0, "budget": 50, "found": found * 10, "queries": [5 if f else 50 for f in found * 10]}

    some = [row("p-bo, two", [1, 1, 1, 0]), row("bo", [1, 1, 1, 1]), row("hybrid, two", [1, 0, 0, 0]), row("square", [0, 0, 0, 1])]
    about = {"target": {"name": "vit_adv"}, "images": {"among": "raw"}, "ids": list(range(40))}
    (tmp_path / "bayesian").mkdir()
    file = tmp_path / "bayesian" / "vit_adv.json"
    file.write_text(json.dumps({**about, "rows": some}))
    monkeypatch.setattr(measurements, "RESULTS", tmp_path)
    shares = {line[0]: (line[1], line[2].value) for line in published_bayesian.fifty_table().rows}
    assert shares["p-bo, coefficient fitted"] == (40, 0.75) and shares["hybrid"] == (40, 0.25)
    means = {line[0]: line[2].value for line in published_bayesian.fifty_table("mean").rows}
    assert means["p-bo, coefficient fitted"] == pytest.approx(0.75 * 5 + 0.25 * 50)
    (first, second) = published_bayesian.fifty_pairs("p-bo, two", "hybrid, two", "square").rows
    assert first[1:5] == ["hybrid", 40, 20, 0] and second[1:5] == ["square", 40, 30, 10]
    assert published_bayesian.fifty_ahead("p-bo, two").text == "small ViT, adversarially trained"
    file.write_text(json.dumps({**about, "rows": [*some[:3], row("square", [1, 1, 1, 0])]}))
    assert published_bayesian.fifty_ahead("p-bo, two").text == "none"
