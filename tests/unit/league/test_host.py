"""What the host lets in, and what it says of a target that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blackbox.league import again
from blackbox.league.admission import check_attack, check_player
from blackbox.league.entry import Entry
from blackbox.oracle import TargetError
from blackbox.serving import Refused
from tests.league_ground import Ground, with_table


@pytest.mark.parametrize(
    ("player", "token"), [("mallory", "\0"), ("mallory", ""), ("me", "\ud800"), ("me", ""), ("me", "secret\0"), ("\ud800", "secret")]
)
def test_nobody_gets_in_without_the_token_of_a_registered_name(player: str, token: str) -> None:
    check_player({"me": "secret"}, "me", "secret")
    with pytest.raises(Refused, match=r"^Expected a (player that the host has registered|name of at most 64)"):
        check_player({"me": "secret"}, player, token)


@pytest.mark.parametrize("name", [" square", "square  x", "a\0", "\ud800", "", "a" * 201])
def test_names_that_look_like_others(name: str) -> None:
    with pytest.raises(Refused, match="with single spaces"):
        check_attack(name, "a" * 64, "Mine()")


@pytest.mark.parametrize("table", [False, True])
def test_rows_of_another_shape_or_type(tmp_path: Path, table: bool) -> None:
    ground = with_table(tmp_path) if table else Ground(tmp_path)
    me, rows = ground.player(), ground.material.levels[:1]
    me.enter(ground.material.hash, "mine", "a" * 64, "Mine()")
    number = me.open(ground.material.hash, "mine", "open", 0)["session"]
    for other in (rows[..., :-1], rows.astype(object), rows.astype(">f8"), rows.astype(np.float32), rows[0]):
        with pytest.raises(Refused, match="Expected images or rows of type .* None was answered"):
            me.ask(number, other[:1], [int(ground.material.ids[0])], [0])
    assert len(me.ask(number, rows, [int(ground.material.ids[0])], [0])["labels"]) == 1


@pytest.mark.parametrize("feedback", ["scores", "labels"])
def test_a_target_that_fails_tells_nothing_and_is_paid_for(
    tmp_path: Path, feedback: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground, calls = Ground(tmp_path, feedback=feedback), []
    submit = ground.targets.submit

    def failing(oracle: Any, images: np.ndarray) -> Any:
        calls.append(len(images))
        if len(calls) in (2, 4):
            raise TargetError("secret-net: no such layer")
        return submit(oracle, images)

    monkeypatch.setattr(ground.targets, "submit", failing)
    entry = ground.play("rays" if feedback == "labels" else "noise")
    assert ground.verify(entry, book=True).refusals == []
    assert again.again(entry, ground.key, ground.material) == []
    assert sum(row.image.rejected for row in Entry.read(entry).rows()) == calls[1] + calls[3]
    assert sum(row.image.queries for row in Entry.read(entry).rows()) == sum(calls)
    assert "secret-net" in caplog.text
    assert not any(b"secret" in path.read_bytes() for path in entry.rglob("*") if path.is_file())


def test_a_target_that_fails_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = Ground(tmp_path)

    def failing(name: str) -> Any:
        raise TargetError("secret-net: no such layer")

    monkeypatch.setattr(ground.targets, "clean", failing)
    with pytest.raises(Refused) as caught:
        ground.play("noise")
    assert str(caught.value) == "Expected the target open to answer, but it failed. The host's log says why." and not caught.value.__cause__
