"""Goals beyond one class on other people's nets: what is read of packages, the rows, the tables made of rows. No net is needed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import blackbox as bb
from experiments import ground, measurements, packaged, published_goals, tasks
from experiments.studies import goal_detector, goal_faces


def test_weights_are_read_as_they_were_published(tmp_path: Path) -> None:
    steps = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    told = [{"name": "a", "shape": [2, 2], "quantization": steps}, {"name": "b", "shape": [1]}]
    (tmp_path / "net-weights_manifest.json").write_text(json.dumps([{"paths": ["net.bin"], "weights": told}]))
    (tmp_path / "net.bin").write_bytes(bytes([0, 1, 2, 4]) + np.float32(7).tobytes())
    found = packaged.manifest(tmp_path, "net")
    assert found["a"].tolist() == [[-1.0, -0.5], [0.0, 1.0]] and found["b"].tolist() == [7.0]

    (tmp_path / "model.min.js").write_text('x={name:"c/kernel",shape:[2],dtype:"float32",quantization:{min:-.5,scale:25e-2,dtype:"uint8"}}')
    (tmp_path / "group1-shard1of1.min.js").write_text('h.exports="AAI="},{}')
    assert packaged.bundled(tmp_path)["c/kernel"].tolist() == [-0.5, 0.0]


def test_same_padding_is_that_of_tensorflow() -> None:
    assert packaged._same(torch.zeros(1, 1, 5, 4), 3, 2).shape[2:] == (7, 5)
    assert packaged._same(torch.ones(1, 1, 4, 4), 3, 2)[0, 0, -1].tolist() == [0] * 5


def test_noise_is_a_corner_of_the_ball_each_query_another() -> None:
    seen = []

    def target(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.clone())
        return torch.tensor([[1.0, 0.0]]).repeat(len(x), 1)

    x = torch.full((2, 1, 3, 3), 0.5)
    oracle = bb.Oracle(target, access="labels", classes=2)
    result = bb.attack(oracle, x, torch.zeros(2, dtype=torch.long), tasks.Noise(), bb.Linf(0.1), budget=4)
    asked = torch.cat(seen)[2:8]
    assert result.queries.tolist() == [4, 4] and torch.allclose((asked - 0.5).abs(), torch.tensor(0.1))
    assert len({tuple(row.flatten().tolist()) for row in asked}) == 6


def test_a_row_keeps_its_images_and_what_each_was_charged() -> None:
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)) / 2 + 0.25
    clean = x.mean((1, 2, 3)).numpy()

    def oracle() -> bb.Oracle:
        return bb.Oracle(lambda rows: rows.mean((1, 2, 3)), access="answers")

    def goal(places: torch.Tensor) -> bb.goals.Goal:
        return bb.goals.Regression(clean[places], 0.05, "up")

    task = tasks.Ready("made", x, torch.arange(10, 16), {})
    row = tasks.measured(task, tasks.Line("square", "a number", oracle, goal, images=3), tasks.Settings(budget=50), bb.Linf(0.1), 0)
    assert row["ids"] == [10, 12, 14] and row["found"] == [1, 1, 1] and max(row["queries"]) < 50 and row["rows"] == sum(row["queries"])
    below = bb.goals.Regression(clean - 1, 0.05, "up")
    with pytest.raises(ValueError, match="Expected images that do not reach the goal unchanged, but of made some do"):
        tasks.measured(task, tasks.Line("square", "a number", oracle, lambda places: below), tasks.Settings(budget=50), bb.Linf(0.1), 0)


def test_yes_or_no_is_all_that_a_walk_learns() -> None:
    goal = tasks.decided(lambda answer, place: place == 5, "the fifth")(torch.tensor([4, 5]))
    reply = bb.Oracle(lambda x: x.sum((1, 2, 3)), access="answers")(torch.zeros(2, 1, 2, 2))
    loss, reached = goal.judge(reply, np.arange(2))
    assert not goal.graded and loss.tolist() == [-1.0, 1.0] and reached.tolist() == [False, True]


def test_the_next_face_that_is_somebody_else() -> None:
    at = np.array([[0.0], [0.1], [5.0]])
    assert goal_faces.others(at).tolist() == [2, 2, 0] and goal_faces.pairs(at) == [1, 3]


def test_a_box_is_read_from_its_cell() -> None:
    cells = sum((goal_detector.SIDE // stride) ** 2 for stride in goal_detector.STRIDES)
    raw = np.zeros((cells, 80 + 4 * goal_detector.BINS), np.float32)
    raw[52 * 10 + 20, 16] = 0.9  # the cell in row 10, column 20 of the finest map, a dog
    raw[52 * 10 + 20, 80:].reshape(4, -1)[np.arange(4), [1, 2, 3, 4]] = 50.0  # a distance of one to four strides
    answer = goal_detector.boxes(raw)
    assert answer["labels"] == ["dog"] and len(goal_detector.COCO) == 80 and goal_detector.found(answer) == 1
    assert answer["boxes"][0].tolist() == pytest.approx([164 - 8, 84 - 16, 164 + 24, 84 + 32])


def test_tasks_and_images_are_kept_apart() -> None:
    tables = copy.deepcopy(ground.ground())
    tables["tasks"]["top_five"]["images"] = "photographs-first"
    assert "the task top_five is for reporting, but its images photographs-first are not" in list(ground.offences(tables))


def test_the_table_counts_what_the_rows_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def row(attack: str, access: str, queries: list[int], found: list[int], budget: int = 1000) -> dict[str, object]:
        return {"attack": attack, "access": access, "seed": 0, "budget": budget, "ids": list(range(40)),
                "queries": queries * 10, "found": found * 10}  # fmt: skip

    some = [
        row("noise", "the age", [21] * 4, [0, 0, 0, 1], 21), row("square", "the age", [50, 200, 1000, 90], [1, 1, 0, 1]),
        row("rays", "yes or no", [500, 800, 1000, 1000], [1, 0, 0, 0]),
    ]  # fmt: skip
    about = {"images": {"among": "faces", "what": "faces"}, "ids": list(range(40)), "pairs": [1, 4], "rows": some}
    (tmp_path / "goals").mkdir()
    file = tmp_path / "goals" / "face_age.json"
    file.write_text(json.dumps(about))
    monkeypatch.setattr(measurements, "RESULTS", tmp_path)
    first, floor, last = published_goals.goal_table("face_age").rows
    assert first[:3] == ["the age", "square", 40] and (first[3].value, first[4].value) == (0.5, 0.75)
    assert first[5].value == pytest.approx((50 + 200 + 1000 + 90) / 4) and last[5].value == pytest.approx((500 + 3 * 1000) / 4)
    assert floor[1] == "noise of the same size" and floor[4][0].value == 0.25 and floor[5] == ""
    assert published_goals.goal_over("face_age", "yes or no", "rays", "square", "the age").value == pytest.approx(3500 / 1340)
    assert str(published_goals.goal_count("face_age", "pairs")).startswith("25 %")
    some[0]["seed"] = 100
    file.write_text(json.dumps(about) + " ")
    with pytest.raises(ValueError, match=r"Expected goals/face_age.json to rest on what is for reporting"):
        published_goals.goal_table("face_age")
