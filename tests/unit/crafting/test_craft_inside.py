"""Surgery as parts, feature losses, clean feature mixup and self-universality, by hand on small nets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import L2, Linf
from surrogates.crafting import parts, presets
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.views import Draw
from surrogates.crafting.surgery import hooks
from tests.surrogate_doubles import Affine, Residual, images, lighter, served

T = Linf(0.01)
INSIDE = ["sgm", "linbp", "bpa", "ila", "fia", "naa", "bfa", "cfm", "su"]


class Layers(nn.Module):
    """F = A x, then the classes' scores: W F, or W F^2 / 2 when bent."""

    def __init__(self, bent: bool = False, classes: int = 3) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(4)
        self.front, self.bent = nn.Linear(16, 6, bias=False), bent
        self.w = nn.Parameter(torch.randn(classes, 6, generator=g))
        with torch.no_grad():
            self.front.weight.copy_(torch.randn(6, 16, generator=g) / 4)

    def forward(self, x: Tensor) -> Tensor:
        f = self.front(x.flatten(1))
        return F.linear(f * f / 2 if self.bent else f, self.w)

    def slope(self, weights: Tensor) -> Tensor:
        """<weights, F> with respect to the image."""
        return (weights @ self.front.weight).view(-1, 1, 4, 4).detach()


X, Y = images(5), torch.arange(5) % 3


def once(net: nn.Module, attack: Any, **more: Any) -> Tensor:
    """The change that one step of an attack makes, as signs."""
    return (sg.craft(net, X, Y, attack | parts.Tap("front"), threat=T, steps=1, **more) - X).sign()


# -- feature losses


def test_fia_weighs_features_by_the_classs_logit() -> None:
    net = Layers()
    want = net.slope(net.w[Y])
    assert torch.equal(once(net, parts.FIA(count=3)), -want.sign())
    goal = (Y + 1) % 3
    assert torch.equal(once(net, parts.FIA(count=3), target=goal), net.slope(net.w[goal]).sign())


def test_fia_blackens_what_the_mask_does_not_keep() -> None:
    """With bent scores the logit's gradient is w F: of the image itself when all is kept, nothing when nothing is."""
    net = Layers(bent=True)
    f = net.front(X.flatten(1))
    assert torch.equal(once(net, parts.FIA(count=2, keep=1.0)), -net.slope(net.w[Y] * f).sign())
    assert torch.equal(once(net, parts.FIA(count=2, keep=0.0)), torch.zeros_like(X))
    rng = Stream(0, np.arange(5, dtype=np.uint64))
    masked = sum(net.front((X * (rng.uniform(0, f"fia {j}", (1, 4, 4)) < 0.7)).flatten(1)) for j in range(4))
    assert torch.equal(once(net, parts.FIA(count=4)), -net.slope(net.w[Y] * masked).sign())


def test_naa_averages_along_the_way_from_black() -> None:
    net, total = Layers(bent=True), torch.zeros(5, 6)
    for j in (1, 2, 3):
        f = net.front((X * (j / 3)).flatten(1)).detach().requires_grad_()
        p = F.linear(f * f / 2, net.w).softmax(1)[torch.arange(5), Y]
        total += torch.autograd.grad(p.sum(), f)[0]
    assert torch.equal(once(net, parts.NAA(count=3)), -net.slope(total).sign())


def test_naa_has_a_slope_where_the_net_is_sure() -> None:
    net = Layers()
    with torch.no_grad():
        gap = net(X).topk(2).values
        net.w.mul_(120 / float((gap[:, 0] - gap[:, 1]).max()))
        sure = net(X).argmax(1)
        certain = net(X / 2).softmax(1)[torch.arange(5), sure] == 1
    made = sg.craft(net, X, sure, parts.NAA(count=2) | parts.Tap("front"), threat=T, steps=1)
    assert int(certain.sum()) > 1 and bool((made != X).all())


def test_bfa_moves_away_from_the_class_before_it_looks() -> None:
    net, total, point = Layers(bent=True), torch.zeros(5, 6), X
    for _ in range(2):
        at = point.detach().requires_grad_()
        g = torch.autograd.grad(F.cross_entropy(net(at), Y, reduction="sum"), at)[0]
        point = X + 0.05 * 4 * g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        total += net.w[Y].detach() * net.front(point.flatten(1)).detach()
    assert torch.equal(once(net, parts.BFA(count=2, rms=0.05)), -net.slope(total).sign())


def test_ila_follows_the_base_attack_in_feature_space() -> None:
    """Two classes: every step of the base attack has the same signs, so x* = x0 + eps sign(grad)."""
    net = Layers(classes=2)
    y = Y % 2
    g = net.slope(net.w[1 - y] - net.w[y])
    way = net.front((T.eps * g.sign()).flatten(1))
    made = sg.craft(net, X, y, presets.get("ila").swap(parts.Tap("front")), threat=T)
    assert torch.allclose(made, X + T.eps * net.slope(way).sign(), atol=1e-6)


def test_costs_count_what_is_taken_beforehand() -> None:
    costs = {name: presets.get(name).cost() for name in INSIDE}
    assert costs == {
        "sgm": 10, "linbp": 10, "bpa": 10, "ila": 20, "fia": 40, "naa": 40, "bfa": 70, "cfm": 300, "su": 600
    }  # fmt: skip


# -- clean feature mixup


def test_cfm_mixes_in_what_a_clean_image_says() -> None:
    """One linear layer: scores become (1 - a) z + a z_clean, with a drawn for each channel."""
    net, rng, part = Layers(), Stream(3, np.arange(5, dtype=np.uint64)), parts.CFM(probability=1.0, most=0.5, bank=1)
    source, goal = Autograd(net, X, "logit", surgeries=(part,), chunk=5), Goal.of(Y)
    other = images(2, seed=9)
    ratio = [rng.uniform(7, f"cfm ratio {layer}", width) * 0.5 for layer, width in ((0, 6), (1, 3))]
    with source.open():
        source.meet(Pool(other, Y[:2]))
        (answer,) = source.answers(X.clone().requires_grad_(), goal, rng, 7)
        g = source(X, goal, rng, 7)
    with torch.no_grad():
        f, clean = net.front(X.flatten(1)), net.front(other[:1].flatten(1))
        want = F.linear((1 - ratio[0]) * f + ratio[0] * clean, net.w) * (1 - ratio[1]) + ratio[1] * F.linear(
            clean, net.w
        )
        row = torch.arange(5)
        slope = -(1 - ratio[1][row, Y])[:, None] * net.w[Y] * (1 - ratio[0])
    assert torch.allclose(answer.scores, want, atol=1e-6) and torch.allclose(g, net.slope(slope), atol=1e-6)


def test_cfm_draws_layers_and_partners_for_each_image() -> None:
    net = Affine(16)
    source = Autograd(net, X, "logit", surgeries=(parts.CFM(probability=0.5, most=1.0, bank=2),), chunk=64)
    many, y = X[:1].repeat(64, 1, 1, 1), torch.zeros(64, dtype=torch.int64)
    with source.open():
        source.meet(Pool(images(5, seed=9), Y))
        rng = Stream(0, np.arange(64, dtype=np.uint64))
        (answer,) = source.answers(many.clone().requires_grad_(), Goal.of(y), rng, 0)
    shift = answer.scores.detach() - net(many).detach()
    plain = (shift == 0).all(1)
    assert 15 < int(plain.sum()) < 49, "half of the images"
    # a shift is a (z_clean - z): its signs tell which of the two partners it came from
    signs = (net(images(5, seed=9)[:2]) - net(many[:1])).sign()
    partner = (shift.sign()[~plain, None] == signs).all(2)
    assert bool(partner.any(1).all()) and bool(partner.any(0).all()) and not bool(partner.all(1).any())
    ratio = rng.uniform(0, "cfm ratio 0", 3) * 1.0
    both = net(images(5, seed=9)[:2])[(rng.uniform(0, "cfm 0", 2)[:, 1] * 2).long()]
    assert torch.allclose(shift[~plain], (ratio * (both - net(many)))[~plain], atol=1e-5)


def test_cfm_leaves_wide_maps_and_never_alone_where_it_should() -> None:
    net, x, y = Residual(), images(3, (3, 8, 8)), torch.arange(3)
    every = {"threat": L2(0.5), "steps": 2, "target": (y + 1) % 4}
    plain = sg.craft(net, x, y, parts.Logit(), **every)  # type: ignore[arg-type]
    never = parts.CFM(probability=0.0)
    # without surgery the gradients come through a lean copy of the net, so up to rounding
    assert torch.allclose(sg.craft(net, x, y, parts.Logit() | never, **every), plain, atol=1e-5)  # type: ignore[arg-type]
    net.back = nn.Identity()  # type: ignore[assignment]
    left = sg.craft(net, x, y, parts.Logit() | never, **every)  # type: ignore[arg-type]
    sure = parts.CFM(probability=1.0)
    assert torch.equal(sg.craft(net, x, y, parts.Logit() | sure, **every), left)  # type: ignore[arg-type]
    wide = replace(sure, narrow=1.0)
    assert not torch.equal(sg.craft(net, x, y, parts.Logit() | wide, **every), left)  # type: ignore[arg-type]


def test_cfm_without_clean_images_says_so() -> None:
    source = Autograd(Affine(16), X, surgeries=(parts.CFM(probability=1.0),))
    with pytest.raises(ValueError, match="have clean images"):
        source(X, Y, Stream(0, np.arange(5, dtype=np.uint64)), 0)


# -- self-universality


def test_local_lays_the_change_over_a_crop_of_the_clean_image() -> None:
    """On a ramp, a crop blown up is a ramp again, its slope the crop's share of the side."""
    ramp = torch.linspace(0, 1, 41).expand(50, 1, 41, 41).contiguous()
    change = 0.1 * torch.rand(50, 1, 41, 41, generator=torch.Generator().manual_seed(0))
    goal = Goal(torch.zeros(50), torch.zeros(50), True, (ramp,))
    copy = torch.arange(50) % 2
    draw = Draw(Stream(0, np.arange(50, dtype=np.uint64)), 0, copy, goal)
    seen = parts.Local()(ramp + change, draw)
    assert torch.equal(seen[::2], (ramp + change)[::2])
    piece = (seen - change)[1::2]
    width = (piece[:, 0, 20, 30] - piece[:, 0, 20, 10]) / (20 / 40)
    flipped = goal.guide[0].transpose(2, 3).contiguous()
    tall = parts.Local()(flipped, replace(draw, goal=replace(goal, guide=(flipped,))))[1::2]
    height = (tall[:, 0, 30, 20] - tall[:, 0, 10, 20]) / (20 / 40)
    assert torch.allclose(width * height, torch.full((25,), 0.1), atol=2e-3)
    assert float((width / height).max()) > 1.15 and float((width / height).min()) < 0.87
    assert bool(((width / height) < 4 / 3 + 0.02).all()) and bool(((width / height) > 3 / 4 - 0.02).all())
    assert float(piece.min()) >= -1e-6 and float(piece.max()) <= 1 + 1e-6 and float(piece[:, 0, 20, 20].std()) > 0.1


def test_su_adds_the_logits_of_whole_and_piece_and_the_cosine() -> None:
    net, goal = Layers(), (Y + 1) % 3
    su = parts.Local() | parts.SelfUniversality(weight=0.0)
    assert torch.equal(once(net, su, target=goal), net.slope(net.w[goal]).sign())
    loss, f = parts.SelfUniversality(weight=3.0), torch.randn(10, 6, generator=torch.Generator().manual_seed(1))
    value = loss(parts.Answer(torch.arange(15.0).view(5, 3), f), Goal(goal, Y, True))
    want = 2 * torch.arange(15.0).view(5, 3)[torch.arange(5), goal] + 3 * F.cosine_similarity(f[::2], f[1::2])
    assert torch.allclose(value, want)


# -- surgery


@pytest.mark.parametrize(
    ("part", "cut"),
    [
        (parts.SGM(0.3), lambda net: hooks.sgm(net, 0.3)),
        (parts.LinBP(0.0), lambda net: hooks.linbp(net, 0.0)),
        (parts.BPA(0.0), lambda net: hooks.bpa(net, 0.0)),
    ],
    ids=["sgm", "linbp", "bpa"],
)
def test_surgery_reaches_the_crafts_gradients_and_is_undone(part: Any, cut: Any) -> None:
    net, x, y = Residual(), images(4, (3, 8, 8)), torch.arange(4)
    with cut(net):
        at = x.clone().requires_grad_()
        g = torch.autograd.grad(F.cross_entropy(net(at), y, reduction="sum"), at)[0]
    made = sg.craft(net, x, y, part, threat=L2(0.1), steps=1)
    step = (made - x) / (made - x).flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert torch.allclose(step, g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1), atol=1e-4)
    assert not torch.allclose(made, sg.craft(net, x, y, "i-fgsm", threat=L2(0.1), steps=1), atol=1e-4)
    assert "forward" not in net.__dict__
    twice = sg.craft([net, net], x, y, part, threat=L2(0.1), steps=1)
    assert torch.allclose(twice, made, atol=1e-6), "a net that stands in an ensemble twice is operated on once"


@pytest.mark.parametrize("name", INSIDE)
def test_a_row_does_not_depend_on_its_batch(name: str) -> None:
    preset, x, y = lighter(presets.get(name)), images(6, (3, 8, 8)), torch.arange(6) % 4
    preset = replace(preset, steps=3)
    nets, goal = served(preset, Residual()), (y + 1) % 4 if preset.targeted else None
    every: dict[str, Any] = {"threat": L2(0.5), "seed": 3, "chunk": 4, "pool": (images(4, (3, 8, 8), seed=5), y[:4])}
    whole = sg.craft(nets, x, y, preset, target=goal, **every)
    order = torch.tensor([4, 1, 5])
    some = sg.craft(nets, x[order], y[order], preset, target=None if goal is None else goal[order], ids=order, **every)
    assert torch.equal(some, whole[order])


# -- refusals


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (parts.FIA() | parts.Momentum(), "Expected one feature tap for FIA"),
        (parts.FIA() | parts.Tap("front") | parts.Tap("front"), "one feature tap"),
        (parts.FIA() | parts.Tap("middle"), "'middle'. There are front"),
        (parts.SelfUniversality() | parts.Tap("front"), "beside Local"),
        (parts.Local() | parts.Logit(), "loss SelfUniversality"),
        (
            parts.SelfUniversality() | parts.Local() | parts.SI() | parts.Tap("front"),
            "no other view with several copies",
        ),
        (parts.SGM() | parts.Momentum(), "residual branches"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(attack: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sg.craft(Layers(), X, Y, attack, threat=T, target=(Y + 1) % 3)


def test_a_feature_loss_takes_one_net() -> None:
    with pytest.raises(ValueError, match="one net for FIA"):
        sg.craft([Layers(), Layers()], X, Y, parts.FIA() | parts.Tap("front"), threat=T)


def test_bad_settings_get_a_sentence() -> None:
    with pytest.raises(ValueError, match="probability of CFM"):
        parts.CFM(probability=2.0)
    with pytest.raises(ValueError, match="bank of CFM"):
        parts.CFM(bank=0)
