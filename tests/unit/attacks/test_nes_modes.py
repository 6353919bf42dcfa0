"""nes-partial and nes-labels: the ball that shrinks, the score from labels, starts, bills; on a target that is one plane."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox import attacks, search
from blackbox.attacks.nes_partial import LabelNES, PartialNES
from blackbox.protocol import Retire
from blackbox.rowwise import row_dot, unit
from blackbox.testing import Affine, Constant, Recording

SHAPE = (1, 5, 5)
WEIGHT = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3))
PLANE = Affine(WEIGHT, -0.5 * WEIGHT.flatten(1).sum(1))
X = 0.5 + 0.06 * (torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(4)) - 0.5)
Y = PLANE(X).argmax(1)
FINE = {"sigma": 0.001, "samples": 20}


@dataclass(frozen=True)
class Watched:
    """An attack whose States are kept, one a step."""

    inner: Any
    seen: list[Any] = field(default_factory=list)

    access = property(lambda self: self.inner.access)
    norms = property(lambda self: self.inner.norms)
    minimises = property(lambda self: getattr(self.inner, "minimises", False))

    def init(self, t: bb.Task) -> Any:
        return self.watch(self.inner.init(t))

    def step(self, t: bb.Task, s: Any, k: int) -> Any:
        return self.watch(self.inner.step(t, s, k))

    def watch(self, made: Any) -> Any:
        if inspect.isgenerator(made):
            return self.through(made)
        self.seen.append(made.state if isinstance(made, Retire) else made)
        return made

    def through(self, made: Any) -> Any:
        return self.watch((yield from made))


def go(
    attack: Any, target: Any = PLANE, access: str = "topk", eps: float = math.inf, budget: int = 1500, **more: Any
) -> bb.AttackResult:
    oracle = bb.Oracle(target, access, 2, k=1, returns="logits")
    result = bb.attack(oracle, X, Y, attack, bb.Linf(eps), budget, **more)
    assert oracle.rows == int(result.queries.sum())
    return result


@pytest.mark.parametrize(
    ("attack", "access"),
    [(PartialNES(**FINE), "topk"), (LabelNES(**FINE, ball=0.001), "labels")],
    ids=["partial", "labels"],
)
def test_it_comes_near_the_closed_form_from_what_it_is_shown(attack: Any, access: str) -> None:
    """The largest score alone, or the label alone; the optimum of a plane is known."""
    result = go(attack, access=access)
    ratio = result.distance.double() / PLANE.distance(X, Y, "Linf")
    assert (ratio >= 1 - 1e-4).all() and (ratio < 1.15).all(), ratio


def test_the_access_follows_the_mode() -> None:
    assert (PartialNES.access, LabelNES.access) == (bb.Access.TOPK, bb.Access.LABELS)
    with pytest.raises(bb.AccessError, match="nes-partial"):
        go("nes-partial", access="labels")


@pytest.mark.parametrize("attack", [PartialNES(**FINE), LabelNES(**FINE, ball=0.001)], ids=["partial", "labels"])
def test_the_ball_only_shrinks_and_holds_an_adversarial_point(attack: Any) -> None:
    watched = Watched(attack)
    go(watched, budget=600)
    before = None
    for state in watched.seen[:-1]:  # the last step was cut by the budget
        assert (PLANE(state.x).argmax(1) != Y).all()
        assert ((state.x - X).flatten(1).abs().amax(1) <= state.reach + 1e-6).all()
        assert before is None or (state.reach <= before.reach).all()
        before = state
    assert (before.reach < 0.5 * watched.seen[0].reach).all()


def test_the_decay_doubles_where_it_held_and_halves_where_not() -> None:
    watched = Watched(PartialNES(**FINE))
    go(watched, budget=600)
    held = 0
    for before, after in zip(watched.seen[:-2], watched.seen[1:-1], strict=True):
        smaller = after.reach < before.reach
        expected = torch.minimum(torch.where(smaller, 2 * before.decay, before.decay / 2), 0.5 * after.reach)
        torch.testing.assert_close(after.decay, expected)
        held += int(smaller.sum())
    assert 0 < held < len(X) * (len(watched.seen) - 2), "both must have happened"


def test_the_ball_stops_at_eps() -> None:
    eps = 1.5 * float(PLANE.distance(X, Y, "Linf").max())
    watched = Watched(PartialNES(**FINE))
    result = go(watched, eps=eps)
    assert result.success.all() and (result.queries < 1500).all()
    assert all((state.reach >= eps - 1e-6).all() for state in watched.seen)


def test_labels_tell_the_normal_of_the_boundary() -> None:
    """On the boundary the score is 1/2; its slope points along the weights and has a closed form."""
    from blackbox.testing.driver import task

    normal = unit(PLANE.gradient(0, 1)[None])
    x = X + row_dot(0.5 - X, normal).view(-1, 1, 1, 1) * normal  # the plane goes through mid-grey
    t = task(x, threat=bb.Linf(math.inf), minimises=True)
    attack = LabelNES(samples=400, points=3, sigma=0.01, ball=0.002)
    steps, asked = attack.gradient(t, x, 0), 0
    try:
        ask = next(steps)
        while True:
            points = t.clip(x[:, None] + ask.u[None])
            assert ask.h == 1.0 and ask.u.abs().amax() < 0.06
            adv = (PLANE(points.flatten(0, 1)).argmax(1) == 1).view(len(x), -1)
            asked += adv.shape[1]
            ask = steps.send(bb.Tell(adv * 2.0 - 1, adv, torch.ones_like(adv), None))
    except StopIteration as end:
        g = end.value
    assert asked == 400 * 3
    cosine = row_dot(unit(g), normal.expand_as(g))
    assert (cosine > 0.8).all(), cosine  # 200 signs in 25 dimensions: 0.9 on average without the ball
    slope = 1 / math.sqrt(2 * math.pi * (0.01**2 + 0.002**2 / 3))  # of a normal distribution function in its middle
    torch.testing.assert_close(row_dot(g, normal.expand_as(g)), torch.full((6,), slope), rtol=0.15, atol=0)


def test_the_bill_of_a_gradient() -> None:
    """Six probes, each looked at in four points, in one call; all other calls are single tries."""
    seen = Recording(PLANE)
    oracle = bb.Oracle(seen, "labels", 2, returns="logits", rows_per_call=1000)
    result = bb.attack(oracle, X[:1], Y[:1], LabelNES(samples=6, points=4), bb.Linf(math.inf), 200)
    charged = seen.sizes[: -int((result.verified >= 0).sum())]
    assert set(charged[:-1]) == {1, 24} and charged.count(24) >= 4, "the budget cuts the last call"


class TestStarts:
    def test_a_given_start_is_looked_at_first(self) -> None:
        seen = Recording(PLANE)
        start = torch.where(PLANE.gradient(0, 1) > 0, 0.9, 0.1).expand(6, *SHAPE).clone()
        start[Y == 1] = 1 - start[Y == 1]
        oracle = bb.Oracle(seen, "topk", 2, k=1, returns="logits")
        attack = PartialNES(**FINE)
        result = bb.attack(oracle, X, Y, attack, bb.Linf(math.inf), 400, start=start, target=1 - Y)
        assert torch.equal(seen.shown[6:12], start)
        assert (result.first_success_query == 2).all(), "eps is unlimited: the start itself is the first example"

    def test_without_one_a_class_that_noise_never_meets_is_given_up(self) -> None:
        oracle = bb.Oracle(Constant(3), "labels", 3, returns="logits")
        result = bb.attack(oracle, X, torch.zeros(6, dtype=torch.int64), "nes-labels", bb.Linf(0.1), 500, target=2)
        assert set(result.status) == {bb.Status.NO_START}
        assert (result.queries == 1 + search.TRIES).all() and not result.success.any()

    def test_one_that_is_not_adversarial_leaves_the_others_alone(self) -> None:
        good = torch.where(PLANE.gradient(0, 1) > 0, 0.9, 0.1).expand(6, *SHAPE).clone()
        good[Y == 1] = 1 - good[Y == 1]
        bad = good.clone()
        bad[2] = X[2]
        whole = go(PartialNES(**FINE), budget=300, start=good)
        part = go(PartialNES(**FINE), budget=300, start=bad)
        others = [i for i in range(6) if i != 2]
        assert torch.equal(whole.x_adv[others], part.x_adv[others])
        assert part.success[2], "noise gave it a start"


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("nes-partial", {"samples": 3}, "even number"),
        ("nes-partial", {"smallest": 1.0}, "smallest <= step_size"),
        ("nes-partial", {"decay": 1.0}, "decay in"),
        ("nes-labels", {"points": 0}, "points"),
        ("nes-labels", {"own": True}, "own=False"),
        ("nes-labels", {"tries": 0}, "tries"),
    ],
)
def test_settings_that_cannot_be_say_so(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        attacks.build(name, **settings)


def test_a_target_that_sees_eight_bits_gets_probes_it_can_see() -> None:
    """With probes of a tenth of a level nothing would ever change."""

    def coarse(x: Tensor) -> Tensor:
        return PLANE((x * 255).round() / 255)

    away = torch.where(Y == 0, -0.1, 0.1).view(-1, 1, 1, 1)
    x = ((X + away * PLANE.gradient(0, 1).sign()) * 255).round() / 255
    reached = {}
    for probe in (0.0, 1 / 255):
        oracle = bb.Oracle(coarse, "labels", 2, returns="logits", probe=probe)
        attack = LabelNES(samples=20, sigma=1e-4, ball=1e-4)
        reached[probe] = bb.attack(oracle, x, Y, attack, bb.Linf(math.inf), 1200).distance
    assert float(reached[1 / 255].mean()) < 0.7 * float(reached[0.0].mean())


class TestPlateau:
    """The query-limited attack halves a row's step when its loss has not risen for so many steps."""

    def steps(self, target: Any, budget: int) -> list[float]:
        watched = Watched(attacks.build("nes", samples=4, plateau=3, smallest=0.02))
        oracle = bb.Oracle(target, "logits", 2, returns="logits")
        bb.attack(oracle, X[:1], torch.tensor([0]), watched, bb.Linf(0.002), budget)
        return [round(float(state.step[0]) / 0.002, 4) for state in watched.seen]

    def test_a_loss_that_never_rises_halves_it_down_to_the_smallest(self) -> None:
        seen = self.steps(Constant(2), 1 + 5 * 16)
        expected = [0.2] * 3 + [0.1] * 3 + [0.05] * 3 + [0.025] * 3 + [0.02] * 4
        assert seen[:16] == expected

    def test_one_that_rises_leaves_it_as_it_is(self) -> None:
        slope = Affine(torch.stack([torch.zeros(SHAPE), torch.ones(SHAPE)]), torch.tensor([100.0, 0.0]))
        seen = self.steps(slope, 1 + 5 * 4)
        assert seen[:4] == [0.2] * 4
