"""Scenarios with a goal that is no class: honest entries are taken and play again; what does not fit is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blackbox as bb
from blackbox.league import again, tables
from blackbox.league.account import Account, Question
from blackbox.league.entry import Entry
from blackbox.league.host import Host
from blackbox.league.standing import Standing
from blackbox.league.told import of_scenario
from tests.league_ground import BUDGET, COUNT, DODGE, Ground, with_goal


@pytest.mark.parametrize(
    ("goal", "feedback", "attack", "settings"),
    [
        ("none-of:label", "labels", "rays", {}),
        ("none-of:0,2", "scores", "square", {}),
        ("none-of:label top 2", "topk:2", "square", {}),
        ("any-of:1", "scores", "ripples", {"channels": ["noise:0.001"], "votes": 3}),
        (DODGE, "answers", "square", {}),
        ("own.py:far", "answers", "noise", {"defences": ["blacklight:window=3,threshold=3,kept=6"]}),
    ],
)
def test_honest_entries_are_taken(tmp_path: Path, goal: str, feedback: str, attack: str, settings: dict[str, Any]) -> None:
    ground = with_goal(tmp_path, goal, feedback, **settings)
    entry = ground.play(attack)
    verdict = ground.verify(entry, book=True)
    assert verdict.refusals == []
    rows = list(Entry.read(entry).rows())
    assert any(row.image.success for row in rows) or attack == "noise"
    assert sum(row.image.queries for row in rows) == ground.host.answered
    assert rows[0].session.goal == ground.targets.judge("open").words()["goal"] != ""
    if "channels" not in settings:
        assert again.again(entry, ground.key, ground.material, data=str(tmp_path)) == []
        assert verdict.checked == sum(row.image.success for row in rows)


def test_the_same_result_as_without_a_league(tmp_path: Path) -> None:
    """Answers of any form reach the player bit for bit."""
    ground = with_goal(tmp_path, DODGE, "answers")
    entry, m = ground.play("square"), ground.material
    target = ground.targets._models["open"].model
    plain = bb.attack(
        bb.Oracle(bb.targets.EightBit(target), "answers", 3), m.levels / 255, None, "square", m.threat, BUDGET, goal=m.goal, ids=m.ids
    )
    images = Entry.read(entry).sessions[0].images
    assert [image.success for image in images] == plain.success.tolist() and any(plain.success.tolist())
    assert [image.queries for image in images] == plain.queries.tolist()


def test_images_that_are_there_already_are_not_attacked(tmp_path: Path) -> None:
    ground = with_goal(tmp_path, "none-of:0", "labels")
    clean = ground.targets.clean("open").label.tolist()
    entry = ground.play("rays")
    assert [image.attacked for image in Entry.read(entry).sessions[0].images] == [label == 0 for label in clean]
    account = Account.of(json.loads((entry / "open-0" / "account.json").read_text())["body"])
    assert [image.unreached for image in account.images] == [label == 0 for label in clean] and len(clean) == COUNT
    assert account.about["goal"] == "class 0 is not the first"


def test_answers_of_any_form_are_kept_in_the_journal_and_sent() -> None:
    from blackbox.league.client import Player
    from blackbox.league.web import LeagueHandler

    answer = {"boxes": np.arange(4, dtype=np.float64).reshape(1, 4) / 3, "label": "cat", "score": float("nan")}
    one = Question(0, 7, "p", -1, None, False, False, True, True, answer)
    line = one.line()
    back = Question.read(line)
    assert back.line() == line and back.answer["label"] == "cat" and back.hit
    assert back.answer["boxes"].dtype == np.float64 and (back.answer["boxes"] == answer["boxes"]).all()

    class Hosting(Host):
        def __init__(self) -> None: ...

        def images(self, **who: Any) -> np.ndarray:  # type: ignore[override]
            return np.zeros((1, 1, 2, 2), np.uint8)

        def ask(self, **given: Any) -> list[Question]:  # type: ignore[override]
            return [back, back._replace(answer=None, rejected=True)]

    sent = json.dumps(LeagueHandler._ask(LeagueHandler.__new__(LeagueHandler), Hosting(), "AAAAAAAAAAA=", [7, 7], [0, 1]))
    player = Player.__new__(Player)
    player._post = lambda verb, **values: json.loads(sent)  # type: ignore[method-assign]
    said = player.ask(0, np.zeros((2, 1, 2, 2), np.uint8), [7, 7], [0, 1])
    assert said["answers"][1] is None and (said["answers"][0]["boxes"] == answer["boxes"]).all() and said["scores"] is None


def test_a_target_whose_answers_the_goal_cannot_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are charged, and count as rejected, as those of a target that fails."""
    ground, calls = with_goal(tmp_path, DODGE, "answers"), []
    submit = ground.targets.submit

    def odd(oracle: Any, images: np.ndarray) -> Any:
        calls.append(len(images))
        reply = submit(oracle, images)
        if len(calls) == 2:
            reply.answers[0] = object()
        return reply

    monkeypatch.setattr(ground.targets, "submit", odd)
    entry = ground.play("noise")
    assert ground.verify(entry, book=True).refusals == [] and again.again(entry, ground.key, ground.material, data=str(tmp_path)) == []
    assert sum(row.image.rejected for row in Entry.read(entry).rows()) == calls[1]


@pytest.mark.parametrize(
    ("goal", "feedback", "more", "said"),
    [
        ("nonof:3", "scores", {}, "Did you mean 'none-of'"),
        ("none-of:", "scores", {}, "Expected a goal none-of:3,5 top 5"),
        ("none-of:0", "scores", {"targeted": "1"}, "but both were given. any-of:1 is the goal to reach it"),
        ("none-of:0 top 2", "labels", {}, "topk:2 at least, scores or logits for a goal about the first 2, but it was labels"),
        ("none-of:0 top 3", "topk:2", {}, "topk:3 at least"),
        (DODGE, "scores", {}, "Expected feedback of answers for the goal verification, but it was scores"),
        ("none-of:0", "answers", {}, "Expected feedback of labels, topk:K, scores or logits for the goal none-of, but it was answers"),
        ("own.py:far", "answers", {"channels": ["round:2"]}, "changes scores of classes"),
        ("own.py:far", "answers", {"channels": ["labels"]}, "Expected --access labels"),
        ("verification:lost.npy;threshold=0.3", "answers", {}, "a file of the references of --goal at lost.npy, but there is none"),
        ("verification:images.npz;threshold=0.3", "answers", {}, "as a .npy file, one array"),
        ("verification:clean.npy;thresold=0.3", "answers", {}, "a setting of --goal verification to be one of threshold"),
        ("none-of:cat", "scores", {}, "a class of --goal to be one of 0, 1, 2"),
        ("none-of:0,1,2", "scores", {}, "at least k=1 classes outside the set"),
        ("own.py:near", "answers", {}, "near"),
        ("lost.py:far", "answers", {}, "lost.py"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(tmp_path: Path, goal: str, feedback: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match="^Expected ") as caught:
        with_goal(tmp_path, goal, feedback, **more)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_answers_without_a_goal(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected a goal with feedback of answers, which nothing else reads: multilabel, regression"):
        Ground(tmp_path, feedback="answers")


def test_a_goal_in_a_file_of_ones_own_and_other_feedback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected feedback of answers for the goal own.py:far, but it was scores"):
        with_goal(tmp_path, "own.py:far", "scores")


def test_an_attack_that_the_goal_shows_too_little(tmp_path: Path) -> None:
    ground = with_goal(tmp_path, "none-of:0", "labels")
    with pytest.raises(ValueError, match="gets by with labels for tiny, but square needs"):
        ground.play("square")
    (tmp_path / "yes").mkdir()
    yes = with_goal(tmp_path / "yes", "own.py:unlikely", "answers")  # yes or no
    with pytest.raises(ValueError, match="gets by with labels for tiny, but square needs"):
        yes.play("square")


def test_what_is_shown_of_a_scenario(tmp_path: Path) -> None:
    ground = with_goal(tmp_path, DODGE, "answers")
    assert "no longer taken for the reference (euclidean distance, threshold 0.25)" in of_scenario(str(ground.scenario), str(tmp_path))[0]


def test_the_tables_say_the_goal(tmp_path: Path) -> None:
    ground = with_goal(tmp_path, "none-of:0,1", "scores")
    one = Standing.of(Entry.read(ground.play("noise")), ground.material.scenario)
    _, rows, caption = tables.overall([one])
    assert caption.startswith("Goal: none of the classes 0, 1 is the first. linf:40/255, ")
    assert rows[0][0] == "no attack: at the goal already"
    assert "images that did not reach the goal as they are" in caption and "had right" not in caption + " ".join(tables.reading([one]))
    assert ["goal, in words", "none of the classes 0, 1 is the first"] in tables.facts(one) and ["goal", "none-of:0,1"] in tables.facts(one)
