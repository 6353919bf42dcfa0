"""Minimum-norm attacks against distances one can write down, and their independence of the batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import surrogates as sg
from surrogates.crafting.minimum_norm import MinimumNorm, amplify, carlini_wagner, deepfool, jsma, lbfgs
from surrogates.crafting.minimum_norm.jsma import best_pair, best_single
from tests.surrogate_doubles import Affine, images

QUICK = {"iterations": 60, "searches": 4, "c": 1.0, "learning_rate": 0.05}
ATTACKS: dict[str, Any] = {
    "lbfgs": lambda *a, **k: lbfgs(*a, **{"iterations": 10, "bisections": 4} | k),
    "carlini-wagner": lambda *a, **k: carlini_wagner(*a, **QUICK | k),
    "deepfool": deepfool,
    "deepfool linf": lambda *a, **k: deepfool(*a, norm="Linf", **k),
    "jsma": jsma,
}


def affine(classes: int = 3, n: int = 5) -> tuple[Affine, Tensor, Tensor]:
    """A net whose nearest boundaries lie well inside the box, and images with its own labels."""
    net, x = Affine(16, classes), images(n, low=0.4, high=0.6)
    with torch.no_grad():
        net.b.zero_()
        net.w /= 4
    return net, x, net(x).argmax(1)


def gaps(net: Affine, x: Tensor, y: Tensor, p: float = 2.0) -> Tensor:
    """[N, C]: the exact distance to each class's boundary in the norm dual to p."""
    with torch.no_grad():
        z = net(x)
        return torch.stack(
            [
                (z.gather(1, y[:, None])[:, 0] - z[:, j]) / (net.w[y] - net.w[j]).norm(p, dim=1).clamp_min(1e-9)
                for j in range(z.shape[1])
            ],
            1,
        )


def nearest(net: Affine, x: Tensor, y: Tensor, p: float = 2.0) -> Tensor:
    return gaps(net, x, y, p).scatter(1, y[:, None], math.inf).amin(1)


class Sphere(nn.Module):
    """Class 0 inside the sphere of radius r around c, class 1 outside."""

    def __init__(self, c: Tensor, r: float) -> None:
        super().__init__()
        self.c, self.r = nn.Parameter(c), r

    def forward(self, x: Tensor) -> Tensor:
        far = ((x - self.c) ** 2).flatten(1).sum(1)
        return torch.stack([torch.full_like(far, self.r**2), far], 1) * 5


# -- L-BFGS


def test_lbfgs_finds_the_distance_and_the_c_of_an_affine_net() -> None:
    """Two classes: c |r| + CE along w is least on the boundary when c = |w| / 2, so that is the largest c."""
    net, x, y = affine(2)
    found = lbfgs(net, x, y)
    width = float((net.w[0] - net.w[1]).norm().detach())
    assert bool(found.success.all()) and not bool(found.already.any()) and found.norm == "L2"
    assert torch.allclose(found.distance, nearest(net, x, y), rtol=0.01)
    assert bool((found.distance >= nearest(net, x, y) - 1e-6).all())
    assert found.c is not None and torch.allclose(found.c, torch.full((5,), width / 2), rtol=0.005)
    assert torch.equal(net(found.x_adv).argmax(1), 1 - y) and torch.equal(found.label, 1 - y)


def test_lbfgs_squared_has_its_own_c() -> None:
    """2 c s = |w| / 2 on the boundary, at s = distance."""
    net, x, y = affine(2)
    found, width = lbfgs(net, x, y, squared=True), float((net.w[0] - net.w[1]).norm().detach())
    assert torch.allclose(found.distance, nearest(net, x, y), rtol=0.01)
    assert found.c is not None and torch.allclose(found.c, width / 4 / nearest(net, x, y), rtol=0.02)


def test_lbfgs_keeps_the_box() -> None:
    """On a half-space the nearest point of the box is clip(x + s w), for the least s that crosses."""
    net, x, y = affine(2)
    x = (x - 0.5) * 5 + 0.5  # 0 to 1: some entries near the wall
    y = net(x).argmax(1)
    box = (0.0, 1.0)
    found = lbfgs(net, x, y, bisections=16, box=box)
    for i in range(len(x)):
        w = (net.w[1 - y[i]] - net.w[y[i]]).detach().double().view(1, 1, 4, 4)
        low, high = 0.0, 10.0
        for _ in range(60):
            s = (low + high) / 2
            crossed = int(net.double()((x[i : i + 1].double() + s * w).clamp(*box)).argmax()) != int(y[i])
            low, high = (low, s) if crossed else (s, high)
        net.float()
        best = (x[i : i + 1].double() + high * w).clamp(*box)
        assert float((best - x[i : i + 1]).norm()) == pytest.approx(float(found.distance[i]), rel=0.01)
    assert float(found.x_adv.min()) >= 0 and float(found.x_adv.max()) <= 1
    cut = (x + (nearest(net, x, y)[:, None] * torch.nn.functional.normalize(net.w[1 - y] - net.w[y])).view_as(x)).clamp(
        *box
    )
    assert bool((net(cut).argmax(1) == y).any()), "the box must matter in this case"


def test_lbfgs_tries_the_nearest_classes() -> None:
    """The cheapest of all classes is at most that of the first candidate, and near the exact distance (cross-entropy
    also flees from the other classes, so it is not the exact one)."""
    net, x, y = affine(6, n=2)
    one, five = lbfgs(net, x, y, candidates=1), lbfgs(net, x, y, candidates=5)
    assert bool((five.distance <= one.distance).all()) and int(five.gradients.sum()) > 3 * int(one.gradients.sum())
    exact = nearest(net, x, y)
    assert bool((five.distance >= exact - 1e-6).all()) and bool((five.distance <= 1.3 * exact).all())
    assert torch.equal(one.label, gaps(net, x, y).scatter(1, y[:, None], math.inf).argmin(1))


def test_lbfgs_keeps_the_nearest_of_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it is not the first that was tried."""
    import sys

    from surrogates.crafting.minimum_norm.core import nearest_classes

    net, x, y = affine(3, n=2)
    usual = ATTACKS["lbfgs"](net, x, y, candidates=2)
    module = sys.modules["surrogates.crafting.minimum_norm.lbfgs"]  # as an attribute, the name is the function's
    monkeypatch.setattr(module, "nearest_classes", lambda case, count: nearest_classes(case, count).flip(1))
    turned = ATTACKS["lbfgs"](net, x, y, candidates=2)
    assert torch.equal(turned.x_adv, usual.x_adv) and torch.equal(turned.label, usual.label)


# -- the others


@pytest.mark.parametrize(("norm", "p"), [("L2", 2.0), ("Linf", 1.0)])
def test_deepfool_is_one_step_on_an_affine_net(norm: str, p: float) -> None:
    net, x, y = affine(4)
    found = deepfool(net, x, y, norm=norm, overshoot=0.02)
    assert torch.allclose(found.distance, 1.02 * nearest(net, x, y, p), rtol=1e-3)
    assert found.iterations.tolist() == [1] * 5 and found.gradients.tolist() == [4 + 3] * 5 and found.norm == norm


def test_deepfool_to_a_target_steps_onto_its_boundary() -> None:
    net, x, y = affine(2)
    found = deepfool(net, x, y, target=1 - y)
    assert torch.equal(found.label, 1 - y) and torch.allclose(found.distance, 1.02 * nearest(net, x, y), rtol=1e-3)


def test_carlini_wagner_finds_the_distance_of_an_affine_net() -> None:
    net, x, y = affine(3)
    found = carlini_wagner(net, x, y, **QUICK | {"iterations": 200})
    assert torch.allclose(found.distance, nearest(net, x, y), rtol=0.03)
    assert bool((found.distance >= nearest(net, x, y) - 1e-6).all())


def test_confidence_is_a_margin_and_lengthens_the_way() -> None:
    """Two classes: |z_t - z_y| = kappa is reached kappa / |w| further on."""
    net, x, y = affine(2)
    kappa, width = 0.1, float((net.w[0] - net.w[1]).norm().detach())
    found = carlini_wagner(net, x, y, confidence=kappa, **QUICK | {"iterations": 100, "searches": 7})
    z = net(found.x_adv)
    assert bool((z.gather(1, (1 - y)[:, None]) - z.gather(1, y[:, None]) >= kappa - 1e-5).all())
    assert torch.allclose(found.distance, nearest(net, x, y) + kappa / width, rtol=0.03)


MORE: dict[str, Any] = {"lbfgs": {"bisections": 8}, "carlini-wagner": {"searches": 7}}


@pytest.mark.parametrize(
    ("name", "start"), [("lbfgs", 0.6), ("carlini-wagner", 0.6), ("deepfool", 0.9), ("lbfgs", 0.5)]
)
def test_the_way_to_a_sphere_is_radial(name: str, start: float) -> None:
    """From near the centre, too: the slope is so small there that r = 0 is a local minimum for the c that is wanted."""
    x = images(3, low=start - 0.03, high=start + 0.03)
    net = Sphere(torch.full((1, 4, 4), 0.5), 0.8)
    found = ATTACKS[name](net, x, net(x).argmax(1), **MORE.get(name, {}))
    exact = (0.8 - (x - 0.5).flatten(1).norm(dim=1)).abs()
    assert bool((found.distance >= exact - 1e-6).all()) and torch.allclose(found.distance, exact, rtol=0.03)


def test_jsma_takes_the_pairs_by_hand() -> None:
    """Logits w.x and -w.x: the saliency of a pair is (w_i + w_j)^2 where the sum is positive, so it takes the largest."""
    net = Affine(6, 2)
    with torch.no_grad():
        net.w.copy_(torch.tensor([[0.1, 0.5, -0.3, 0.9, 0.2, 0.4]]) * torch.tensor([[1.0], [-1.0]]))
        net.b.copy_(torch.tensor([-1.35, 1.35]))
    x = torch.full((1, 6), 0.5)  # w.x = 0.9; +0.7 after the pair (3, 1), +0.3 after (5, 4)
    found = jsma(net, x, torch.tensor([1]), target=torch.tensor([0]), gamma=1.0)
    assert torch.equal(found.x_adv, torch.tensor([[0.5, 1.0, 0.5, 1.0, 0.5, 0.5]])) and float(found.distance) == 2
    with torch.no_grad():
        net.b.copy_(torch.tensor([-1.7, 1.7]))
    found = jsma(net, x, torch.tensor([1]), target=torch.tensor([0]), gamma=1.0)
    assert torch.equal(found.x_adv, torch.tensor([[0.5, 1.0, 0.5, 1.0, 1.0, 1.0]])) and found.iterations.tolist() == [2]
    assert not bool(jsma(net, x, torch.tensor([1]), gamma=0.34).success), "two of six entries are not enough"
    single = jsma(net, x, torch.tensor([1]), gamma=1.0, pairs=False)
    assert torch.equal(single.x_adv, torch.tensor([[0.5, 1.0, 0.5, 1.0, 0.5, 1.0]]))
    dark = jsma(net, 1 - torch.zeros(1, 6), torch.tensor([0]), gamma=1.0, theta=-0.25)
    assert bool(dark.success) and bool((dark.x_adv <= 1).all()) and float(dark.x_adv[0, 3]) < 1


def test_jsma_wants_the_target_up_and_the_others_down() -> None:
    a, b, free = torch.tensor([3.0, 2, 1, 1]), torch.tensor([5.0, -1, -4, -3]), torch.ones(4, dtype=torch.bool)
    # (0, 1) raises the target most, but the others too; of the pairs that lower them, -(2 + 1)(-1 - 4) is the largest
    assert best_pair(a, b, free).tolist() == [1, 2]  # type: ignore[union-attr]
    assert best_pair(a, b, torch.tensor([True, True, False, True])).tolist() == [1, 3]  # type: ignore[union-attr]
    assert best_pair(-a, b, free) is None and best_pair(a, b, ~free) is None
    assert best_single(a, b, free).tolist() == [2]  # type: ignore[union-attr]
    assert best_single(a, -b, free).tolist() == [0] and best_single(-a, b, free) is None  # type: ignore[union-attr]


# -- what all have in common


@pytest.mark.parametrize("name", ATTACKS)
def test_a_target_is_reached(name: str) -> None:
    net, x, y = affine(3)
    goal = (y + 1) % 3
    found = ATTACKS[name](net, x, y, target=goal, **({"gamma": 1.0} if name == "jsma" else {}))
    assert (
        bool(found.success.all()) and torch.equal(found.label, goal) and torch.equal(net(found.x_adv).argmax(1), goal)
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_a_row_does_not_depend_on_its_batch(name: str) -> None:
    net = sg.build("lenet", 3, (1, 8, 8), seed=1)
    x = images(4, (1, 8, 8))
    y = sg.predict(net, x)
    more = {"jsma": {"gamma": 1.0, "theta": -1.0}, "carlini-wagner": {"searches": 2}, "lbfgs": {"candidates": 1}}.get(
        name, {}
    )
    whole = ATTACKS[name](net, x, y, **more)
    assert bool(whole.success.any())
    order = torch.tensor([3, 0])
    part = ATTACKS[name](net, x[order], y[order], **more)
    for field in ("x_adv", "success", "distance", "label", "iterations", "gradients"):
        assert torch.equal(getattr(part, field), getattr(whole, field)[order]), field


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_wrong_already_costs_nothing_and_is_in_no_rate(name: str) -> None:
    net, x, y = affine(3)
    y = y.clone()
    y[1] = (y[1] + 1) % 3
    found = ATTACKS[name](net, x, y)
    assert found.already.tolist() == [False, True, False, False, False]
    assert float(found.distance[1]) == 0 and bool(found.success[1]) and int(found.iterations[1]) == 0
    assert torch.equal(found.x_adv[1], x[1]) and (found.rate.n, found.rate.k) == (4, int(found.success.sum()) - 1)


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_done_where_all_are_wrong_already(name: str) -> None:
    net, x, y = affine(3)
    found = ATTACKS[name](net, x, (y + 1) % 3)
    assert bool(found.already.all()) and torch.equal(found.x_adv, x) and found.rate.n == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_a_flat_net_is_never_fooled_and_says_so(name: str) -> None:
    net, x, _ = affine(3)
    with torch.no_grad():
        net.w.zero_()
        net.b[0] = 1.0
    found = ATTACKS[name](net, x, torch.zeros(5, dtype=torch.int64))
    assert not bool(found.success.any()) and bool(found.distance.isinf().all()) and torch.equal(found.x_adv, x)
    assert torch.equal(found.label, torch.zeros(5, dtype=torch.int64)) and found.rate.k == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_several_nets_are_the_mean_of_their_logits(name: str) -> None:
    net, x, y = affine(3)
    half, rest = Affine(16, 3), Affine(16, 3)
    with torch.no_grad():
        half.w.copy_(0.5 * net.w + 1)
        rest.w.copy_(1.5 * net.w - 1)
        half.b.fill_(1.0)
        rest.b.fill_(-1.0)
    alone, both = ATTACKS[name](net, x, y), ATTACKS[name]([half, rest], x, y)
    assert torch.allclose(alone.x_adv, both.x_adv, atol=1e-3) and both.gradients.sum() > 1.5 * alone.gradients.sum()


def test_amplify_reaches_the_rms_after_the_cut() -> None:
    x = images(4, low=0.0, high=1.0)
    change = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) * 0.01
    x_adv = (x + change).clamp(0, 1)
    x_adv[3] = x[3]
    big = amplify(x_adv, x, 0.1)
    rms = (big - x).flatten(1).square().mean(1).sqrt()
    assert torch.allclose(rms[:3], torch.full((3,), 0.1), rtol=1e-4) and torch.equal(big[3], x[3])
    assert float(big.min()) >= 0 and float(big.max()) <= 1
    inside = (big > 0) & (big < 1) & (x_adv > 0) & (x_adv < 1)
    ratio = ((big - x) / (x_adv - x))[0][inside[0]]
    assert float(ratio.max() - ratio.min()) < 1e-2 * float(ratio.mean()), "the direction stays"
    assert torch.equal(amplify(np.asarray(x_adv), np.asarray(x), 0.1), big)


def test_rms_is_the_papers_distortion() -> None:
    net, x, y = affine(2)
    found = deepfool(net, x, y)
    assert isinstance(found, MinimumNorm) and torch.allclose(found.rms(x), found.distance / 4)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": torch.tensor([0, 1, 3])}, "sample 2 has 3"),
        ({"target": torch.tensor([1, 1, 1])}, "other than the true label, but for sample 1"),
        ({"x": images(3) * 300}, "Divide by 255"),
        ({"x": images(3, (1, 8, 8))}, "images of shape (1, 4, 4) for the net, but they had shape (1, 8, 8)"),
        ({"box": (0.5, 0.4)}, "lower < upper"),
        ({"box": (0.0, 0.3)}, "lie in the box (0.0, 0.3), but sample 0"),
        ({"nets": [Affine(16, 3), Affine(16, 4)]}, "same classes"),
    ],
)
def test_bad_input_gets_a_sentence(name: str, change: dict, words: str) -> None:
    args = {"nets": sg.build("mlp", 3, (1, 4, 4)), "x": images(3), "y": torch.arange(3)} | change
    with pytest.raises(ValueError) as error:
        ATTACKS[name](args.pop("nets"), args.pop("x"), args.pop("y"), **args)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("attack", "settings", "words"),
    [
        (lbfgs, {"c": 0.0}, "c to be positive"),
        (lbfgs, {"candidates": 0}, "candidates to be positive"),
        (carlini_wagner, {"confidence": -1.0}, "confidence to be at least 0"),
        (carlini_wagner, {"learning_rate": -1.0}, "learning_rate to be positive"),
        (deepfool, {"norm": "L1"}, "norm to be L2 or Linf"),
        (deepfool, {"overshoot": -1.0}, "overshoot to be at least 0"),
        (jsma, {"theta": 0.0}, "theta to be a number other than 0"),
        (jsma, {"gamma": 1.5}, "gamma to be a share"),
    ],
)
def test_bad_settings_get_a_sentence(attack: Any, settings: dict, words: str) -> None:
    net, x, y = affine()
    with pytest.raises(ValueError, match=words):
        attack(net, x, y, **settings)


def test_jsma_refuses_the_pairs_of_large_images() -> None:
    net = Affine(10_000, 2)
    with pytest.raises(ValueError, match="pairs=False"):
        jsma(net, images(1, (1, 100, 100)), torch.tensor([0]))


def test_amplify_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="shape of x"):
        amplify(images(2), images(3), 0.1)
    with pytest.raises(ValueError, match="rms to be positive"):
        amplify(images(2), images(2), 0.0)


def test_a_net_that_answers_nan_is_refused() -> None:
    net, x, y = affine()
    with torch.no_grad():
        net.b[0] = float("nan")
    with pytest.raises(ValueError, match="NaN for sample 0"):
        deepfool(net, x, y)
