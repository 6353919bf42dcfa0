"""Which images each strategy asks about: against choices known in advance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import surrogates as sg
from blackbox.rng import Stream
from surrogates import acquisition as acquire
from surrogates.acquisition import DFAL, Jacobian, KCenter, Noised, Random, Situation, Uncertainty
from surrogates.acquisition.active import farthest_first
from surrogates.acquisition.synthetic import uphill
from surrogates.data.answers import Answers
from tests.surrogate_doubles import Affine, images


class Table(nn.Module):
    """Two classes; the probability of the first is the first pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        p = x.flatten(1)[:, 0]
        return torch.stack([p.log(), (1 - p).log()], 1)


def pixels(*values: float) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


def answers(x: Tensor, labels: list[int], classes: int = 3) -> Answers:
    return Answers(x, torch.tensor(labels), None, np.arange(len(x)), classes)


def situation(
    net: nn.Module, pool: Tensor, asked: Answers | None, left: Any, number: int = 1, seed: int = 0
) -> Situation:
    rng = Stream(seed, np.arange(len(pool), dtype=np.uint64))
    return Situation(number, net.eval(), asked, pool, np.asarray(left), rng)


def test_rounds_begin_with_a_tenth_and_leave_nothing_over() -> None:
    assert Random().plan(1000, 5000) == (100, *[90] * 10)
    assert Random(first=0.3, rounds=3).plan(100, 50) == (15, 12, 11, 12)  # the pool is smaller
    assert sum(Random().plan(17, 100)) == 17 and all(Random().plan(17, 100))
    assert acquire.Distil().plan(64, 100) == (64,)


def test_the_jacobian_bill_is_known_beforehand() -> None:
    assert Jacobian().plan(6400, 1000) == (150, 150, 300, 600, 1200, 2400, 1600)
    assert Jacobian().plan(10**6, 1000) == (150, 150, 300, 600, 1200, 2400, 4800)
    reserved = Jacobian(seeds=100, rounds=6, doubling=3, reservoir=400).plan(10**6, 1000)
    assert sum(reserved) == 100 * 2**3 + 400 * (6 - 3) and reserved[4:] == (400, 400, 400)
    assert Jacobian(seeds=100).plan(10**6, 40)[0] == 40
    assert Jacobian(rounds=0).plan(150, 1000) == (150,)
    with pytest.raises(ValueError, match=r"the seed set, 150 queries, but 149 are there.*seeds=149"):
        Jacobian().plan(149, 1000)
    print(acquire.bill(Jacobian(), 6400, 200, held_out=0.25))
    assert acquire.bill(Jacobian(), 6400, 200, held_out=0.25, evaluation=7).total == 6400
    assert acquire.bill(Random(), 1000, 300).total == 300


def test_the_direction_has_the_signs_of_the_probability_even_where_it_is_one() -> None:
    x, net = images(12), Affine(16, classes=3)
    labels = torch.arange(12) % 3
    x64 = x.double().requires_grad_()
    p = (x64.flatten(1) @ net.w.double().T + net.b.double()).softmax(1)
    slope = torch.autograd.grad(p[torch.arange(12), labels].sum(), x64)[0]
    assert torch.equal(uphill(net, x, labels).sign(), slope.sign().float())
    with torch.no_grad():  # class 0 certain to the last bit: the nearest other class is the one to leave
        net.b.copy_(torch.tensor([500.0, 3.0, -400.0]))
    assert float(net(x).detach().softmax(1)[:, 0].min()) == 1.0
    away = (net.w[0] - net.w[1]).detach().view(1, 4, 4).sign().expand(12, -1, -1, -1)
    assert torch.equal(uphill(net, x, torch.zeros(12, dtype=torch.int64)).sign(), away)


def test_new_images_follow_the_targets_labels_and_turn_back_every_third_round() -> None:
    x, net = images(6), Affine(16, classes=3)
    told = answers(x, [2, 1, 0, 0, 1, 2])
    step = 0.1 * uphill(net, x, told.labels).sign()
    for number, sign in ((1, 1), (2, 1), (3, -1), (5, -1), (6, 1)):
        found = Jacobian().select(situation(net, x, told, [], number), 6)
        torch.testing.assert_close(found.images, (x + sign * step).clamp(0, 1))
        assert (found.index == -1).all()
    assert torch.equal(
        Jacobian(flip=0).select(situation(net, x, told, [], 3), 6).images,
        Jacobian().select(situation(net, x, told, [], 1), 6).images,
    )
    edge = Jacobian(step=0.9).select(situation(net, x, told, []), 6).images
    assert float(edge.min()) == 0.0 and float(edge.max()) == 1.0


def test_the_reservoir_is_an_even_draw() -> None:
    x, net = images(20), Affine(16)
    told = answers(x, [0, 1] * 10)
    whole = Jacobian().select(situation(net, x, told, []), 20).images
    hits = np.zeros(20)
    for seed in range(300):
        some = Jacobian().select(situation(net, x, told, [], seed=seed), 5).images
        found = [int((whole - v).flatten(1).abs().amax(1).argmin()) for v in some]
        assert len(set(found)) == 5
        hits[found] += 1
    assert abs(hits - 75).max() < 4 * np.sqrt(300 * 0.25 * 0.75)


def test_noised_asks_for_images_and_then_for_the_same_under_noise() -> None:
    assert Noised().plan(6400, 5000) == (3200, 3200) and Noised().plan(7, 5000) == (4, 3)
    assert Noised(copies=2).plan(100, 20) == (20, 20, 20) and Noised().plan(1, 5) == (1,)
    x = 0.3 + 0.4 * images(6)
    told = answers(x, [0, 1] * 3)
    made = Noised(size=0.2).select(situation(Affine(16), x, told, []), 5)
    assert torch.allclose((made.images - x[:5]).abs(), torch.tensor(0.2)) and (made.index == -1).all()
    assert 0.3 < float((made.images > x[:5]).float().mean()) < 0.7
    other = Noised(size=0.2).select(situation(Affine(16), x, told, [], number=2), 5)
    assert not torch.equal(made.images, other.images)
    assert float(Noised(size=1.0).select(situation(Affine(16), x, told, []), 5).images.max()) == 1.0


def test_farthest_first_on_a_line() -> None:
    line = np.arange(11.0)[:, None]
    assert farthest_first(line, np.array([[0.0]]), 4).tolist() == [10, 5, 2, 7]
    assert sorted(farthest_first(np.zeros((3, 1)), np.zeros((1, 1)), 9).tolist()) == [0, 1, 2]


def test_uncertainty_takes_the_even_ones_and_k_center_the_far_ones() -> None:
    pool = pixels(0.02, 0.5, 0.9, 0.45, 0.98, 0.3)
    told = answers(pool[:1], [1], 2)
    now = situation(Table(), pool, told, [1, 2, 3, 4, 5])
    assert Uncertainty().select(now, 3).index.tolist() == [1, 3, 5]
    assert KCenter().select(now, 2).index.tolist() == [4, 1]
    assert sorted(Random().select(now, 5).index.tolist()) == [1, 2, 3, 4, 5]


def test_dfal_takes_what_lies_nearest_the_boundary() -> None:
    net, pool = Affine(16, classes=2), images(40, low=0.4, high=0.6)
    with torch.no_grad():
        net.b.copy_(torch.tensor([0.0, -float((pool.flatten(1) @ (net.w[1] - net.w[0])).mean())]))
    gap = (net(pool)[:, 1] - net(pool)[:, 0]).detach() / (net.w[1] - net.w[0]).norm()
    nearest = gap.abs().argsort().numpy()
    told = answers(pool[:1], [0], 2)
    now = situation(net, pool, told, np.arange(40))
    assert DFAL(shortlist=1).select(now, 7).index.tolist() == nearest[:7].tolist()
    hybrid = DFAL(shortlist=2).select(now, 7).index
    assert set(hybrid.tolist()) <= set(nearest[:14].tolist()) and len(set(hybrid.tolist())) == 7
    few = DFAL(looked_at=9).select(now, 7).index
    assert set(few.tolist()) <= set(now.random(9).tolist())


@pytest.mark.parametrize("name", acquire.names())
def test_first_rounds_are_random_and_draw_from_what_is_left(name: str) -> None:
    pool = images(30)
    now = situation(Affine(16), pool, None, [3, 5, 7, 11, 13, 17], 0)
    found = acquire.get(name).select(now, 4)
    assert set(found.index.tolist()) <= {3, 5, 7, 11, 13, 17} and len(set(found.index.tolist())) == 4
    assert torch.equal(found.images, pool[torch.from_numpy(found.index)])


@pytest.mark.parametrize("kind", ["uniform", "gaussian", "smooth"])
def test_noise_is_a_pool(kind: str) -> None:
    made, more = (acquire.noise((3, 8, 8), n, kind, seed=2) for n in (20, 30))
    assert made.images.shape == (20, 3, 8, 8) and torch.equal(made.images, more.images[:20])
    assert 0.4 < float(more.images.mean()) < 0.6 and float(more.images.std()) > 0.15
    rough = float((more.images[..., 1:] - more.images[..., :-1]).abs().mean())
    assert (rough < 0.15) is (kind == "smooth")


BAD: list[tuple[Any, str]] = [
    (lambda: acquire.get("entrpy"), "Did you mean 'entropy'"),
    (lambda: Random(first=0.0), "first in (0, 1)"),
    (lambda: DFAL(shortlist=0.5), "shortlist"),
    (lambda: Jacobian(seeds=1), "seeds to be at least 2"),
    (lambda: Jacobian(step=0.0), "step in (0, 1]"),
    (lambda: Noised(size=0.0), "size in (0, 1]"),
    (lambda: acquire.noise((1, 4, 4), 5, "pink"), "one of uniform"),
    (lambda: acquire.bill(Random(), 10, 10, held_out=1.0), "held_out"),
    (lambda: acquire.plot({"a": acquire.AgreementCurve("a", (5,))}, "x.png"), "neither"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_bad_input_gets_a_sentence(call: Any, words: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert words in str(error.value) and "\n" not in str(error.value)


def test_active_and_papernot_are_names_too() -> None:
    assert (
        acquire.get("active") == DFAL()
        and acquire.get("papernot") == Jacobian()
        and acquire.get(KCenter()) == KCenter()
    )
    assert sg.acquire is acquire
