"""The study behind the query tables: rows are kept, continued and found stale, and nothing is counted otherwise than it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import blackbox as bb
from experiments import ground, rows, runner
from experiments.cases import Case
from experiments.rows import Job, Outcome, Row, ours
from experiments.studies import queries
from experiments.studies.queries import Settings


class Half(torch.nn.Module):
    """Class 1 where more than half of the pixels are light."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        light = x.flatten(1).mean(1)
        return torch.stack([0.5 - light, light - 0.5, torch.zeros_like(light) - 9], 1)


def case(name: str, root: Path, among: str | None = None, count: int | None = None, use: str | None = None) -> Case:
    images = torch.full((4, 3, 4, 4), 0.45) + torch.arange(4).view(4, 1, 1, 1) / 200
    return Case(
        "half", Half(), images, torch.zeros(4, dtype=torch.long), bb.Linf(0.1), images, key=name, ids=torch.arange(7, 11),
        among=among or "raw", classes=3, data="cifar",
    )  # fmt: skip


ASKED: list[tuple[str, int]] = []


def peer(job: Job) -> Outcome:
    ASKED.append((job.access, job.seed))
    return Outcome([2, 3, 1000, 5], [True, True, False, True])


PEER = Row("theirs", lambda data, root: "as it comes", peer, toolkit="toolkit 1.0", draws=False)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ASKED.clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ground, "case", case)
    monkeypatch.setattr(queries, "OURS", (ours("square"), ours("square", p_init=0.05), ours("square", goal="next class")))
    monkeypatch.setattr("experiments.peers.rows.PEERS", (PEER,))


def found(name: str) -> Any:
    return json.loads((runner.RESULTS / "queries" / f"{name}.json").read_text())


def test_rows_of_a_target_are_kept_by_maker() -> None:
    s = Settings(targets=("densenet",), only=("scores",))
    queries.measure(s)
    mine, theirs = found("densenet"), found("densenet_peers")
    assert mine["ids"] == [7, 8, 9, 10] and mine["target"]["use"] == "reporting" and mine["images"]["n"] == 4
    assert [(r["attack"], r["seed"]) for r in mine["rows"]] == [(a, i) for a in ("square", "square, p_init 0.05") for i in (0, 1, 2)]
    assert all(set(r["found"]) <= {0, 1} and r["budget"] == 1000 and r["code"] for r in mine["rows"])
    assert [r["queries"] for r in theirs["rows"]] == [[2, 3, 1000, 5]] and theirs["rows"][0]["toolkit"] == "toolkit 1.0"
    queries.measure(replace(s, seeds=(0, 7)))
    assert len(found("densenet")["rows"]) == 8 and ASKED == [("scores", 0)], "what was measured is not measured again"


def test_a_row_is_the_attack_with_the_images_numbers() -> None:
    some = case("x", Path())
    row = ours("square")
    got = row.run(Job(some, "scores", None, 100, 5, Path()))
    result = bb.attack(
        bb.Oracle(some.net, "scores", 3), some.images, some.labels, "square", some.threat, 100, seed=5, ids=some.ids
    )
    assert (list(got.queries), list(got.found)) == (result.queries.tolist(), result.success.tolist())


def test_a_stale_row_is_told_and_measured_anew_when_asked(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    s = Settings(targets=("resnet20",), only=("scores",), attacks=("theirs",))
    queries.measure(s)
    monkeypatch.setattr("experiments.peers.rows.PEERS", (replace(PEER, settings=lambda data, root: "step 0.1"),))
    queries.measure(s)
    assert "theirs, scores, untargeted, seed 100 is stale: other settings" in capsys.readouterr().out and len(ASKED) == 1
    queries.measure(replace(s, anew=True))
    assert [r["settings"] for r in found("resnet20_peers")["rows"]] == ["step 0.1"] and len(ASKED) == 2


def test_code_that_does_the_same_leaves_no_row_stale(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four rows one differs in an image, one in its settings; the others' first images are the same, and the rest not asked."""
    monkeypatch.setattr(queries, "CHECKED", 3)
    s = Settings(targets=("resnet20",), only=("scores",), attacks=("square", "square p_init 0.05"), seeds=(5, 6))
    queries.measure(s)
    fresh = found("resnet20")
    old = json.loads(json.dumps(fresh))
    for row in old["rows"]:
        row |= {"code": "then", "commit": "earlier"}
    old["rows"][0]["queries"][3] += 1  # behind the images that are asked
    old["rows"][1]["queries"][2] += 1
    old["rows"][2]["settings"] = "other ones"
    path = runner.RESULTS / "queries" / "resnet20.json"
    path.write_text(json.dumps(old))
    queries.measure(replace(s, restamp=True))
    said, now, then = capsys.readouterr().out, found("resnet20")["rows"], {"commit": "earlier", "code": "then"}
    assert "square, seed 6 stays stale: 1 of 3 images come out otherwise" in said
    assert "square, p_init 0.05, seed 5 stays stale: other settings and code" in said
    assert now[1:3] == old["rows"][1:3]
    stamp = {"code": fresh["rows"][0]["code"], "commit": fresh["rows"][0]["commit"]}
    for i in (0, 3):
        assert now[i] == old["rows"][i] | stamp | {"measured": then, "verified": 3}
    now[0] |= {"code": "another"}
    path.write_text(json.dumps({**old, "rows": now}))
    queries.measure(replace(s, restamp=True))
    assert found("resnet20")["rows"][0]["measured"] == then, "on what it was measured stays"


def test_a_command_does_not_write_back_what_another_has_changed() -> None:
    s, key = Settings(targets=("densenet",)), {"attack": "a", "access": "scores", "goal": "untargeted", "seed": 0, "budget": 9}
    first = queries.Shared("queries/densenet", s)
    first.row(lambda: {"queries": [1], "code": "then"}, **key)
    second, third = (queries.Shared("queries/densenet", s) for _ in range(2))
    second.found["rows"][0]["code"] = "now"
    second.own.add(queries.key_of(key))
    second.write()
    third.row(lambda: {"queries": [2]}, **{**key, "attack": "b"})
    assert [r.get("code") for r in found("densenet")["rows"]] == ["now", None]


def test_commands_on_one_target_keep_each_others_rows() -> None:
    s = Settings(targets=("densenet",))
    first, second = (queries.Shared("queries/densenet", s) for _ in range(2))
    key = {"access": "scores", "goal": "untargeted", "seed": 0, "budget": 9}
    for book, name in ((first, "a"), (second, "b"), (first, "c")):
        book.row(lambda: {"queries": [1]}, attack=name, **key)
    assert sorted(r["attack"] for r in found("densenet")["rows"]) == ["a", "b", "c"]


def test_a_trial_has_a_file_of_its_own() -> None:
    queries.measure(Settings(targets=("densenet",), only=("scores",), attacks=("theirs",), images=4, among="jpeg"))
    assert (found("densenet-jpeg-4_peers")["command"]).endswith("--targets densenet --among jpeg --images 4")


def test_nets_that_learned_from_the_images_do_not_attack_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.peers.rows.PEERS", (replace(PEER, prior="two-unseen"), replace(PEER, attack="b", prior="two")))
    queries.measure(Settings(targets=("densenet",), only=("scores",), makers=("peers",), among="jpeg"))
    assert [r["attack"] for r in found("densenet-jpeg_peers")["rows"]] == ["b"]


@pytest.mark.parametrize("out", [Outcome([1, 1001, 1, 1], [True] * 4), Outcome([1] * 3, [True] * 3), Outcome([-1] * 4, [False] * 4)])
def test_a_count_that_cannot_be_is_refused(out: Outcome) -> None:
    with pytest.raises(ValueError, match="Expected from theirs for each of 4 images queries from 0 to 1000"):
        rows.measured(replace(PEER, run=lambda job: out), Job(case("x", Path()), "scores", None, 1000, 0, Path()))


def test_bad_names_are_one_sentence() -> None:
    with pytest.raises(ValueError, match="Expected --attacks to be of square, square p_init 0.05, theirs, but it named squares"):
        queries.measure(Settings(targets=("densenet",), only=("scores",), attacks=("squares",)))
    with pytest.raises(ValueError, match="Expected an access of scores, labels and a goal of untargeted, next class, but x has 'topk'"):
        replace(PEER, attack="x", access="topk")


def test_the_codes_hash_is_of_what_code_does(monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(str(bb.__file__)).parent / "attacks" / "square.py"
    before, read = rows.code("square"), Path.read_text

    def changed(old: str, new: str) -> str:
        monkeypatch.setattr(Path, "read_text", lambda p, **kw: read(p, **kw).replace(old, new) if p == text else read(p, **kw))
        rows.code.cache_clear()
        return rows.code("square")

    assert "0.4" in read(text)
    assert changed("0.4", "0.5") != before
    assert changed("Square Attack (", "Attack (") == before == changed("\n\n\nclass", "\n\n# a comment\nclass")
    rows.code.cache_clear()
    assert len({rows.code(name) for name in ("square", "simba", "hybrid")}) == 3


def test_every_row_of_ours_is_registered_or_to_come() -> None:
    monkeypatched = tuple(queries._ours())
    keys = [(r.attack, r.access, r.goal) for r in monkeypatched]
    assert len(set(keys)) == len(keys)
    assert {r.attack.partition(",")[0] for r in monkeypatched} - set(bb.attacks.names()) <= {"ripples"}
    assert all(set(r.data) <= set(rows.DATA) and (r.prior or "prior" not in r.attack) for r in monkeypatched)
