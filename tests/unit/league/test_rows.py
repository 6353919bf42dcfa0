"""Scenarios over rows of a table: carried to the bit, each query a valid row; what is none is refused, asked or claimed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.league import again
from blackbox.league.client import LeagueError, Player
from blackbox.league.entry import Entry
from blackbox.league.scenario import read
from blackbox.league.told import of_scenario
from blackbox.league.verify import verify
from blackbox.league.web import server
from blackbox.results import AttackResult
from tests.league_ground import BUDGET, Ground, result, with_table
from tests.served_nets import running


@pytest.mark.parametrize(
    ("attack", "settings"),
    [("square", {}), ("pointwise", {"feedback": "labels"}), ("noise", {"queries": "inside", "more": "tariff = {query = 1, most = 9}"})],
)
def test_honest_entries_are_taken_and_are_those_without_a_league(tmp_path: Path, attack: str, settings: dict[str, Any]) -> None:
    ground = with_table(tmp_path, **settings)
    entry, m = ground.play(attack), ground.material
    assert ground.verify(entry, book=True).refusals == [] == again.again(entry, ground.key, m)
    made = AttackResult.load(entry / "open-0" / "result")
    assert m.table is not None and made.x_adv.dtype == torch.float64 and m.table.valid(made.x_adv, m.levels).all()
    if attack != "noise":
        oracle = bb.Oracle(ground.targets._models["open"].model, m.scenario.attacker.feedback, 2)
        plain = bb.attack(oracle, m.levels, m.labels, attack, m.threat, BUDGET, ids=m.ids, table=m.table)
        assert plain.success.any() and made.queries.equal(plain.queries) and made.x_adv.equal(plain.x_adv)
        assert made.distance.nan_to_num(-1).equal(plain.distance.nan_to_num(-1))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return with_table(tmp_path_factory.mktemp("rows"))


def test_a_row_that_is_none_is_not_answered_over_http(ground: Ground) -> None:
    with running(server(ground.host)) as serving:
        m, me = ground.material, Player(serving.url, "me")
        me.enter(m.hash, "mine", "a" * 64, "Mine()")
        number = me.open(m.hash, "mine", "open", 0)["session"]
        clean = me.images(number)
        assert clean.dtype == np.float64 and np.array_equal(clean, m.levels)
        for column, value in ((2, clean[0, 2] + 0.5), (0, clean[0, 0] - 0.1), (1, clean[0, 1] + 1), (3, np.nan), (4, 1 - clean[0, 4])):
            row = clean[:1].copy()
            row[0, column] = value
            with pytest.raises(LeagueError, match="Expected what a row of the table may be, but row 0, about image 0, is not"):
                me.ask(number, row, [int(m.ids[0])], [0])
        assert me.ask(number, clean[:1], [int(m.ids[0])], [0])["labels"] == [int(m.labels[0])]


def test_a_claim_that_is_no_row_is_refused(ground: Ground, tmp_path: Path) -> None:
    entry = ground.play("square", "claims", ground.player("you"))
    i = next(i for i, image in enumerate(Entry.read(entry).sessions[0].images) if image.success)

    def change(x: torch.Tensor) -> torch.Tensor:
        x[i, 2] += 0.25  # an area is whole
        return x

    result(entry, x_adv=change)
    assert f"the example of image {ground.material.ids[i]} to be what a row of the table may be" in " ".join(ground.verify(entry).refusals)
    result(entry, x_adv=torch.Tensor.float)
    assert "Expected examples of type float64, but they are float32" in " ".join(ground.verify(entry).refusals)
    other = replace(ground.material, table=bb.Tabular.from_data(ground.material.levels))
    refusals = verify(entry, ground.key, material=other).refusals
    assert "Expected what a row of the table may be as the scenario" in " ".join(refusals)


def test_what_a_scenario_of_rows_cannot_have(ground: Ground, tmp_path: Path) -> None:
    assert "5 rows of csv:rows.csv" in of_scenario(str(ground.scenario), str(ground.folder))[0]
    text = ground.scenario.read_text()
    for old, new, said in (
        ("[images]", 'mask = "mask.npy"\n[images]', "no mask and no surrogates with rows of a table, but there was a mask"),
        ("[attacker]", '[[surrogates]]\nname = "a"\nmodel = "one.py:answer"\n[attacker]', "but there was surrogates"),
    ):
        (tmp_path / "s.toml").write_text(text.replace(old, new, 1))
        with pytest.raises(ValueError, match=said):
            read(tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text(text.replace('table = "rules.toml"\n', ""))
    with pytest.raises(ValueError, match="Expected --table FILE.toml, what a row may be"):
        of_scenario(str(tmp_path / "s.toml"), str(ground.folder))
