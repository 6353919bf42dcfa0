"""The table of the league: what it shows follows from the entries, image by image; an entry that is refused is in none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blackbox import statistics as stats
from blackbox.cli import league_table
from blackbox.cli.exits import GATE, Exit
from blackbox.league import draws, tables
from blackbox.league.entry import Entry, Image, Session
from blackbox.league.scenario import Scenario
from blackbox.league.site import Played, Site, names_of
from blackbox.league.standing import Standing, difference, overfitting, virtual_best
from tests.league_ground import Ground, edit

COUNT, BUDGET = 40, 60
SCENARIO = Scenario(
    name="made", images={"data": "digits", "n": COUNT}, threat="linf:8/255", budget=BUDGET, seeds=[0, 1],  # type: ignore[arg-type]
    targets=[{"name": "open", "model": "digits:mlp"}, {"name": "kept", "sealed": True}],  # type: ignore[list-item]
    attacker={"access": "queries", "feedback": "scores", "quality": "same", "quantity": 900},  # type: ignore[arg-type]
    tariff={"query": 0.5, "flagged": 2, "gradient": 0.25, "label": 0.125},
)  # fmt: skip


def entry(attack: str, first: np.ndarray, floor: bool = False, **more: Any) -> Entry:
    """An entry with these queries of the first success [targets, seeds, N], 0 for none; every tenth image is wrong as it is."""
    sessions = []
    for t, target in enumerate(SCENARIO.targets):
        for seed in SCENARIO.seeds:
            images = []
            for i, k in enumerate(first[t, seed].tolist()):
                right = i % 10 > 0
                won = right and k > 0
                asked = 1 if not right else k if won else BUDGET - 7  # a failure that gave up
                images.append(
                    Image(image=i, label=0, attacked=right, success=won, queries=asked, first_success_query=k if won else 0,
                          flagged=asked // 20, rejected=asked // 30, gradients=4.0 if more.get("surrogates") else 0.0, seconds=0.5)
                )  # fmt: skip
            where = {"target": target.name, "sealed": target.sealed, "seed": seed, "folder": f"{target.name}-{seed}"}
            sessions.append(Session(**where, budget=BUDGET, key="k", images=images))
    return Entry(attack=attack, parameters=attack.title(), source="a" * 64, floor=floor, player="me", scenario="made",
                 scenario_hash="b" * 64, sessions=sessions, **more)  # fmt: skip


def drawn(share: float, sealed: float, seed: int) -> np.ndarray:
    """Queries of the first success, such that so many succeed on the open and on the sealed target."""
    rng = np.random.default_rng(seed)
    queries = rng.integers(2, BUDGET + 1, (2, 2, COUNT))
    return np.where(rng.random((2, 2, COUNT)) < np.array([share, sealed])[:, None, None], queries, 0)


OWN, SQUARE = drawn(0.9, 0.5, 1), drawn(0.6, 0.6, 2)
ENTRIES = [entry("own", OWN, surrogates=["net"], labels=8), entry("square", SQUARE, True), entry("noise", 0 * SQUARE, True)]
FOUND = [Standing.of(each, SCENARIO) for each in ENTRIES]
RIGHT = np.arange(COUNT) % 10 > 0


def test_columns_follow_from_the_images() -> None:
    one, floor, _ = FOUND
    hits = (OWN > 0) & (OWN <= 50) & RIGHT
    assert one.success(50) == stats.rate_estimate(hits.reshape(4, COUNT)[:, RIGHT])
    costs = np.where(OWN > 0, OWN, BUDGET).reshape(4, COUNT)[:, RIGHT].astype(float)
    assert one.queries().value == pytest.approx(costs.mean()) and one.queries().n == RIGHT.sum() == 36
    assert one.clean_error().value == 0.1
    assert one.anytime().value == pytest.approx(one.success(BUDGET).value)
    assert one.anytime().low < one.success(BUDGET).low and one.success(BUDGET).high < one.anytime().high
    asked = np.where(RIGHT, np.where(OWN > 0, OWN, BUDGET - 7), 1)
    assert one.bill().total == 0.5 * asked.sum() + 2 * (asked // 20).sum() + 0.25 * 4 * 4 * COUNT + 0.125 * 8
    saved = difference(one, floor).saved
    assert saved.value == pytest.approx((floor.costs - one.costs)[one.attacked].mean())
    gap = overfitting(one).value
    assert gap == pytest.approx(hits_share(OWN[0]) - hits_share(OWN[1])) and overfitting(floor).low < 0 < overfitting(floor).high
    best = virtual_best(FOUND)
    assert best.success.value >= max(s.success(BUDGET).value for s in FOUND) and best.quickest["noise"].value == 0


def test_seeds_of_one_image_are_no_images() -> None:
    """The same outcome with three seeds says no more than with one: every interval is over images."""
    once = [one.on(lambda s: s.seed == 0) for one in FOUND[:2]]
    thrice = [Standing(one.entry, one.scenario, [session for session in one.sessions for _ in range(3)]) for one in once]
    assert [one.attacked.shape for one in (*once, *thrice)] == [(2, COUNT)] * 2 + [(6, COUNT)] * 2
    for a, b in zip(once, thrice, strict=True):
        for kind in ("queries", "anytime", "clean_error"):
            assert alike(getattr(a, kind)(), getattr(b, kind)()), kind
        assert alike(a.success(BUDGET), b.success(BUDGET)) and alike(overfitting(a), overfitting(b))
    one, three = difference(*once), difference(*thrice)
    assert alike(one.saved, three.saved) and alike(one.gained, three.gained) and one.p == three.p
    other = [one.on(lambda s: s.seed == 1) for one in FOUND[:2]]
    assert FOUND[0].queries().value == pytest.approx((once[0].queries().value + other[0].queries().value) / 2)


def alike(a: stats.Estimate, b: stats.Estimate) -> bool:
    """Nearly the same: the interval of a rate takes seeds as draws of their own where it knows least. Were seeds images, it would be
    narrower by two fifths."""
    near = 0.05 * (a.high - a.low)
    return a.n == b.n and all(abs(x - y) <= near for x, y in zip((a.value, a.low, a.high), (b.value, b.low, b.high), strict=True))


def hits_share(first: np.ndarray) -> float:
    return float((first[:, RIGHT] > 0).mean())


def test_p_is_corrected_for_every_test_of_the_table() -> None:
    pairs = tables.compared(FOUND)
    assert [(a.name, b.name) for a, b, _ in pairs] == [("own", "square"), ("own", "noise")]
    plain = [difference(FOUND[0], floor).p for floor in FOUND[1:]]
    assert [d.p for *_, d in pairs] == stats.holm(plain).tolist() and all(d.tests == 2 for *_, d in pairs)


def test_the_site_has_a_page_a_scenario_and_a_page_an_attack(tmp_path: Path) -> None:
    played, options = [Played(e, SCENARIO, 3, folder=f"e/{e.attack}") for e in ENTRIES], ["--key", "k", "--sealed", "s", "--data", "d"]
    pages = Site(played, {"cheat": ["It was edited."]}, "key1", "blackbox league table", options, "d").write(tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in pages] == [
        "index.html", "scenarios/made.html", "attacks/noise.html", "attacks/own.html", "attacks/square.html",
    ]  # fmt: skip
    for page in pages:
        for link in re.findall(r'href="([^"#]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / link).is_file(), f"{page} links to {link}"
        told = page.with_suffix(".md").read_text(encoding="utf-8")
        assert ("![Success against queries](" in told) == (page.parent.name != "attacks")
        for link in re.findall(r"\]\(([^)]+)\)", told):
            assert (page.parent / link).is_file(), f"{page.with_suffix('.md')} links to {link}"
    index = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert "**made: own needs the fewest queries, " in index and "points, beside square " in index
    assert "\n\nNo description. Goal: any wrong class.\n" in index and "Of the images that the targets had right; seeds" in index
    assert "below 100, intervals of means may be too short" in index and "It was edited." in index and "without the floor" not in index
    head, *rows = [line for line in index.splitlines() if line.startswith("|")][:8]
    assert [row.split("|")[1].strip() for row in rows] == [
        ":--", "no attack: clean error", "square (floor)", "noise (floor)", "own", "virtual best", "Attack",
    ]  # fmt: skip
    names = "fooled within 10|fooled within 60|at any time|public − sealed (overfitting)|flagged|money (spent)|gradients|seconds"
    for column in names.split("|"):
        assert column in head
    facts = (tmp_path / "scenarios" / "made.md").read_text(encoding="utf-8")
    for said in ("attacker: quality | same", "attacker: quantity | 900", "threat | linf:8/255", "tariff | query: 0.5; flag", "b" * 64):
        assert said in facts
    own = (tmp_path / "attacks" / "own.md").read_text(encoding="utf-8")
    command = "blackbox league run FILE.py:own --scenario e/own/scenario.toml --server ADDRESS --player PLAYER --surrogate net --labels 8"
    assert f"{command} --data d --out FOLDER\nblackbox league verify e/own --key k --sealed s --data d" in own and "| labels bought" in own
    kept = json.loads((tmp_path / "table.json").read_text())["scenarios"][0]["entries"]
    assert kept[2]["sessions"][0]["first_success_query"] == [s.first_success_query for s in ENTRIES[0].sessions[0].images]
    assert kept[2]["shown"]["queries"][0] == FOUND[0].queries().value


def test_players_of_one_attack_are_told_apart(tmp_path: Path) -> None:
    pages = Site([Played(e, SCENARIO) for e in (ENTRIES[1], ENTRIES[1].model_copy(update={"player": "bob"}))]).write(tmp_path)
    assert sorted(p.stem for p in pages if p.parent.name == "attacks") == ["square--bob", "square--me"]
    index = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert "| square (bob) (floor) |" in index and "| square (me) (floor) |" in index and "floor square" not in index
    entered = {("square", "me"), ("square", "bob"), ("square (bob)", "eve"), ("own", "me")}
    assert set(names_of(entered).values()) == {"square (me)", "square (bob)", "square (bob) 2", "own"}


def test_what_cannot_stand_in_one_table() -> None:
    with pytest.raises(ValueError, match="'own' is there twice"):
        Site([Played(ENTRIES[0], SCENARIO)] * 2).write(Path())
    fewer = ENTRIES[1].model_copy(update={"sessions": ENTRIES[1].sessions[:3]})
    with pytest.raises(ValueError, match="the same targets, seeds and images, but they differ"):
        Site([Played(ENTRIES[0], SCENARIO), Played(fewer, SCENARIO)]).write(Path())
    with pytest.raises(ValueError, match="at least one verified entry"):
        Site([]).write(Path())
    with pytest.raises(ValueError, match="prices .query.*flaged.. Did you mean 'flagged'"):
        Scenario(**{**SCENARIO.model_dump(), "tariff": {"flaged": 1}})


def test_a_refused_entry_is_named_and_in_no_table(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    entries = [str(ground.play(name, name)) for name in ("square", "noise")]
    cheat = Path(ground.play("ripples", "cheat"))
    edit(cheat, lambda values: values["sessions"][0]["images"][0].update(queries=2))

    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "scenario.toml").touch()

    def table(*folders: str, out: str = "site") -> None:
        league_table.run([*folders], str(tmp_path / out), str(ground.public), None, None, False, str(tmp_path), quiet=True)

    with pytest.raises(Exit, match="cheat is refused:\n  open, seed 0: Expected .* queries of image 0") as refused:
        table(*entries, str(cheat), str(begun))
    assert refused.value.code == GATE
    index = (tmp_path / "site" / "index.md").read_text(encoding="utf-8")
    assert "| cheat | open, seed 0" in index and "begun" not in index and "ripples" not in index and "| square" in index
    with pytest.raises(Exit, match="nothing was written"):
        table(str(cheat), out="none")
    assert not (tmp_path / "none").exists()


def numbered(attack: str, earlier: int, **more: Any) -> Standing:
    """An entry whose player had opened so many sessions before."""
    one = entry(attack, OWN)
    sessions = [s.model_copy(update={"earlier": earlier}) for s in one.sessions]
    return Standing.of(one.model_copy(update={"sessions": sessions, "source": f"{len(attack)}", **more}), SCENARIO)


def test_earlier_sessions_are_another_draw_only_of_the_same_attack() -> None:
    found = [numbered("a", 0), numbered("bb", 1), numbered("a p=1", 2, parameters="A(p=1)"), numbered("ccc", 1, player="you")]
    found[0] = numbered("a", 0, parameters="A(p=0)")
    assert [draws.others(s, found) for s in found] == [False, True, True, False]
    assert [draws.again(s, found) for s in found] == [0, 0, 1, 1], "what is not in the table may be the same attack"
    line = next(line for line in tables.reading(found) if line.startswith("The players of"))
    assert "of bb, a p=1 had opened earlier sessions on the same targets, with other attacks" in line


def test_columns_that_are_0_for_all_are_left_out() -> None:
    bare = SCENARIO.model_copy(update={"tariff": {}})
    head, rows, told = tables.overall([Standing.of(each.model_copy(update={"labels": 0}), bare) for each in ENTRIES])
    assert "labels bought" not in head and "money (spent)" not in head and "gradients" in head
    assert {len(row) for row in rows} == {len(head)} and "Nothing was learned from bought labels." in told
