"""The peers' counter, their turns and their settings: without the toolkits themselves."""

from __future__ import annotations

import json
import math
import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from experiments import measurements, runner
from experiments.cases import Case
from experiments.peers import adapters, benchmark, entries, settings, tables
from experiments.peers.adapters import Meter, Meters, Peer, Setting, Spent
from experiments.peers.turns import by_turns, seed_all


class Light(torch.nn.Module):
    """Class 1 where the first pixel is above a half."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        first = x.flatten(1)[:, 0]
        return torch.stack([0.5 - first, first - 0.5], 1)


X = torch.full((1, 1, 2, 2), 0.45)


def row(value: float, other: float = 0.45) -> Tensor:
    z = torch.full_like(X, other)
    z[0, 0, 0, 0] = value
    return z


def meter(eps: float = 0.1, budget: int = 5, **more: Any) -> Meter:
    return Meter(Light(), X, 0, bb.Linf(eps), budget, **more)


def test_the_clean_check_is_the_first_query_and_is_answered_once() -> None:
    m = meter()
    assert m.rows == 1
    m(X)
    assert m.rows == 1
    m(X)
    assert m.rows == 2


def test_a_success_counts_inside_the_threat_alone() -> None:
    m = meter()
    m(row(0.9))
    assert m.first == 0 and m.rows == 2
    with pytest.raises(Spent):
        m(torch.cat([row(0.4), row(0.54), row(0.53)]))
    assert m.first == 4


def test_rows_beyond_the_budget_are_not_counted() -> None:
    m = meter(budget=3)
    with pytest.raises(Spent):
        m(torch.cat([row(0.4), row(0.41), row(0.54)]))
    assert (m.rows, m.first) == (3, 0)
    with pytest.raises(Spent):
        m(row(0.4))


def test_a_row_held_in_the_threat_is_answered_where_it_was_moved_to() -> None:
    m = meter(hold=True)
    with pytest.raises(Spent):
        m(row(0.9))
    assert m.first == 2 and math.isclose(m.reached[0][1], 0.1, abs_tol=1e-6)


def test_repeats_are_free_where_they_are_remembered() -> None:
    m = meter(remember=True, budget=9)
    m(torch.cat([row(0.41), row(0.42)]))
    m(torch.cat([row(0.42), row(0.43), row(0.41)]))
    assert m.rows == 4


def test_the_distance_is_the_smallest_until_then() -> None:
    m = meter(eps=math.inf, budget=9)
    for value in (0.9, 0.6, 0.7):
        m(row(value))
    assert [round(m.distance_at(q), 2) for q in (1, 2, 3, 9)] == [math.inf, 0.45, 0.15, 0.15]


def test_ours_distances_have_the_peers_axes() -> None:
    """After each number of queries, those of all images."""
    x = torch.tensor([0.45, 0.2, 0.3]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    case = Case("light", Light(), x, torch.zeros(3, dtype=torch.long), bb.L2(math.inf), x, classes=2)
    near = benchmark.mine(case, "hop-skip-jump", case.threat, 60, 0, (20, 60))["near"]
    assert np.shape(near) == (2, 3) and (np.array(near[1]) <= near[0]).all() and near[1][0] == min(near[1])


def test_each_image_of_a_batch_is_counted_alone() -> None:
    net, others = Light(), (0.45, 0.2, 0.0)
    each = [Meter(net, torch.full_like(X, v), 0, bb.Linf(0.1), 5) for v in others]
    batch = Meters(net, each)
    batch(torch.full((3, 1, 2, 2), 0.0) + torch.tensor(others).view(3, 1, 1, 1))  # the clean check of all
    batch(torch.cat([row(0.54), row(0.12, 0.2), row(0.05, 0.0)]))
    assert [(m.rows, m.first) for m in each] == [(2, 2), (2, 0), (2, 0)]
    batch(torch.cat([row(0.06, 0.0), row(0.5), row(0.13, 0.2)]))  # another order; the first image is done
    assert [(m.rows, m.first) for m in each] == [(2, 2), (3, 0), (3, 0)]
    for _ in range(2):
        with pytest.raises(Spent) if each[1].rows == 4 else nullcontext():
            batch(torch.cat([row(0.14, 0.2), row(0.07, 0.0)]))
    assert [m.rows for m in each] == [2, 5, 5]


# ---- turns -----------------------------------------------------------------------------------------------------


def search(seed: int, rounds: int, found: dict[int, list[float]]) -> Any:
    def work(ask: Any) -> None:
        seed_all(seed)
        for _ in range(rounds):
            drawn = torch.rand(1, 1, 2, 2) / 3 + float(np.random.rand()) / 3 + random.random() / 3
            found.setdefault(seed, []).extend(ask(drawn)[:, 1].tolist())

    return work


def test_searches_find_by_turns_what_they_find_alone() -> None:
    alone: dict[int, list[float]] = {}
    together: dict[int, list[float]] = {}
    net = Light()
    for seed, rounds in ((1, 2), (2, 4), (3, 1)):
        assert by_turns(Light(), [search(seed, rounds, alone)]) == [None]
    assert by_turns(net, [search(seed, rounds, together) for seed, rounds in ((1, 2), (2, 4), (3, 1))]) == [None] * 3
    assert together == alone and net.calls == [3, 2, 1, 1]


def test_a_search_that_raises_ends_alone() -> None:
    def broken(ask: Any) -> None:
        ask(X)
        raise KeyError("mine")

    found: dict[int, list[float]] = {}
    ends = by_turns(Light(), [broken, search(1, 3, found)])
    assert isinstance(ends[0], KeyError) and ends[1] is None and len(found[1]) == 3


def test_a_net_that_raises_leaves_no_search_behind() -> None:
    class Bad(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("no")

    ended: list[str] = []

    def work(ask: Any) -> None:
        try:
            ask(X)
        finally:
            ended.append("ended")

    with pytest.raises(RuntimeError, match="^no$"):
        by_turns(Bad(), [work, work])
    assert ended == ["ended", "ended"]


def test_a_generator_without_a_seed_follows_the_searchs_own() -> None:
    def work(ask: Any) -> None:
        seed_all(5)
        drawn.append(float(np.random.RandomState().rand()))

    drawn: list[float] = []
    by_turns(Light(), [work, work])
    assert drawn[0] == drawn[1]


# ---- settings --------------------------------------------------------------------------------------------------


def test_every_peer_has_at_most_three_settings_each_with_a_reason_and_a_source() -> None:
    peers = adapters.load()
    assert {p.part for p in peers} == set(settings.THREATS) and len({(p.part, p.name) for p in peers}) == len(peers)
    assert {p.ours for p in peers} <= set(bb.attacks.names())


FOUR = "\n".join(f'[[peer.tried]]\nlabel = "{i}"\nwhy = "w"\nsource = "s"' for i in range(4))


@pytest.mark.parametrize(
    ("tried", "says"),
    [
        (FOUR, "one to three settings of p, but there were 4"),
        ('[[peer.tried]]\nlabel = "a"\nwhy = ""\nsource = "s"', "a reason and a source"),
    ],
)
def test_a_peer_without_reasons_or_with_too_many_settings_is_refused(tmp_path: Path, tried: str, says: str) -> None:
    file = tmp_path / "p.toml"
    file.write_text(f'[[peer]]\npart = "linf"\nname = "p"\ntoolkit = "t"\nkind = "K"\nours = "square"\n{tried}\n')
    with pytest.raises(ValueError, match=says):
        adapters.load(file)


def test_the_setting_is_the_best_of_the_choosing_ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    two = Peer("linf", "p", "t", "K", "square", tuple(Setting(label, "w", "s") for label in ("dear", "cheap")))
    rows = [
        {"peer": "p", "setting": "dear", "first": [4, 9], "budget": 50},
        {"peer": "p", "setting": "cheap", "first": [7, 0], "budget": 50},
    ]
    assert settings.chosen(two, rows).label == "dear"  # a failure is charged the budget
    with pytest.raises(ValueError, match="a row for each setting of p .linf., but there was none for 'cheap'"):
        settings.chosen(two, rows[:1])
    assert settings.needed({"near": [[5.0, 6.0, 7.0], [1.0, 2.0, 4.0]]}).value == pytest.approx(2)


def test_rows_that_settings_rest_on_are_of_the_choosing_ground() -> None:
    for part in settings.THREATS:
        for r in settings.measured(part):
            assert r["target"] == "ResNet-20" and r["seed"] == 100 and len(r["ids"]) >= 20


def test_every_peer_is_an_entry_with_the_setting_that_was_chosen() -> None:
    """The two that only show what another setting does are settings of that one."""
    peers = {(p.part, p.name): p for p in adapters.load()}
    kinds = {(kind.part, kind.peer): kind for kind in entries.Entry.__subclasses__()}
    assert set(peers) - set(kinds) == {("linf", f"torchattacks Square, {which}") for which in ("its default", "our p_init")}
    for at, kind in kinds.items():
        how = settings.chosen(peers[at]) if settings.ready(peers[at]) else peers[at].tried[0]
        assert kind().how == how and str(how.options) in repr(kind())


def test_an_entry_says_which_settings_it_has() -> None:
    """They are signed, and a journal goes on with the same alone."""
    square = entries.TorchattacksSquare
    assert square(1).how.options["p_init"] == 0.8 and "'p_init': 0.8" in repr(square(1)) and repr(square(2)) == repr(square())
    assert entries.ARTSquareOnce().remember and not square().remember and repr(entries.ARTSquareOnce()).endswith(", remember)")
    with pytest.raises(ValueError, match="setting to be 0 to 3 for torchattacks Square, but it was 4"):
        square(4)
    oracle = bb.Oracle(lambda z: torch.eye(2)[(z.flatten(1)[:, 0] > 0.5).long()], classes=2)
    with pytest.raises(RuntimeError, match="any wrong class to be the goal for TorchattacksSquare"):
        bb.attack(oracle, X, [0], square(), bb.Linf(0.1), 9, target=1)


# ---- tables ----------------------------------------------------------------------------------------------------


def pair(a: Any, b: Any, near: bool = False) -> tables.Pair:
    return tables.Pair("scores", "net", "square", "p", np.array([a], float), np.array([b], float), 1000, near)


def test_a_difference_within_chance_is_a_tie() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(1, 400, 60)
    same, other, near = pair(base, rng.permutation(base)), pair(base, 2 * base + 1), pair(base, 2 * base + 1, near=True)
    assert tables.verdict(same, same.p) == "tie" and tables.verdict(other, other.p) == "ours" and pair(base, base).p == 1
    assert other.ratio.value == pytest.approx(base.mean() / (2 * base + 1).mean()) and 0.4 < near.ratio.value < 0.5


def test_a_page_may_say_who_needed_less(monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.peers import published

    rng = np.random.default_rng(0)
    base = rng.integers(1, 400, 60)
    some = ((pair(base, 2 * base + 1), 0.001), (pair(base, rng.permutation(base)), 0.3))
    monkeypatch.setattr(tables, "pairs", lambda: some)
    assert [str(published.peer_pairs(v, "square", "p")) for v in ("tie", "ours", "theirs")] == ["1 of 2", "1 of 2", "0 of 2"]
    assert str(published.peer_pairs("tie", "nes", "p")) == "0 of 0"
    lines = list(published.peer_table("scores", "square").rows)
    assert [line[-1] for line in lines] == ["ours", "tie"] and list(published.peer_table("labels").rows) == []
    least, most = str(published.peer_between("square", "p")).split(" and ")
    assert least.startswith("0.50 [") and most.endswith("(n = 60) (net)") and least < most
    monkeypatch.setattr(tables, "pairs", lambda: some[:1])
    assert str(published.peer_between("square", "p")) == least
    assert str(published.peer_between("square", "p", "labels")) == "(not measured yet)"


def test_a_peer_that_attacked_some_images_is_held_against_ours_on_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / runner.RESULTS / "queries"
    folder.mkdir(parents=True)
    about = {"target": {"name": "resnet32"}, "images": {"among": "raw"}}
    told = {"access": "scores", "goal": "untargeted", "budget": 1000, "seed": 0}

    def put(name: str, attack: str, ids: list[int], queries: list[int]) -> None:
        row = {**told, "attack": attack, "queries": queries, "found": [1] * len(ids)}
        (folder / f"{name}.json").write_text(json.dumps({**about, "ids": ids, "rows": [row]}))

    put("resnet32", "square", [3, 5, 7, 9], [10, 20, 30, 40])
    put("resnet32_peers", "another", [3, 5, 7, 9], [1, 2, 3, 4])
    put("resnet32-2_peers", "torchattacks Square", [9, 5], [8, 4])
    put("resnet32-jpeg_peers", "torchattacks Square", [9, 5], [1, 1])
    for module in (tables, measurements):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    (found,) = tables.queried()
    assert (found.ours, found.peer, found.a.tolist(), found.b.tolist()) == ("square", "torchattacks Square", [[40, 20]], [[8, 4]])
