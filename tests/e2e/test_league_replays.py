"""What a replay of the journal shows, and what is claimed of votes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blackbox.league import again, claims
from blackbox.league.account import Question
from blackbox.league.client import LeagueError
from blackbox.league.entry import Entry
from tests.league_ground import Direct, Ground, edit, result

VOTES = {"more": 'channels = ["noise:0.3"]\nvotes = 3', "threat": "linf:80/255", "budget": 60}


class Ended(Direct):
    """A player whose host refuses every call after some; ``instead`` is done then."""

    calls, most = 0, 4
    instead: Any = None

    def ask(self, session: int, images: np.ndarray, ids: list[int], places: list[int]) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= self.most:
            return super().ask(session, images, ids, places)
        if self.instead is not None:
            self.instead(self, session, ids, places)
        raise LeagueError("Expected nothing.")


@pytest.mark.parametrize(
    ("attack", "settings"), [("noise", VOTES), ("square", VOTES), ("boundary", {**VOTES, "feedback": "labels", "threat": "l2:3"})]
)
def test_honest_entries_with_votes(tmp_path: Path, attack: str, settings: dict[str, Any]) -> None:
    ground = Ground(tmp_path, seeds=[0, 1, 2], **settings)
    entry = ground.play(attack)
    assert ground.verify(entry).refusals == []
    assert again.again(entry, ground.key, ground.material) == []
    assert any(row.image.success for row in Entry.read(entry).rows())


def test_a_lucky_answer_that_no_vote_confirmed(tmp_path: Path) -> None:
    """Neither in entry.json alone, nor with the result changed to agree."""
    ground = Ground(tmp_path, seeds=list(range(8)), **VOTES)
    entry = ground.play("noise")
    lucky = (
        (n, i, at)
        for n, (session, game) in enumerate(_games(ground, entry))
        for i, image in enumerate(session.images)
        if image.success
        for at, q in enumerate(game.asked[i], 1)
        if q.hit and at < image.first_success_query
    )
    n, i, at = next(lucky)
    edit(entry, lambda values: values["sessions"][n]["images"][i].update(first_success_query=at))
    refusals = " ".join(ground.verify(entry).refusals)
    assert "at the query that its result has" in refusals and "a majority of 3 votes was complete" in refusals
    result(entry, n, first_success_query=lambda v: v.index_fill(0, torch.tensor([i]), at))
    (refusal,) = ground.verify(entry).refusals
    assert "a majority of 3 votes was complete" in refusal


@pytest.mark.parametrize(
    ("hits", "wins"),
    [("111", 3), ("011", 0), ("1101", 4), ("1001", 0), ("100111", 6), ("0000111", 7), ("101", 0), ("1010", 0), ("11", 0), ("1100", 0)],
)
def test_what_votes_decide(hits: str, wins: int) -> None:
    asked = [Question(n, 0, "p", 0, None, False, False, True, hit == "1") for n, hit in enumerate(hits)]
    assert [n for n in range(len(hits) + 2) if claims.succeeded(asked, n, 3)][:1] == [wins] * (wins > 0)


def _games(ground: Ground, entry: Path) -> list[Any]:
    from blackbox.league.games import accounts_of, game_of

    found = Entry.read(entry)
    pairs = zip(found.sessions, accounts_of(entry, found, ground.key), strict=True)
    return [(session, game_of(entry, session, account)) for session, account in pairs]


@pytest.mark.parametrize("rows", [256, 2])
def test_an_honest_session_that_was_stopped(tmp_path: Path, rows: int) -> None:
    ground = Ground(tmp_path)
    ground.host.max_rows = rows
    entry = ground.play("square", player=Ended(ground.host, "me"))
    assert Entry.read(entry).sessions[0].stopped == "Expected nothing."
    assert ground.verify(entry).refusals == [] and again.again(entry, ground.key, ground.material) == []


def test_questions_made_by_hand_in_a_session_that_was_stopped(tmp_path: Path) -> None:
    """They are refused by the counts; and, where the result is made to agree, by the replay."""
    ground = Ground(tmp_path)

    def by_hand(player: Any, session: int, ids: list[int], places: list[int]) -> None:
        levels = ground.material.levels
        shift = np.where(np.arange(36).reshape(levels.shape[1:]) % 2, 40, -40)
        rows = np.clip(levels[ids].astype(int) + shift, 0, 255).astype(np.uint8)
        player.host.ask(session, **player.who, images=rows, ids=ids, places=places)

    player = Ended(ground.host, "me")
    player.instead = by_hand
    entry = ground.play("square", player=player)
    assert "in the result too, but it has" in " ".join(ground.verify(entry).refusals)
    counts = [image.queries for image in Entry.read(entry).sessions[0].images]
    result(entry, queries=lambda _: torch.tensor(counts))
    assert ground.verify(entry).refusals == []
    (said,) = again.again(entry, ground.key, ground.material)
    assert ("Expected question" in said and "asks another" in said) or "Expected the source to ask" in said


def test_an_example_that_the_source_did_not_find(tmp_path: Path) -> None:
    """A later hit of the same call, which the engine does not credit."""
    ground = Ground(tmp_path, threat="linf:120/255")
    entry = ground.play("bandits")
    ((session, game),) = _games(ground, entry)
    later, i = next(
        (at, i)
        for i, image in enumerate(session.images)
        for at, q in enumerate(game.asked[i], 1)
        if q.hit and image.success and at > image.first_success_query
    )
    result(entry, first_success_query=lambda v: v.index_fill(0, torch.tensor([i]), later))
    edit(entry, lambda values: values["sessions"][0]["images"][i].update(first_success_query=later))
    assert ground.verify(entry).refusals == []
    (said,) = again.again(entry, ground.key, ground.material)
    assert "that the source finds, but the entry claims another" in said


MEMORY = """
from dataclasses import dataclass
from blackbox.attacks.square import Square
SEEN = []
@dataclass(frozen=True)
class Mine(Square):
    def init(self, t):
        SEEN.append(1)
        return super().init(t)
    def step(self, t, s, k):
        return super().step(t, s, k + 7 * (len(SEEN) > 1))
"""


def test_a_source_that_remembers_from_session_to_session(tmp_path: Path) -> None:
    """Each session is played again in a process of its own: the first asks the same there, the second another."""
    ground = Ground(tmp_path, seeds=[0, 1])
    (mine := tmp_path / "mine.py").write_text(MEMORY)
    entry = ground.play(f"{mine}:Mine", "lucky", name="lucky")
    assert ground.verify(entry).refusals == []
    (said,) = again.again(entry, ground.key, ground.material)
    assert "--attack FILE.py:NAME" in said
    (said,) = again.again(entry, ground.key, ground.material, f"{mine}:Mine")
    assert said.startswith("open, seed 1: Expected question") and "the source asks another" in said


THEIRS = """
import random
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import torch
import blackbox as bb
from blackbox.per_image import PerImage
@dataclass(frozen=True)
class Theirs(PerImage):
    '''As a toolkit has it: it draws from generators that are everybody's.'''
    access = bb.Access.SCORES
    norms = ("Linf",)
    def search(self, model, x, y, job):
        rng = np.random.RandomState()
        for _ in range(job.budget):
            z = x + job.threat.eps * (2 * torch.rand(2, *x.shape[1:]).round() - 1) * random.random()
            model(z if rng.rand() < 0.9 else x)
"""


def test_another_toolkits_attack(tmp_path: Path) -> None:
    """Its questions are those of the journal; of one that took a hint, which is gone, they are not; an edited source is another."""
    ground = Ground(tmp_path, threat="linf:25/255")
    (mine := tmp_path / "theirs.py").write_text(THEIRS)
    entry = ground.play(f"{mine}:Theirs")
    found = [row.image for row in Entry.read(entry).rows()]
    assert any(image.success for image in found) and any(image.queries == ground.material.scenario.budget for image in found)
    assert ground.verify(entry, book=True).refusals == [] and again.again(entry, ground.key, ground.material, f"{mine}:Theirs") == []

    mine.write_text(THEIRS.replace("random.random()", "(random.random() + Path(__file__).with_name('hint').exists())"))
    (said,) = again.again(entry, ground.key, ground.material, f"{mine}:Theirs")
    assert said.startswith("Expected the source that was entered")
    (hint := tmp_path / "hint").touch()
    told = ground.play(f"{mine}:Theirs", "told", name="told")
    assert ground.verify(told).refusals == []
    hint.unlink()
    (said,) = again.again(told, ground.key, ground.material, f"{mine}:Theirs")
    assert "Expected question" in said and "the source asks another" in said


def test_settings_that_were_not_signed(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    entry = ground.play("square", settings=["p_init=0.3"])
    assert again.again(entry, ground.key, ground.material) == []
    for settings, reason in ((["p_init=0.5"], "Expected the settings that were signed"), (["nothing=1"], "can be made again")):
        edit(entry, lambda values, settings=settings: values.update(settings=settings))
        (said,) = again.again(entry, ground.key, ground.material)
        assert reason in said
