"""The query tables are of rows alone: intervals over images, ratios on the same images, peers beside ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments import tables
from experiments.runner import RESULTS

QUERIES = np.random.default_rng(0).integers(20, 900, 120)


def row(attack: str, seed: int, queries: list[int], **more: Any) -> dict[str, Any]:
    key = {"attack": attack, "access": "scores", "goal": "untargeted", "seed": seed, "budget": 1000}
    return {**key, "queries": queries, "found": [int(q < 1000) for q in queries], **more}


def write(name: str, rows: list[dict[str, Any]], count: int = 120, among: str = "raw") -> None:
    path = RESULTS / "queries" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    target = name.removesuffix("_peers").partition("-")[0]
    use = "choosing" if target == "resnet20" else "reporting"
    found = {"target": {"name": target, "title": target.title(), "use": use}, "images": {"among": among}, "ids": list(range(count))}
    path.write_text(json.dumps({"command": "x", **found, "rows": rows}))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = [row("square", s, (QUERIES + s).tolist()) for s in (0, 1)]
    mine += [row("hybrid, two", s, (QUERIES // 10 + 1).tolist()) for s in (0, 1)]
    write("densenet", [*mine, row("rays", 0, QUERIES.tolist(), access="labels"), row("square", 0, QUERIES.tolist(), goal="next class")])
    write("densenet_peers", [row("theirs", s, (QUERIES + 7).clip(max=1000).tolist(), toolkit="toolkit 1.0") for s in (0, 1)])


def test_a_line_has_a_rate_a_mean_and_a_ratio_with_intervals() -> None:
    ((found, lines),) = tables.asked()
    by_name = {(line[0], line[1], line[2]): line for line in lines}
    assert found["target"]["name"] == "densenet" and len(lines) == 5
    hybrid = by_name["hybrid, two", "scores", "untargeted"]
    assert hybrid[3:5] == [120, 2] and hybrid[7].startswith("0.10 [") and all("[" in cell for cell in hybrid[5:])
    assert by_name["*theirs* (toolkit 1.0)", "scores", "untargeted"][7].startswith("1.0")
    assert by_name["square", "scores", "next class"][7] == by_name["rays", "labels", "untargeted"][7] == ""


def test_the_overview_has_a_row_a_target_and_a_column_an_attack_of_ours() -> None:
    write("densenet-jpeg", [row("ripples", 0, [3, 4, 5])], 3, "jpeg")
    write("resnet20", [row("square", 100, [3, 4, 5])], 3)
    columns, lines = tables.every("scores")
    assert columns == ["target", "images", "hybrid, two", "square", "ripples"] or columns[2:] == ["square", "hybrid, two", "ripples"]
    assert [line[:2] for line in lines] == [["Densenet", 120], ["Densenet (jpeg)", 3]] and lines[1][2:4] == ["", ""]
    assert tables.every("towards")[0] == ["target", "images", "square"] and tables.every("labels")[0][2:] == ["rays"]


def test_the_peers_are_shown_the_same_images() -> None:
    write("densenet_peers", [row("theirs", 0, [1] * 7, toolkit="t")], 7)
    with pytest.raises(ValueError, match="Expected all rows of densenet to be of the same images, but the peers' are of others"):
        list(tables.asked())


def test_what_surrogates_learned_from_is_told() -> None:
    told = {line[0]: line[1:] for line in tables.priors()}
    assert told["two"][3] == "yes" and told["two, unseen"][3] == "no" and told["untrained"][2:] == ["", ""] and told["misled"][3] == "yes"
    assert "cnn, 60 epochs and 2 snapshots" in told["two, jpeg"][1]
