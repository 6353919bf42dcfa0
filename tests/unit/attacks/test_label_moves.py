"""The moves of `hybrid` with labels alone, and how it spends its queries."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.attacks.hybrid_labels import MOVES, HybridLabels
from blackbox.candidates.aimed import aimed
from blackbox.candidates.craft import CraftGoal, craft
from blackbox.candidates.rays import inside
from blackbox.proposals.signs import candidate, flips, replaced, shrinking_windows
from blackbox.protocol import Task
from blackbox.rowwise import row_norm
from blackbox.testing.driver import task
from blackbox.testing.priors import LinearPrior
from blackbox.testing.problems import affine_problem


def grey(n: int = 40, shape: tuple[int, ...] = (3, 8, 8)) -> Task:
    """Images in the middle of the box, class 0."""
    return replace(task(torch.full((n, *shape), 0.5), threat=bb.Linf(0.03)), goal=torch.zeros(n, dtype=torch.long))


def up(t: Task) -> Tensor:
    return torch.ones_like(t.x0)


def test_a_window_changes_something_within_itself_and_nothing_beside() -> None:
    t = grey()
    window = shrinking_windows(t, 3, torch.zeros(t.n, dtype=torch.long))
    where = window.expand(-1, 3, -1, -1)
    for new in (up(t), torch.zeros_like(t.x0), -up(t)):  # the same; nothing to give; the contrary
        moved = replaced(t, up(t), window, new)
        assert torch.equal(moved == -1, where) and where.flatten(1).any(1).all()
    mixed = torch.where(torch.rand(t.x0.shape, generator=torch.Generator().manual_seed(0)) < 0.5, 1.0, -1.0)
    moved = replaced(t, up(t), torch.ones_like(window), mixed)
    assert torch.equal(moved, mixed)


def test_windows_become_finer() -> None:
    t = grey()
    size = [shrinking_windows(t, 3, torch.full((t.n,), drawn)).float().mean() for drawn in (0, 60, 1000)]
    assert size[0] > 2 * size[1] and size[2] == 1 / 64


def test_a_preferred_candidate_is_taken_where_there_is_one() -> None:
    t = grey(400)
    signs = torch.stack([torch.full_like(t.x0, v) for v in (1, 2, 3, 4)], 1).to(torch.int8)
    preferred = torch.zeros(t.n, 4, dtype=torch.bool)
    preferred[:200, 1:3] = True
    got = candidate(t, 0, signs, preferred)[:, 0, 0, 0]
    assert set(got[:200].tolist()) == {2, 3} and set(got[200:].tolist()) == {1, 2, 3, 4}


def test_flips_turn_few_entries_and_at_least_one() -> None:
    t = grey(400)
    turned = (flips(t, 0, up(t)) < 0).flatten(1).sum(1)
    assert int(turned.min()) >= 1 and int(turned.max()) < 0.12 * t.d and int(turned.float().max()) > 4


def three(t: Task, first: float, second: float) -> LinearPrior:
    """Class 1 likes the upper half of the images ``first`` times, class 2 the lower half ``second`` times; class 0 nothing."""
    half = torch.zeros(t.shape)
    half[:, : t.shape[1] // 2] = 1
    return LinearPrior(torch.stack([0 * half, first * half, second * (1 - half)])[None], torch.zeros(1, 3))


def test_an_aimed_craft_goes_towards_the_rival_whatever_the_prior_finds_nearest() -> None:
    t = grey()
    rival = torch.arange(t.n) % 2 + 1
    made = aimed(t, three(t, 1.0, 50.0), 0, -up(t), torch.full((t.n,), 0.05), rival)
    assert set(made.unique().tolist()) == {-1.0, 1.0}
    top, bottom = made[:, :, :4].flatten(1).mean(1), made[:, :, 4:].flatten(1).mean(1)
    assert (top[rival == 1] > bottom[rival == 1] + 0.5).all() and (bottom[rival == 2] > top[rival == 2] + 0.5).all()
    wanted = replace(t, targeted=True, goal=torch.full_like(rival, 1))
    made = aimed(wanted, three(t, 1.0, 1.0), 0, -up(t), torch.full((t.n,), 0.05), rival)
    assert (made[:, :, :4].flatten(1).mean(1) > made[:, :, 4:].flatten(1).mean(1) + 0.3).all()


def test_a_craft_keeps_to_the_radius_of_each_row() -> None:
    t = grey()
    radius = torch.linspace(0.01, 0.6, t.n)
    made = craft(t, three(t, 1.0, 1.0), t.x0, CraftGoal.of(t), radius=radius)
    assert torch.allclose(row_norm(made - t.x0, torch.inf), radius.clamp_max(0.5), atol=1e-6)


def test_a_move_has_to_save_a_share_but_nothing_inside_eps() -> None:
    t = grey(4)
    high = torch.tensor([0.06, 0.0301, 0.03, 0.02])
    share = torch.tensor([0.1, 0.1, 0.1, 0.1])
    assert torch.allclose(inside(t, high, share), torch.tensor([0.054, 0.03, 0.027, 0.018]))
    eight = replace(t, probe=1 / 255)
    assert torch.allclose(inside(eight, high, 0 * share)[:1], high[:1] - 1 / 255)


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["good", "misled"])
def test_each_move_has_its_turn_and_is_billed(sign: float) -> None:
    known = affine_problem("Linf", alike=True)
    oracle = bb.Oracle(known.target, "labels", 3)
    attack = HybridLabels(LinearPrior.of_problem(3, sign=sign))
    tight = bb.Linf(0.5 * float(known.optimum.min()))  # out of reach: every query is spent
    result = bb.attack(oracle, known.x, known.y, attack, tight, 120)
    parts = result.config["parts"]
    assert not result.success.any() and all(parts[name]["queries"] > 0 for name in MOVES)
    assert sum(p["queries"] for p in parts.values()) == int(result.queries.sum()) - 5
