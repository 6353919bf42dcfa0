"""Probes and aggregates against loops written out by hand, on a net whose gradient is a (x - c)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import L1, L2, Linf
from surrogates.crafting import parts, presets
from surrogates.crafting.ball import random_point
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts.walk import Walk
from tests.surrogate_doubles import Affine, Bowl, images

T = Linf(0.1)
Y = torch.zeros(4, dtype=torch.int64)
RNG = Stream(0, np.arange(4, dtype=np.uint64))
SHAPE = (1, 2, 3)


def bowl() -> tuple[Bowl, Tensor]:
    a = torch.tensor([3.0, -2.0, 1.0, 0.5, -4.0, 0.2]).view(SHAPE)
    return Bowl(a, torch.full_like(a, 0.5)), images(4, SHAPE, low=0.42, high=0.58)


def hat(g: Tensor) -> Tensor:
    return g / g.flatten(1).abs().mean(1).view(-1, 1, 1, 1)


def near(k: int, j: int, beta: float) -> Tensor:
    return random_point(T, RNG, SHAPE, k, f"neighbour {j}") * beta


def made(attack: object, steps: int = 2, **other: object) -> Tensor:
    net, x = bowl()
    return sg.craft(net, x, Y, attack, threat=T, steps=steps, loss="margin", **other)  # type: ignore[arg-type]


def cut(x: Tensor, x0: Tensor) -> Tensor:
    return T.project(x, x0)


def test_pi_looks_along_the_gradient_before() -> None:
    net, x = bowl()
    a, c = net.a.detach(), net.c
    g = a * (x - c)
    m, x1 = hat(g), x + 0.05 * g.sign()
    g = a * (x1 + 0.05 * hat(g) - c)
    m = m + hat(g)
    assert torch.allclose(made("pi-fgsm"), cut(x1 + 0.05 * m.sign(), x), atol=1e-6)
    assert not torch.allclose(made("pi-fgsm"), made("mi-fgsm"))


def test_emi_is_mi_where_the_gradient_is_linear_and_not_where_it_is_not() -> None:
    assert torch.allclose(made("emi-fgsm", 5), made("mi-fgsm", 5), atol=1e-6)

    class Quartic(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            value = (torch.tensor([1.0, -1, 1, -1, 1, 1]) * (x - 0.5).flatten(1) ** 4).sum(1)
            return torch.stack([torch.zeros_like(value), value], 1)

    x = bowl()[1]
    two = [sg.craft(Quartic(), x, Y, name, threat=L2(0.1), loss="margin", steps=4) for name in ("emi-fgsm", "mi-fgsm")]
    assert not torch.allclose(two[0], two[1], atol=1e-4)


def test_two_steps_of_vmi_by_hand() -> None:
    net, x = bowl()
    a, c = net.a.detach(), net.c
    g = a * (x - c)
    v = torch.stack([a * (x + near(0, j, 1.5) - c) for j in range(20)]).mean(0) - g
    x1 = x + 0.05 * g.sign()
    m = hat(g) + hat(a * (x1 - c) + v)
    assert torch.allclose(made("vmi-fgsm"), cut(x1 + 0.05 * m.sign(), x), atol=1e-6)


def test_vni_takes_the_gradient_ahead_and_neighbours_around_the_point() -> None:
    net, x = bowl()
    a, c = net.a.detach(), net.c
    m = torch.zeros_like(x)
    v, at = torch.zeros_like(x), x
    for k in range(3):
        look = at + 0.1 / 3 * m
        g = a * (look - c)
        m = m + hat(g + v)
        v = torch.stack([a * (at + near(k, j, 1.5) - c) for j in range(20)]).mean(0) - g
        at = cut(at + 0.1 / 3 * m.sign(), x)
    assert torch.allclose(made("vni-fgsm", 3), at, atol=1e-6)


def test_gra_by_hand() -> None:
    net, x = bowl()
    a, c = net.a.detach(), net.c
    m, factor, at, before = torch.zeros_like(x), torch.ones_like(x), x, None
    for k in range(4):
        g = a * (at - c)
        mean = torch.stack([a * (at + near(k, j, 3.5) - c) for j in range(20)]).mean(0)
        s = torch.cosine_similarity(g.flatten(1), mean.flatten(1)).view(-1, 1, 1, 1)
        m = m + hat(s * g + (1 - s) * mean)
        if before is not None:
            factor = torch.where(m.sign() == before, factor, factor * 0.94)
        before = m.sign()
        at = cut(at + 0.025 * factor * m.sign(), x)
    assert torch.allclose(made("gra", 4), at, atol=1e-6)
    assert bool((factor < 1).any()), "a sign has to turn for the test to see the factor"


def walk(net: Bowl, x: Tensor) -> Walk:
    source = Autograd(net, x, "margin")
    return Walk(source, source, [source], parts.Parts(), T, 0.05, 2, x, x, Goal(Y, Y), RNG, 8)


def test_pgn_by_hand() -> None:
    """The gradient itself: a sign step would hide half of it."""
    net, x = bowl()
    a, c = net.a.detach(), net.c
    total = torch.zeros_like(x)
    for j in range(20):
        there = x + near(0, j, 3.0)
        g1 = a * (there - c)
        total += 0.3 * g1 + 0.7 * a * (there - 0.05 * hat(g1) - c)
    assert torch.allclose(parts.Pair(gamma=0.7)(walk(net, x), x), total / 20, atol=1e-6)


def test_pgn_without_gamma_is_the_neighbourhood() -> None:
    a = made(parts.Momentum() | parts.Pair(5, 2.0, gamma=0.0))
    assert torch.equal(a, made(parts.Momentum() | parts.Neighbourhood(5, 2.0)))
    assert presets.get(parts.Pair(5, gamma=0.0)).cost(3) == 15


def test_rap_by_hand_and_not_before_its_time() -> None:
    attack = parts.Momentum() | parts.Worst(inner=2, step=0.5, late=0.5)
    net, x = bowl()
    a, c = net.a.detach(), net.c
    m, at = torch.zeros_like(x), x
    for k in range(2):
        n = at
        if k == 1:
            n = T.project(at + random_point(T, RNG, SHAPE, k, "worst"), at)
            for _ in range(2):
                n = T.project(n - 0.05 * (a * (n - c)).sign(), at)
        m = m + hat(a * (n - c))
        at = cut(at + 0.05 * m.sign(), x)
    assert torch.allclose(made(attack), at, atol=1e-6)
    assert torch.equal(made(parts.Momentum() | parts.Worst(late=1.0)), made("mi-fgsm"))


def test_mef_by_hand() -> None:
    net, x = bowl()
    a, c = net.a.detach(), net.c
    p, run = [torch.zeros_like(x)] * 3, walk(net, x)
    for run.k in range(4):
        gs = [a * (x + near(run.k, j, 2.0) + 0.15 * 0.1 * p[j] - c) for j in range(3)]
        p = [hat(g) - 0.9 * q for g, q in zip(gs, p, strict=True)]
        assert torch.allclose(parts.Conditional(3)(run, x), torch.stack(gs).mean(0), atol=1e-6)


@pytest.mark.parametrize("name", ["ni-fgsm", "pi-fgsm", "emi-fgsm", "vmi-fgsm", "vni-fgsm", "pgn", "rap", "mef"])
def test_all_are_one_steepest_step_where_the_gradient_is_constant(name: str) -> None:
    """Two classes and the margin: the gradient is w1 - w0 wherever it is taken. In L2, so that its size counts."""
    net, x = Affine(16, classes=2), images(5)
    with torch.no_grad():
        g = (net.w[1] - net.w[0]).view(1, 4, 4)
    made = sg.craft(net, x, torch.zeros(5, dtype=torch.int64), name, threat=L2(0.1), steps=4, step=0.025, loss="margin")
    assert torch.allclose(made, x + 0.1 * g / g.norm(), atol=1e-5)


def test_gra_weighs_by_the_cosine() -> None:
    """Where all gradients agree, s = 1 and the result is that of MI."""
    net, x, y = Affine(16, classes=2), images(5), torch.zeros(5, dtype=torch.int64)
    two = [sg.craft(net, x, y, name, threat=Linf(0.1), loss="margin") for name in ("gra", "mi-fgsm")]
    assert torch.allclose(two[0], two[1], atol=1e-6)


@pytest.mark.parametrize("threat", [Linf(0.3), L2(0.3), L1(0.3)], ids=str)
def test_neighbours_fill_a_ball_of_the_threats_norm(threat: Linf) -> None:
    seen = []

    class Spy(Affine):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach())
            return super().forward(x)

    x = torch.full((2, 1, 4, 4), 0.5)
    sg.craft(Spy(16), x, Y[:2], parts.Neighbourhood(40, 2.0), threat=threat, steps=1, chunk=8)
    size = threat.distance(torch.cat(seen[1:]), torch.full((1, 1, 4, 4), 0.5))
    assert float(size.max()) <= 2 * threat.eps + 1e-6 and float(size.max()) > 1.7 * threat.eps


def test_the_look_ahead_is_of_the_order_of_a_step_in_every_norm() -> None:
    seen = []

    class Spy(Affine):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach()[:1])
            return super().forward(x)

    x = torch.full((1, 1, 4, 4), 0.5)
    for threat, low, high in ((Linf(0.1), 0.05, 0.25), (L2(0.1), 0.05, 0.08), (L1(0.1), 0.0499, 0.0501)):
        seen.clear()
        once = sg.craft(Spy(16), x, Y[:1], "ni-fgsm", threat=threat, steps=1, step=0.05)
        seen.clear()
        sg.craft(Spy(16), x, Y[:1], "ni-fgsm", threat=threat, steps=2, step=0.05)
        ahead = float(threat.distance(seen[-1], once))
        assert low < ahead < high, (threat, ahead)
