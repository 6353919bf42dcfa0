"""8-bit results: every reported image is one, inside the threat, and success is its own."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

import blackbox as bb
from blackbox.engine.rounding import ROUNDINGS, rounded
from blackbox.protocol import Status
from blackbox.testing import Affine, ReluNet
from blackbox.threat import Threat, eight_bit
from tests.toys import Bisection, RandomSigns

LEVELS = torch.arange(256).to(torch.uint8).float() / 255


def threats(d: int) -> list[Threat]:
    return [bb.Linf(8 / 255), bb.Linf(0.03), bb.Linf(0.5 / 255), bb.L2(0.05 * d**0.5), bb.L1(0.02 * d)]


class TestRounding:
    def test_by_hand(self) -> None:
        x0 = torch.tensor([[100, 100, 100, 100, 100, 0, 255]]).to(torch.uint8).float() / 255
        x = torch.tensor([[100.4, 101.7, 99.4, 98.2, 103.0, 0.9, 254.01]]) / 255
        assert (eight_bit(x, x0) * 255).round().tolist() == [[100, 101, 100, 99, 103, 0, 255]]

    def test_an_image_off_the_grid(self) -> None:
        x0 = torch.tensor([[10.3, 10.3, 10.3, 10.7]]) / 255
        x = torch.tensor([[12.6, 8.4, 10.4, 10.6]]) / 255
        # on the way back: 12, 9; nothing on the way: the multiple nearest to the original
        assert (eight_bit(x, x0) * 255).round().tolist() == [[12, 9, 10, 11]]

    @pytest.mark.parametrize("threat", threats(256), ids=str)
    def test_corners_of_the_ball_lose_no_level(self, threat: Threat) -> None:
        x0 = LEVELS[None].clone()
        for direction in (torch.ones_like(x0), -torch.ones_like(x0)):
            x = threat.project(x0 + direction * threat.eps, x0)
            q = eight_bit(x, x0)
            if isinstance(threat, bb.Linf):
                whole = int(threat.eps * 255 + 1e-9)
                want = (torch.arange(256) + whole * direction[0]).clamp(0, 255)
                assert torch.equal((q[0] * 255).round(), want)
            assert float(threat.distance(q, x0)) <= threat.eps + threat.tolerance

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**31), st.sampled_from(threats(48)))
    def test_valid_inside_and_nearer(self, seed: int, threat: Threat) -> None:
        draw = np.random.default_rng(seed)
        x0 = LEVELS[torch.from_numpy(draw.integers(0, 256, (4, 3, 4, 4)))]
        x = threat.project(x0 + torch.from_numpy(draw.normal(0, 0.1, x0.shape)).float(), x0)
        q = eight_bit(x, x0)
        level, level0 = (q.double() * 255).round(), (x0.double() * 255).round()
        assert torch.equal(q, level.to(torch.uint8).float() / 255), "the very floats that an 8-bit file gives"
        assert ((q - x0).abs() <= (x - x0).abs() + 1e-6).all()
        if isinstance(threat, bb.Linf):  # in whole levels, with no tolerance
            assert float((level - level0).abs().max()) <= threat.eps * 255 + 1e-9
        assert (threat.distance(q, x0) <= threat.eps + threat.tolerance).all()
        assert torch.equal(eight_bit(x0, x0), x0) and torch.equal(eight_bit(q, x0), q)
        # what goes through a file is the same image
        assert torch.equal((q * 255).round().to(torch.uint8).float() / 255, q)


NET = ReluNet.random((3, 6, 6), seed=3)


def images(n: int) -> torch.Tensor:
    return LEVELS[torch.from_numpy(np.random.default_rng(0).integers(60, 196, (n, 3, 6, 6)))]


def attack(threat: Threat, eight: bool, net: Any = NET, x: torch.Tensor | None = None, how: Any = None, **more: Any) -> bb.AttackResult:
    x = images(24) if x is None else x
    oracle = bb.Oracle(net, "logits", 3)
    r = bb.attack(oracle, x, net(x).argmax(1), how or RandomSigns(), threat, 25, eight_bit=eight, **more)
    assert oracle.rows == int(r.queries.sum()), "looking at the rounded images is not charged"
    return r


class TestOtherRoundings:
    def test_by_hand(self) -> None:
        x0 = torch.tensor([[100, 100, 100, 100, 100, 0, 255]]).to(torch.uint8).float() / 255
        x = torch.tensor([[100.4, 101.7, 99.4, 98.2, 103.0, 0.9, 254.01]]) / 255
        near, far = (rounded(x, x0, bb.L2(float("inf")), way) for way in ("nearest", "away"))
        assert (near * 255).round().tolist() == [[100, 102, 99, 98, 103, 1, 254]]
        assert (far * 255).round().tolist() == [[101, 102, 99, 98, 103, 1, 254]]
        inside = rounded(x, x0, bb.Linf(1.8 / 255), "away")
        assert (inside * 255).round().tolist() == [[101, 101, 99, 99, 101, 1, 254]]

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**31), st.sampled_from([*threats(48), bb.L2(float("inf")), bb.Linf(float("inf"))]))
    def test_each_is_farther_than_the_one_before_and_an_8_bit_image_of_the_box(self, seed: int, threat: Threat) -> None:
        draw = np.random.default_rng(seed)
        x0 = LEVELS[torch.from_numpy(draw.integers(0, 256, (4, 3, 4, 4)))]
        x = threat.project(x0 + torch.from_numpy(draw.normal(0, 0.1, x0.shape) * draw.integers(0, 2, x0.shape)).float(), x0)
        made = [rounded(x, x0, threat, way) for way in ROUNDINGS]
        for a, b in pairwise(made):
            assert ((a - x0).abs() <= (b - x0).abs()).all()
        for q in made:
            assert torch.equal(q, (q.double() * 255).round().to(torch.uint8).float() / 255)
            assert torch.equal(q[x == x0], x0[x == x0])
            if isinstance(threat, bb.Linf):
                assert (threat.distance(q, x0) <= threat.eps + threat.tolerance).all()

    @pytest.mark.parametrize(
        ("found", "above", "eps", "calls", "level"),
        [
            (102.6, 101.9, 9, 1, 102),  # towards the original
            (102.6, 102.5, 9, 2, 103),  # to the nearest level
            (102.4, 102.3, 9, 3, 103),  # away; the nearest level is that before, which is not asked for again
            (102.4, 102.3, 2.9, 1, None),  # no other level inside
        ],
    )
    def test_only_where_one_is_lost_the_next_is_asked_about(
        self, found: float, above: float, eps: float, calls: int, level: int | None
    ) -> None:
        target = Affine(torch.tensor([[0.0], [1.0]]), torch.tensor([above / 255, 0.0]))
        x = LEVELS[100].view(1, 1)
        oracle = bb.Oracle(target, "logits", 2)
        r = bb.attack(oracle, x, torch.tensor([0]), Jump(found / 255), bb.Linf(eps / 255), 9, eight_bit=True)
        assert r.success_float.all() and r.success.tolist() == [level is not None]
        assert float(r.x_adv * 255) == pytest.approx(level or 102, abs=1e-3)
        assert oracle.counts["verify"] == 1 + min(calls, 2) and int(r.queries) == 2
        assert float(r.distance) == pytest.approx(((level or 102) - 100) / 255, abs=1e-6)
        assert r.adv_label.tolist() == [1 if level else 0]


class Jump:
    """One step, to one point."""

    access, norms = bb.Access.LABELS, ("Linf",)

    def __init__(self, to: float) -> None:
        self.to = to

    def init(self, t: bb.Task) -> torch.Tensor:
        return t.x0

    def step(self, t: bb.Task, s: torch.Tensor, k: int) -> Any:
        yield bb.Ask(torch.full_like(s, self.to))
        return s


class TestResult:
    @pytest.mark.parametrize("threat", [bb.Linf(2.6 / 255), bb.L2(0.12)], ids=str)
    def test_success_is_that_of_the_rounded_image(self, threat: Threat) -> None:
        plain, r = attack(threat, False), attack(threat, True)
        assert torch.equal(plain.success, r.success_float) and torch.equal(plain.queries, r.queries)
        first = eight_bit(plain.x_adv, images(24))
        holds = NET(first).argmax(1) != r.y  # as it did when this was the only rounding
        assert torch.equal(r.x_adv[holds | ~r.success], first[holds | ~r.success])
        if threat.norm == "Linf":  # at the corners of the ball there is no other level inside
            assert not (r.success & ~holds).any()
        fooled = NET(r.x_adv).argmax(1) != r.y
        assert torch.equal(r.success, r.success_float & fooled)
        lost = r.success_float & ~r.success
        assert 0 < int(lost.sum()) < int(r.success_float.sum()), "the case is one where rounding costs something, not all"
        assert (r.first_success_query > 0).equal(r.success)
        assert [s is Status.ROUNDED_AWAY for s in r.status] == lost.tolist()
        assert torch.allclose(r.distance[r.success], threat.distance(r.x_adv, images(24))[r.success])
        assert (r.distance[r.success] <= threat.eps + threat.tolerance).all()
        assert f"so rounding lost {int(lost.sum())}" in r.summary() and r.success_rate.k == int(r.success.sum())
        assert Status.ROUNDED_AWAY.value in r.summary()
        assert r.robust_accuracy.k == int((r.attacked & ~r.success).sum())

    def test_without_it_nothing_changes(self) -> None:
        r = attack(bb.Linf(2.6 / 255), False)
        assert torch.equal(r.success, r.success_float) and "8-bit" not in r.summary() and not r.config["eight_bit"]

    def test_whole_levels_lose_nothing(self) -> None:
        r = attack(bb.Linf(3 / 255), True)
        assert r.success.any() and torch.equal(r.success, r.success_float)

    def test_a_minimising_attack_outside_the_threat(self) -> None:
        r = attack(bb.L2(0.02), True, how=Bisection())
        assert not r.success.any() and (r.distance > 0.02).any()
        assert torch.allclose(r.x_adv * 255, (r.x_adv * 255).round(), atol=1e-4)
        r = attack(bb.L2(float("inf")), True, how=Bisection())
        plain = attack(bb.L2(float("inf")), False, how=Bisection())
        towards = NET(eight_bit(plain.x_adv, images(24))).argmax(1) != r.y
        assert r.success.all() and r.success_float.all() and not towards.all(), "at the boundary, towards the original: lost"

    def test_an_original_off_the_grid_may_leave_no_8_bit_image_inside(self) -> None:
        one = Affine(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0.4 / 255, 0.0]))  # class 1 above 0.4 / 255
        x = torch.tensor([[0.3, 0.3]]) / 255
        r = bb.attack(bb.Oracle(one, "labels", 2), x, torch.tensor([0]), RandomSigns(), bb.Linf(0.2 / 255), 30, eight_bit=True)
        assert r.success_float.all() and not r.success.any() and r.status == (Status.ROUNDED_AWAY,)
        assert r.x_adv.tolist() == [[0.0, 0.0]]

    def test_resumed(self, tmp_path: Path) -> None:
        threat = bb.Linf(2.6 / 255)
        path = tmp_path / "run.ckpt"
        first = attack(threat, True, checkpoint=path)
        again = attack_again(threat, path)
        assert torch.equal(first.x_adv, again.x_adv) and torch.equal(first.success, again.success)

    def test_saved_and_loaded(self, tmp_path: Path) -> None:
        r = attack(bb.Linf(2.6 / 255), True)
        back = bb.AttackResult.load(r.save(tmp_path))
        assert torch.equal(back.success_float, r.success_float) and back.status == r.status
        assert back.summary() == r.summary()
        header = (tmp_path / "outcomes.csv").read_text().splitlines()[0].split(",")
        assert "success_float" in header


def attack_again(threat: Threat, path: Path) -> bb.AttackResult:
    """The same call on a finished checkpoint: nothing is asked again but the uncharged looks."""
    oracle = bb.Oracle(NET, "logits", 3)
    x = images(24)
    r = bb.attack(oracle, x, NET(x).argmax(1), RandomSigns(), threat, 25, eight_bit=True, checkpoint=path)
    assert oracle.rows == 0 and oracle.counts["verify"] > 0
    return r


class TestOriginalOffTheGrid:
    """Seventeen levels, as in the digits: of 16 pixels 15 are no multiples of 1/255."""

    X0 = torch.arange(16).view(1, 1, 4, 4).float() / 16

    @pytest.mark.parametrize("way", ROUNDINGS)
    def test_entries_that_were_not_changed_stay(self, way: str) -> None:
        x = self.X0.clone()
        x[0, 0, 1, 1] = 100.4 / 255  # 5/16 is 79.7 levels
        made = rounded(x, self.X0, bb.L0(1), way)
        assert float(bb.L0(1).distance(made, self.X0)) == 1 and torch.equal(made[x == self.X0], self.X0[x == self.X0])
        assert float(made[0, 0, 1, 1] * 255) == pytest.approx(101 if way == "away" else 100, abs=1e-4)
        assert torch.equal(rounded(self.X0, self.X0, bb.L0(1), way), self.X0)

    def test_a_success_of_few_pixels_is_kept_and_they_alone_are_counted(self) -> None:
        def target(x: torch.Tensor) -> torch.Tensor:  # class 1 where pixel 5 is above 0.9
            return torch.stack([torch.full((len(x),), 0.9), x.flatten(1)[:, 5]], 1)

        oracle = bb.Oracle(target, "scores", 2, returns="logits")
        r = bb.attack(oracle, self.X0, torch.tensor([0]), "sparse", bb.L0(3), 200, eight_bit=True)
        assert r.success.all() and r.success_float.all() and 1 <= float(r.distance) <= 3
        assert int((r.x_adv != self.X0).sum()) == int(r.distance)
