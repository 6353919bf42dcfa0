"""Leagues at equal effort and size, ranks, and the decomposition of transfer: against closed forms."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import surrogates as sg
from blackbox.oracle.oracle import Oracle
from blackbox.rowwise import row_norm
from blackbox.statistics.ranks import ranks
from blackbox.threat import Linf
from experiments.studies.effort import at_effort, at_length, least_length
from surrogates.analysis.decomposition import FACTORS, sums_of_squares
from surrogates.analysis.factorial import Cell
from surrogates.crafting import presets
from surrogates.transfer.runs import Run
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


def run(**options: object) -> sg.League:
    target = Oracle(Affine(16, seed=5), "labels", 3)
    x, y = images(24), torch.arange(24) % 3
    args: dict[str, object] = {"efforts": (3, 6), "threats": [T, Linf(0.2)], "given": "all"} | options
    return sg.league({"a": Affine(16, seed=1)}, {"t": target}, x, y, ["fgsm", "mi-fgsm", "dem"], **args)  # type: ignore[arg-type]


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
    plan = sg.league_plan(24, ["fgsm", "mi-fgsm", "dem"], (3, 6), [T, Linf(0.2)])
    assert plan["queries"] == found.crafted.queries["t"] + found.matched.queries["t"]
    assert plan["gradients"] == 24 * 2 * (1 + 1 + 3 + 6 + 5)


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
    with pytest.raises(ValueError, match=r"efforts \[3, 6\]"):
        found.ranks(T, 5)


def test_a_league_is_shown_saved_and_loaded(tmp_path: Path) -> None:
    found = run()
    again = sg.League.load(found.save(tmp_path / "run"))
    assert again.table() == found.table() and again.entries == found.entries and again.dropped == found.dropped
    assert "Too costly for one step: dem at G = 3" in found.table() and "G <= 6" in found.table()
    assert found.plot(tmp_path / "league.png").stat().st_size > 10_000
    with pytest.raises(FileNotFoundError, match=r"league\.json is not there"):
        sg.League.load(tmp_path)
    with pytest.raises(ValueError, match="buys one step"):
        run(efforts=(0,))


def test_a_league_over_trainings_has_their_spread() -> None:
    target = Oracle(Affine(16, seed=5), "labels", 3)
    nets = sg.Retrained([Affine(16, seed=s) for s in (1, 2)])
    found = sg.league({"a": nets}, {"t": target}, images(9), torch.arange(9) % 3, ["fgsm"], (1,), [T], given="all")
    assert found.rate("fgsm @ 1", T).runs == 2 and "2 runs" in found.table()


def test_ranks_of_equals_are_shared_and_never_sure() -> None:
    rng = np.random.default_rng(0)
    same = rng.random((1, 50)) < 0.5
    found = ranks(["a", "b"], np.stack([same, same]), np.ones((1, 50), bool), np.array([0]))
    assert found.rank.tolist() == [1.5, 1.5] == found.low.tolist() and found.first.tolist() == [0.5, 0.5]
    hits = rng.random((2, 1, 200)) < np.array([0.5, 0.52])[:, None, None]
    close = ranks(["a", "b"], hits, np.ones((1, 200), bool), np.array([0]))
    assert close.low.tolist() == [1, 1] and close.high.tolist() == [2, 2]


def test_an_additive_table_decomposes_exactly() -> None:
    """Rate = 0.5 +- 0.1 (data) +- 0.05 (architecture): with 8 cells of 2, squares 16 * 0.01 and 16 * 0.0025, no more."""
    data, arch = np.array([1, -1]) * 0.1, np.array([1, -1]) * 0.05
    table = (0.5 + data[:, None, None, None] + arch[:, None, None]) * np.ones((2, 2, 2, 2))
    found = sums_of_squares(table, FACTORS)
    assert found["data"] == pytest.approx(0.16) and found["architecture"] == pytest.approx(0.04)
    assert all(v == pytest.approx(0) for k, v in found.items() if k not in ("data", "architecture"))
    table[..., 0] += 0.02
    table[..., 1] -= 0.02
    assert sums_of_squares(table, FACTORS)["replicates"] == pytest.approx(16 * 0.0004)
    anything = np.random.default_rng(0).random((2, 3, 2, 4))
    parts = sums_of_squares(anything, ("a", "b", "c"))
    assert len(parts) == 8 and sum(parts.values()) == pytest.approx(((anything - anything.mean()) ** 2).sum())
    crossed = np.array([[1.0, -1.0], [-1.0, 1.0]])[..., None]
    assert sums_of_squares(crossed, ("a", "b"))["a:b"] == pytest.approx(4)


def factorial_matrix(fooled: dict[Cell, int], n: int = 20) -> tuple[sg.TransferMatrix, dict[str, Cell]]:
    """Nets of which each fools the target on its first so many images."""
    names = tuple(map(str, fooled))
    m = sg.TransferMatrix.empty(names, ("t",), ("fgsm",), (T,), np.zeros(n), None, np.arange(n, dtype=np.uint64), 16)
    m.clean_source[:], m.clean_target[:], m.adv_source[:] = 0, 0, 1
    for i, k in enumerate(fooled.values()):
        m.adv_target[i, 0, 0, 0] = np.arange(n) < k
    assert m.runs[0] == Run(names[0], 0, 0)
    return m, dict(zip(names, fooled, strict=True))


def test_transfer_is_decomposed_over_the_factorial_nets() -> None:
    levels = (("same", "disjoint"), ("same", "other"), ("same", "new"))
    fooled = {
        Cell(*key, replicate): 10 + 4 * (key[0] == "same") + 2 * (key[1] == "same")
        for key in itertools.product(*levels)
        for replicate in (1, 2)
    }
    m, cells = factorial_matrix(fooled)
    found = sg.decompose(m, cells, "t", "fgsm", T)
    assert found.total == pytest.approx(16 * (0.1**2 + 0.05**2))
    assert found["data"].share.value == pytest.approx(0.8) and found["architecture"].share.value == pytest.approx(0.2)
    assert found["replicates"].squares == pytest.approx(0) == found["data:architecture"].squares
    assert found["data"].effect == (("same", pytest.approx(0.75)), ("disjoint", pytest.approx(0.55)))
    assert found["data"].share.low < 0.8 < found["data"].share.high and "disjoint 55 %" in found.table()
    del cells[next(iter(cells))]
    with pytest.raises(ValueError, match="1 to 2 times"):
        sg.decompose(m, cells, "t", "fgsm", T)
    with pytest.raises(ValueError, match="same images"):
        sg.decompose(m, cells, "t", "fgsm", T, given="both-correct")


def test_nets_that_do_not_differ_leave_nothing_to_decompose() -> None:
    m, cells = factorial_matrix({Cell(a, b, c): 5 for a in "12" for b in "12" for c in "12"})
    found = sg.decompose(m, cells, "t", "fgsm", T)
    assert found.total == pytest.approx(0) and np.isnan(found["data"].share.value) and "nan" in found.table()
