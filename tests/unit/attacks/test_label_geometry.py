"""CGBA, CGBA-H, TtBA and ADBA: their moves where the boundary is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.answer import run_steps
from blackbox.attacks.adba import ADBA
from blackbox.attacks.cgba import CGBA, CGBAH
from blackbox.attacks.ttba import TtBA
from blackbox.protocol import Task
from blackbox.rowwise import row_norm, unit
from blackbox.testing.driver import task
from blackbox.testing.targets import Sphere

N = 3
WALL = unit(torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)))[0]  # the boundary's normal
AWAY = 0.1 + 0.05 * torch.arange(N)  # the originals' distances from it


def drive(steps: Any, t: Task, adversarial: Any) -> tuple[Any, list[int]]:
    """A search's result, and the queries of each row; ``adversarial``: points [m, \\*shape], rows [m] -> [m] bool."""
    asked = [0] * t.n

    def answer(points: Tensor, row: np.ndarray) -> Any:
        for i in row.tolist():
            asked[i] += 1
        adv = adversarial(points, torch.as_tensor(row))
        return adv.float().numpy() * 2 - 1, adv.numpy()

    return run_steps(steps, t, answer), asked


def wall(points: Tensor, row: Tensor) -> Tensor:
    return ((points - 0.5) * WALL).flatten(1).sum(1) >= AWAY[row]


def at_wall() -> tuple[Task, Tensor]:
    """Originals in the middle of the box, and points of the flat boundary that are not the nearest."""
    t = task(torch.full((N, 3, 4, 4), 0.5), threat=bb.L2(math.inf), minimises=True)
    side = torch.randn(N, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    side = unit(side - (side * WALL).flatten(1).sum(1).view(-1, 1, 1, 1) * WALL)
    return t, t.x0 + AWAY.view(-1, 1, 1, 1) * (1.0001 * WALL + 1.5 * side)


@dataclass(frozen=True)
class Told:
    """The boundary's normal for no query."""

    def normal(self, t: Task, s: Any, k: int) -> Any:
        return WALL.expand_as(t.x0)
        yield


@dataclass(frozen=True)
class ToldCGBA(Told, CGBA):
    pass


@dataclass(frozen=True)
class ToldCGBAH(Told, CGBAH):
    pass


@dataclass(frozen=True)
class ToldTtBA(Told, TtBA):
    pass


@pytest.mark.parametrize("kind", [ToldCGBA, ToldCGBAH])
def test_the_half_circle_crosses_a_flat_boundary_at_its_nearest_point(kind: Any) -> None:
    t, x = at_wall()
    attack = kind()
    more = () if kind is ToldCGBA else (torch.full((N,), 0.7),)
    s, asked = drive(attack.step(t, attack.State(x, t.distance(x), *more), 0), t, wall)
    assert torch.allclose(t.distance(s.x), AWAY, rtol=attack.tolerance(t))
    assert ((s.x - t.x0) * WALL).flatten(1).sum(1).ge(AWAY).all()
    if kind is ToldCGBA:
        assert asked == [math.ceil(math.log2(math.pi / 2 / attack.tolerance(t)))] * N
    else:
        assert torch.allclose(s.angle, torch.full((N,), math.atan(1.5)), atol=0.01)


def test_cgba_h_stops_at_the_first_crossing_and_begins_where_it_last_ended() -> None:
    t, x = at_wall()

    def arc(angle: Tensor) -> Tensor:
        return angle.view(-1, 1, 1, 1)

    def island(points: Tensor, row: Tensor) -> Tensor:
        angle = points.flatten(1)[:, 0]
        return (angle < 0.1) | ((angle > 0.5) & (angle < 0.9))

    every = torch.ones(N, dtype=torch.bool)
    attack = CGBAH()
    start = torch.tensor([0.09, 0.01, 0.3])
    found, asked = drive(attack.crossing(t, attack.State(x, t.distance(x), start), arc, every), t, island)
    assert torch.allclose(found, torch.full((N,), 0.1), atol=attack.tolerance(t)) and (found < 0.1).all()
    assert asked[0] < asked[1]
    usual, _ = drive(CGBA().crossing(t, CGBA.State(x, t.distance(x)), arc, every), t, island)
    assert (usual > 0.5).all()


@pytest.mark.parametrize("edge", [0.04, 0.3, 2.0])
def test_the_bridge_is_found_to_an_eighth_of_itself(edge: float) -> None:
    t, _ = at_wall()
    every = torch.ones(N, dtype=torch.bool)

    def below(points: Tensor, row: Tensor) -> Tensor:
        return points.flatten(1)[:, 0] <= edge

    steps = TtBA().bridge(lambda weight: weight.view(-1, 1, 1, 1), torch.ones(N), every)
    (bridge, held), asked = drive(steps, t, below)
    assert held.all() and (bridge <= edge).all() and (bridge >= min(1, edge / 1.126)).all()
    assert asked[0] == (1 if edge > 1 else math.floor(math.log2(1 / edge)) + 2 + 3)


def test_ttba_takes_two_thirds_of_the_bridge_and_ends_at_the_boundary() -> None:
    t, x = at_wall()
    attack = ToldTtBA()
    s, _ = drive(attack.step(t, attack.State(x, t.distance(x)), 0), t, wall)
    v = unit(unit(x - t.x0) / 3 + WALL * 2 / 3)  # the normal itself is adversarial at this distance: the bridge is 1
    assert torch.allclose(unit(s.x - t.x0), v, atol=1e-4)
    assert torch.allclose(((s.x - t.x0) * WALL).flatten(1).sum(1), AWAY, rtol=2 * attack.tolerance(t))
    assert (row_norm(s.x - t.x0) < 0.6 * row_norm(x - t.x0)).all()


@pytest.mark.parametrize("name", ["cgba", "cgba-h", "ttba"])
def test_they_reach_the_nearest_point_of_a_sphere_around_the_adversarial_side(name: str) -> None:
    """The most curved of boundaries: the class to leave is all but a ball."""
    ball = Sphere(torch.full((3, 4, 4), 0.8), 1.0)
    x = torch.full((4, 3, 4, 4), 0.5) + 0.05 * torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    attack = bb.attacks.build(name, noise="white")
    r = bb.attack(bb.Oracle(ball, "labels", 2), x, torch.ones(4, dtype=torch.long), attack, bb.L2(math.inf), 800,
                  start=torch.full_like(x, 0.75))  # fmt: skip
    assert ((r.distance / ball.distance(x)) < 1.05).all()


def line(weight: list[float], margin: float) -> tuple[Task, Any]:
    t = task(torch.full((1, len(weight)), 0.5), threat=bb.Linf(math.inf), minimises=True)
    return t, lambda points, row: ((points - 0.5) * torch.tensor(weight)).sum(1) >= margin


def test_adba_asks_twice_where_no_candidate_is_better() -> None:
    t, adversarial = line([3.0, 1.0, 2.0, 5.0], 1.1)  # either half turned makes it worse
    s = ADBA.State(torch.ones(1, 4), torch.tensor([0.1001]), torch.tensor([0.9]), torch.zeros(1, dtype=torch.int64))
    new, asked = drive(ADBA().step(t, s, 0), t, adversarial)
    assert asked == [2] and torch.equal(new.sign, s.sign) and new.radius == s.radius and new.place == 1


@pytest.mark.parametrize(
    ("place", "turned", "weight", "best"),
    [
        (0, [[-1, -1, 1, 1], [1, 1, -1, -1]], [1.0, 1, -2, -1], 1),  # one alone is better than none turned
        (1, [[-1, 1, 1, 1], [1, -1, 1, 1]], [-2.0, -1, 1, 3], 0),  # both are
        (1, [[-1, 1, 1, 1], [1, -1, 1, 1]], [-1.0, -2, 1, 3], 1),
    ],
)
def test_adba_keeps_the_nearer_of_two_without_its_exact_boundary(
    place: int, turned: list[list[int]], weight: list[float], best: int
) -> None:
    signs = torch.tensor(turned).float()
    reach = [0.2 / slope if slope > 0 else math.inf for slope in (signs @ torch.tensor(weight)).tolist()]
    assert reach[best] < min(0.4, reach[1 - best])
    t, adversarial = line(weight, 0.2)
    s = ADBA.State(torch.ones(1, 4), torch.tensor([0.4]), torch.tensor([0.9]), torch.tensor([place]))
    new, asked = drive(ADBA().step(t, s, 0), t, adversarial)
    assert torch.equal(new.sign[0], signs[best]) and reach[best] <= float(new.radius) < 0.4
    assert asked[0] <= 2 * ADBA().rounds and float(new.median) < 0.9  # nearer than the median: it falls


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cgba-h", {"first": 90.0}, "first, an angle, in"),
        ("ttba", {"part": 1.0}, "part, of the bridge"),
        ("adba", {"median": 1.0}, "median and rate in"),
        ("adba", {"rounds": 0}, "rounds and tries of at least 1"),
        ("cgba", {"evals": 0}, "evals, most_evals"),
    ],
)
def test_settings_that_cannot_be(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bb.attacks.build(name, **settings)
