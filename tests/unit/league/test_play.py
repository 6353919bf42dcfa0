"""Play and verify: honest entries are taken, whatever the attack, feedback and threat; a restart changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import blackbox as bb
from blackbox.league import again, source
from blackbox.league.entry import Entry
from blackbox.serving import Refused
from tests.league_ground import BUDGET, COUNT, Ground


@pytest.mark.parametrize(
    ("attack", "settings"),
    [
        ("square", {}),
        ("noise", {"seeds": [0, 4]}),
        ("rays", {"feedback": "labels"}),
        ("square", {"more": 'defences = ["blacklight:window=3,threshold=3,kept=6"]'}),
        ("square", {"more": 'channels = ["noise:0.001"]\nvotes = 3'}),
        ("ripples", {"threat": "l2:0.8", "feedback": "topk:2"}),
    ],
)
def test_honest_entries_are_taken(tmp_path: Path, attack: str, settings: dict[str, Any]) -> None:
    ground = Ground(tmp_path, **settings)
    entry = ground.play(attack)
    verdict = ground.verify(entry, book=True)
    assert verdict.refusals == []
    found = Entry.read(entry)
    assert found.attack == attack and all(len(s.images) == COUNT for s in found.sessions)
    assert sum(row.image.queries for row in found.rows()) == ground.host.answered
    if "noise:" not in str(settings):
        assert again.again(entry, ground.key, ground.material) == []


def test_the_same_result_as_without_a_league(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    entry = ground.play("square")
    m = ground.material
    plain = bb.attack(
        bb.Oracle(bb.targets.EightBit(ground.targets.oracle("open", 0)._Oracle__target), "scores", 3), m.levels / 255, m.labels, "square",  # type: ignore[attr-defined]
        m.threat, BUDGET, ids=m.ids,
    )  # fmt: skip
    images = Entry.read(entry).sessions[0].images
    assert [image.success for image in images] == plain.success.tolist()
    assert [image.queries for image in images] == plain.queries.tolist()


def test_a_session_goes_on_after_a_restart_and_is_not_charged_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blackbox.league.host.secrets.randbits", lambda bits: 7)  # the detector's seed, the same in both sessions
    ground = Ground(tmp_path, more='defences = ["blacklight:window=3,threshold=3,kept=6"]')
    player = ground.player()
    ask, calls = player.ask, []

    def dying(session: int, *rest: Any) -> Any:
        calls.append(1)
        if len(calls) in (3, 6):  # the answer is in the book, and is lost on the way; then the server is another
            ask(session, *rest)
            player.host = ground.begin()
        return ask(session, *rest)

    player.ask = dying
    entry = ground.play("square", player=player)
    assert ground.verify(entry, book=True).refusals == []
    straight = ground.play("square", "other", ground.player("you"))
    one, two = (Entry.read(path).sessions[0] for path in (entry, straight))
    assert [i.model_copy(update={"seconds": 0}) for i in one.images] == [i.model_copy(update={"seconds": 0}) for i in two.images]
    assert json.loads(json.loads((entry / "open-0" / "account.json").read_text())["body"])["restarts"] == 2
    assert sum(i.flagged for i in one.images) > 0


def test_the_same_command_goes_on_where_it_was(tmp_path: Path) -> None:
    ground = Ground(tmp_path, seeds=[0, 1])
    first = ground.play("square")
    before = Entry.read(first)
    answered = ground.host.answered
    (first / "entry.json").unlink()  # killed after the server had closed the sessions
    assert Entry.read(ground.play("square")) == before and ground.host.answered == answered


def test_what_the_server_refuses(tmp_path: Path) -> None:
    ground = Ground(tmp_path, queries="inside")
    me, m = ground.player(), ground.material
    with pytest.raises(Refused, match="entered before a target is opened"):
        me.open(m.hash, "mine", "open", 0)
    me.enter(m.hash, "mine", "a" * 64, "Mine()")
    with pytest.raises(Refused, match="A change is another attack"):
        me.enter(m.hash, "mine", "b" * 64, "Mine()")
    with pytest.raises(Refused, match="the same to the byte"):
        me.enter("0" * 64, "mine", "a" * 64, "Mine()")
    session = me.open(m.hash, "mine", "open", 0)["session"]
    me.ask(session, m.levels[:2], m.ids[:2].tolist(), [0, 0])
    assert me.ask(session, m.levels[:1], m.ids[:1].tolist(), [0])["labels"] == [int(m.labels[0])]  # again, for nothing
    assert ground.host.answered == 2
    for images, sample, at, match in (
        (m.levels[1:2], 0, 0, "is another"), (m.levels[:1], 0, 2, "Expected question 1"), (m.levels[:1], 99, 0, "99 is none of them"),
        (255 - m.levels[:1], 0, 1, "inside linf:40/255"),
    ):  # fmt: skip
        with pytest.raises(Refused, match=match):
            me.ask(session, images, [sample], [at])
    with pytest.raises(Refused, match="at most 30 queries"):
        me.ask(session, m.levels[[1] * BUDGET], [1] * BUDGET, list(range(1, BUDGET + 1)))
    assert ground.host.answered == 2
    with pytest.raises(Refused, match="a session that this player has opened"):
        ground.player("you").ask(session, m.levels[:1], [0], [1])
    me.close(session)
    with pytest.raises(Refused, match="no second draw"):
        me.ask(session, m.levels[:1], [0], [1])


def test_the_source_of_an_attack(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("EPS = 1\n")
    mine = tmp_path / "mine.py"
    mine.write_text("from blackbox.attacks.square import Square\nfrom helper import EPS\nclass Mine(Square):\n    pass\n")
    found = source.texts(f"{mine}:Mine")
    assert {"mine.py", "helper.py", "blackbox.attacks.square", "blackbox.proposals.squares"} <= set(found)
    before = source.digest(found)
    source.write(found, tmp_path / "kept")
    assert source.read(tmp_path / "kept") == found
    (tmp_path / "helper.py").write_text("EPS = 2\n")
    assert source.digest(source.texts(f"{mine}:Mine")) != before


def test_surrogates_that_do_not_fit_the_attack_are_refused_before_it_is_entered(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    with pytest.raises(ValueError, match=r"^Expected surrogates with an attack that takes a prior, .*, but square takes none\.$"):
        ground.play("square", surrogates=["twin"])
    with pytest.raises(ValueError, match=r"^Expected a prior for hybrid"):
        ground.play("hybrid")
    assert not (tmp_path / "entry").exists() and ground.book.sessions() == []


def test_an_entry_that_the_server_refused_leaves_no_folder(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    player = ground.player()

    def refuse(*given: Any) -> None:
        raise Refused(403, "Expected another name.")

    player.enter = refuse
    with pytest.raises(Refused):
        ground.play(player=player)
    assert not (tmp_path / "entry").exists()
