"""A tariff's limits in the league: held by the server image by image, whether a player sees that it is flagged or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blackbox.league import again, tables
from blackbox.league.account import Account
from blackbox.league.client import Over, Player
from blackbox.league.entry import Entry
from blackbox.league.scenario import read
from blackbox.league.standing import Standing
from blackbox.league.web import server
from blackbox.results import AttackResult
from tests.league_ground import BUDGET, Ground
from tests.served_nets import running

SILENT = 'defences = ["blacklight:window=3"]\n'
LOUD = 'defences = ["blacklight:window=3,action=reject"]\n'
NOISY = 'channels = ["noise:0.02"]\nvotes = 3\n' + SILENT


@pytest.mark.parametrize(
    ("attack", "between", "tariff", "shut"),
    [
        ("square", LOUD, "query = 1, lock_out = 4", False),
        ("nes", SILENT, "query = 1, lock_out = 4", True),
        ("square", NOISY, "query = 1, lock_out = 4", True),
        ("nes", SILENT, "query = 0.1, bad = 0.2, flagged = 0.3, most = 4.2", True),
    ],
)
def test_no_more_is_answered_than_the_tariff_allows(tmp_path: Path, attack: str, between: str, tariff: str, shut: bool) -> None:
    """A silent detector's lock-out ends the image's search, and costs nothing; entry, account and replay count the same."""
    ground = Ground(tmp_path, more=f"tariff = {{{tariff}}}\n{between}")
    entry = ground.play(attack)
    prices = ground.material.scenario.prices
    session = Entry.read(entry).sessions[0]
    assert prices is not None and session.stopped is None
    locked = prices.locked(np.array([image.flagged for image in session.images]))
    for image in session.images:
        assert image.flagged <= (prices.lock_out or BUDGET)
        assert prices.money(image.queries, image.flagged, image.bad) <= (prices.most or np.inf)
    result = AttackResult.load(entry / session.folder / "result")
    assert ("locked_out" in result.config) == shut == ("the target answered no more" in result.summary())
    assert ground.verify(entry, book=True).refusals == [] and again.again(entry, ground.key, ground.material) == []
    scenario = read(entry / "scenario.toml")[0]
    one = Standing.of(Entry.read(entry), scenario)
    head, rows, _ = tables.overall([one])
    if prices.lock_out is not None:
        assert locked.any() and rows[1][head.index("locked out")] == f"{100 * one.locked_out[one.attacked].mean():.0f}\u00a0%"
    else:  # 14 bad queries cost 4.2
        assert session.budget == one.budget == result.config["budget"] == 14 and "queries, failures at 14" in head
        assert (one.costs[(one.first == 0)] == 14).all()


def test_over_http_a_question_too_many_is_refused_with_its_reason(tmp_path: Path) -> None:
    """Those before it in the same call are answered; asked again they are answered again."""
    ground = Ground(tmp_path, more=f"tariff = {{query = 1, lock_out = 2}}\n{SILENT}")
    with running(server(ground.host)) as serving:
        me, m = Player(serving.url, "me"), ground.material
        me.enter(m.hash, "mine", "a" * 64, "Mine()")
        number = me.open(m.hash, "mine", "open", 0)["session"]
        same: list[Any] = [np.repeat(m.levels[:1], 5, 0), [0] * 5, [0, 1, 2, 3, 4]]
        with pytest.raises(Over, match="no more questions about image 0, which is locked out after 2 flagged queries, but there") as caught:
            me.ask(number, *same)
        assert caught.value.over == {0: 3}
        assert me.ask(number, *(each[:3] for each in same))["labels"] == [int(m.labels[0])] * 3
        account = Account.of(me.close(number)["body"])
        assert account.rows == 3 and account.images[0].flagged == 2
