"""Leagues at equal effort and size, against closed forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from blackbox.oracle.oracle import Oracle
from blackbox.rowwise import row_norm
from blackbox.threat import Linf
from experiments.studies.league import League, at_effort, at_length, league, least_length
from experiments.studies.transfer_league import draw, rows
from surrogates.crafting import presets
from tests.surrogate_doubles import Affine, images

T = Linf(0.1)


@pytest.mark.parametrize(
    ("name", "gradients", "nets", "steps"),
    [("mi-fgsm", 50, 1, 50), ("mi-fgsm", 50, 3, 16), ("fgsm", 50, 1, 1), ("si-fgsm", 50, 1, 10), ("dem", 50, 1, 10), ("dem", 60, 1, 12),
     ("i-fgsm", 1, 1, 1), ("dem", 4, 1, None), ("i-fgsm", 2, 3, None)],
)  # fmt: skip
def test_effort_buys_as_many_steps_as_it_can(name: str, gradients: int, nets: int, steps: int | None) -> None:
    preset = presets.get(name)
    found = at_effort(preset, gradients, nets)
    if steps is None:
        assert found is None and preset.cost(1, nets) > gradients
        return
    assert found is not None and found.steps == steps and found.name == f"{name} @ {gradients}"
    assert (
        found.parts == preset.parts
        and found.cost(nets=nets) <= gradients
        and (preset.steps == 1 or preset.cost(steps + 1, nets) > gradients)
    )


@pytest.mark.parametrize(
    ("name", "gradients", "steps", "copies"),
    [
        ("bsr", 50, 10, [5]),
        ("bsr", 10, 5, [2]),
        ("bsr", 5, 2, [2]),
        ("si-fgsm", 10, 5, [2]),
        ("bsr", 1, 0, []),
        ("bsr", 400, 20, [20]),
        ("admix", 50, 12, [2, 2]),
    ],
)
def test_too_little_effort_costs_copies_before_steps(name: str, gradients: int, steps: int, copies: list[int]) -> None:
    found = at_effort(presets.get(name), gradients)
    if not steps:
        assert found is None
        return
    assert found is not None and found.steps == steps and found.cost() <= gradients
    assert [view.copies for view in found.parts.all("view")] == copies


def test_changes_are_cut_to_the_shortest_that_is_one() -> None:
    x = images(3, low=0.4, high=0.6)
    long, short, none = x + 0.2, x - 0.05, x.clone()
    short[2] = x[2]
    length = least_length([long, short, none], x)
    assert torch.allclose(length, torch.tensor([0.2, 0.2, 0.8]))  # 16 entries
    cut = at_length(long, x, length)
    assert torch.allclose(row_norm(cut - x), length, rtol=1e-5) and torch.equal(cut[2], long[2])
    assert torch.equal(at_length(none, x, length), x) and torch.equal(at_length(short, x, 9 * length), short)
    assert torch.allclose((cut - x)[0], torch.full((1, 4, 4), 0.05))


def run() -> League:
    target = Oracle(Affine(16, seed=5), "labels", 3)
    x, y = images(24), torch.arange(24) % 3
    found = league({"a": Affine(16, seed=1)}, {"t": target}, x, y, ["fgsm", "mi-fgsm", "dem"], (3, 6), [T, Linf(0.2)])
    return replace(found, given="all")


def test_a_league_is_equal_in_effort_and_in_size() -> None:
    found = run()
    assert [(e.preset, e.effort, e.steps, e.cost) for e in found.entries] == [
        ("fgsm", 3, 1, 1), ("fgsm", 6, 1, 1), ("mi-fgsm", 3, 3, 3), ("mi-fgsm", 6, 6, 6), ("dem", 6, 1, 5),
    ]  # fmt: skip
    assert found.dropped == (("dem", 3),)
    assert np.allclose(found.matched.l2, found.crafted.l2.min(1, keepdims=True), rtol=1e-4)
    assert (found.matched.linf <= found.crafted.linf + 1e-6).all() and not np.allclose(
        found.crafted.l2, found.matched.l2
    )


def test_the_front_is_what_nothing_cheaper_beats() -> None:
    found = run()
    m = found.crafted
    for name, k in (("fgsm @ 3", 5), ("fgsm @ 6", 5), ("mi-fgsm @ 3", 9), ("dem @ 6", 8), ("mi-fgsm @ 6", 12)):
        m.adv_target[0, m.attacks.index(name), 0, 0] = np.where(np.arange(24) < k, (m.labels + 1) % 3, m.labels)
    assert [e.attack for e in found.front(T)] == ["fgsm @ 3", "mi-fgsm @ 3", "mi-fgsm @ 6"]
    ranked = found.ranks(T, 6)
    assert ranked.names == ("mi-fgsm", "dem", "fgsm") and ranked.rank.tolist() == [1, 2, 3] and ranked.n == 24
    assert ranked.low[1] == 1.5 or ranked.low[1] == 2  # images 8 to 11 alone tell the first two apart
    assert ranked.first.sum() == pytest.approx(1) and ranked.first[0] > 0.95


def test_a_league_is_shown(tmp_path: Path) -> None:
    found = run()
    made = rows(found)
    assert len(made) == 10 and made[0]["attack"] == "fgsm @ 3" and made[0]["front"]
    assert made[0]["as crafted"]["rate"] == found.rate(found.entries[0], T).value
    assert made[0]["rms"] == pytest.approx(255 * found.crafted.l2[0, 0, 0].mean() / 4, rel=1e-6)  # 16 entries
    assert draw(found, tmp_path / "league.png").stat().st_size > 10_000
