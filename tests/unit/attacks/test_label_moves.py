"""The moves of `ripples` and `hybrid` with labels alone, and how they spend their queries."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.attacks.hybrid_labels import HybridLabels
from blackbox.attacks.ripple_labels import RippleLabels
from blackbox.candidates.aimed import aimed
from blackbox.candidates.bandit import thompson
from blackbox.candidates.craft import CraftGoal, craft
from blackbox.candidates.moves import ALONE, GUIDED, Wave
from blackbox.candidates.rays import SIGNS, inside
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
    result = bb.attack(oracle, known.x, known.y, attack, tight, 80)
    parts = result.config["parts"]
    # the images are too small for waves
    moves = [m.name for m in attack.moves if not isinstance(m, Wave)]
    assert not result.success.any() and all(parts[name]["queries"] > 0 for name in moves)
    assert sum(p["queries"] for p in parts.values()) == int(result.queries.sum()) - 5


def test_a_prior_that_is_no_nearer_than_waves_gets_little_credit_and_one_query() -> None:
    """Eight images on which waves take part; the target sees a chequerboard alone, the prior is blank."""
    parts = spent(HybridLabels(LinearPrior(torch.zeros(1, 2, 3, 16, 16), torch.tensor([[1.0, 0.0]]))), 120, reach=0.5).config["parts"]
    assert parts["start"]["queries"] <= 2 * 8 and parts["static"]["queries"] == 0
    guided, all_moves = (sum(parts[m.name]["queries"] for m in moves) for moves in (GUIDED, (*ALONE, *GUIDED)))
    assert 0 < guided < 0.2 * all_moves


def spent(attack: object, budget: int, reach: float = 1.02, turned: float = 1.0, **more: object) -> bb.AttackResult:
    """Against a target that sees <w, x> with w a chequerboard or its contrary, and falls at eps / ``reach`` at the least."""
    h = w = 16
    board = turned * (1.0 - 2.0 * ((torch.arange(h)[:, None] + torch.arange(w)) % 2))
    weights = board.expand(3, h, w) / (3 * h * w)

    def target(x: Tensor) -> Tensor:
        score = (x * weights).flatten(1).sum(1).double()
        return torch.nn.functional.one_hot((score > 0.05 / reach).long(), 2).double()

    x = torch.full((8, 3, h, w), 0.5)
    oracle = bb.Oracle(target, "labels", 2)
    return bb.attack(oracle, x, torch.zeros(8, dtype=torch.long), attack, bb.Linf(0.05), budget, seed=1, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ripples", "auto"])
def test_a_target_that_sees_a_chequerboard_alone_falls_to_the_first_wave(name: str) -> None:
    result = spent(name, 50)
    assert result.success.all() and int(result.queries.max()) == 2  # the clean check, and the wave


def test_every_wave_has_its_contrary() -> None:
    result = spent("ripples", 50, turned=-1.0)
    assert result.success.all() and set(result.queries.tolist()) == {1 + 1 + len(SIGNS) // 2}


def test_with_a_prior_moves_without_it_are_drawn_alike() -> None:
    """The numbers that decide which move is made are those of the search without one, row by row and step by step."""
    t = grey()
    counts = torch.ones(t.n, len(HybridLabels().moves), dtype=torch.float64)
    assert HybridLabels().moves[: len(ALONE)] == RippleLabels().moves == ALONE
    for k in (0, 7):
        drawn, alone = thompson(t, k, counts, counts), thompson(t, k, counts[:, : len(ALONE)], counts[:, : len(ALONE)])
        assert torch.equal(drawn[:, : len(ALONE)], alone)


def test_a_start_that_the_user_gives_is_followed_towards_a_class() -> None:
    corner = torch.full((8, 3, 16, 16), 0.5)
    corner += 0.5 * (1.0 - 2.0 * ((torch.arange(16)[:, None] + torch.arange(16)) % 2))
    result = spent("ripples", 40, target=torch.ones(8, dtype=torch.long), start=corner)
    assert result.success.all()


def test_drawings_begin_at_corners_and_do_without_waves() -> None:
    x = torch.zeros(4, 1, 20, 20)
    oracle = bb.Oracle(lambda x: torch.nn.functional.one_hot((x.flatten(1).mean(1) > 0.2).long(), 2).double(), "labels", 2)
    parts = bb.attack(oracle, x, torch.zeros(4, dtype=torch.long), "ripples", bb.Linf(0.05), 100).config["parts"]
    assert parts["waves"]["queries"] == parts["rays"]["queries"] == 0
    assert sum(parts[m.name]["queries"] for m in ALONE if isinstance(m, Wave)) < 0.1 * 400
