"""SVRE, AdaEA and CWA by hand, and row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import L2, Linf
from surrogates.crafting import parts, presets
from surrogates.crafting.parts.ensemble import agreement
from tests.surrogate_doubles import Affine, Bowl, Residual, images

T = Linf(0.1)
NAMES = ["svre", "adaea", "cwa"]


def bowls() -> tuple[list[Bowl], Tensor, Tensor]:
    """Nets whose margins have the gradients a (x - c)."""
    a = torch.tensor([3.0, -2.0, 1.0, 0.5, -4.0, 0.2]).view(1, 2, 3)
    c = torch.full_like(a, 0.5)
    return (
        [Bowl(a, c), Bowl(a.flip(2), c + 0.01)],
        images(4, (1, 2, 3), low=0.42, high=0.58),
        torch.zeros(4, dtype=torch.int64),
    )


def slope(net: Bowl, x: Tensor) -> Tensor:
    return (net.a * (x - net.c)).detach()


def hat(g: Tensor) -> Tensor:
    return g / g.flatten(1).abs().mean(1).view(-1, 1, 1, 1)


def test_svre_through_one_net_twice_is_mi() -> None:
    net, x, y = sg.build("cnn", 3, (1, 6, 6), seed=1), images(5, (1, 6, 6)), torch.arange(5) % 3
    made = sg.craft([net, net], x, y, parts.Momentum() | parts.SVRE(inner_steps=1), threat=T)
    assert torch.allclose(made, sg.craft(net, x, y, "mi-fgsm", threat=T), atol=1e-6)


def test_two_inner_steps_of_svre_by_hand() -> None:
    """The mean of two bowls' logits has the mean gradient."""
    nets, x, y = bowls()
    together, step, mu = (slope(nets[0], x) + slope(nets[1], x)) / 2, 0.05, 0.9
    rng, at, m = Stream(0, np.arange(4, dtype=np.uint64)), x, torch.zeros_like(x)
    for j in range(3):
        net = nets[int(rng.shared_permutation(0, f"svre {j}", 2)[0])]
        m = mu * m + hat(slope(net, at) - (slope(net, x) - together))
        at = torch.clamp(at + step * m.sign(), x - T.eps, x + T.eps)
    attack = parts.SVRE(inner_steps=3, decay=mu) | parts.Margin()
    made = sg.craft(nets, x, y, attack, threat=T, steps=1, step=step)
    assert torch.allclose(made, x + step * m.sign(), atol=1e-6)
    first = {int(rng.shared_permutation(k, "svre 0", 2)[0]) for k in range(8)}
    assert first == {0, 1} and presets.get("svre").cost(10, 4) == 10 * (4 + 4 + 16)


def test_adaea_through_one_net_twice_is_mi() -> None:
    net, x, y = sg.build("cnn", 3, (3, 6, 6), seed=1), images(5, (3, 6, 6)), torch.arange(5) % 3
    made = sg.craft([net, net], x, y, "adaea", threat=T)
    assert torch.allclose(made, sg.craft(net, x, y, "mi-fgsm", threat=T), atol=1e-6)


@torch.no_grad()
def adaea_by_hand(nets: list[Affine], x: Tensor, classes: Tensor, targeted: bool, alpha: float) -> Tensor:
    """The gradient of one step, image by image."""
    sign, count = -1.0 if targeted else 1.0, len(nets)
    out = []
    for i in range(len(x)):
        y, at = classes[i : i + 1], x[i : i + 1]
        g = []
        for net in nets:
            p = net(at).softmax(1) - F.one_hot(y, 3)
            g.append(sign * (p @ net.w).view_as(at))
        tried = [at + alpha * v.sign() for v in g]
        cost = [[float(F.cross_entropy(net(t), y)) for net in nets] for t in tried]
        score = []
        for a in range(count):
            pairs = [(cost[a][b], cost[b][b]) for b in range(count) if b != a]
            score.append(sum(v / u if targeted is False else u / v for v, u in pairs))
        w = torch.tensor([10 * s for s in score]).softmax(0)
        mixed = sum(wi * net.w for wi, net in zip(w, nets, strict=True))
        z = sum(wi * net(at) for wi, net in zip(w, nets, strict=True))
        whole = sign * ((z.softmax(1) - F.one_hot(y, 3)) @ mixed).view_as(at)  # type: ignore[operator]
        pairs_of = [F.cosine_similarity(g[a], g[b], dim=1) for a in range(count) for b in range(a)]
        out.append(whole * (sum(pairs_of) / len(pairs_of) >= -0.3)[:, None])  # type: ignore[union-attr]
    return torch.cat(out)


@pytest.mark.parametrize("targeted", [False, True])
def test_a_step_of_adaea_by_hand(targeted: bool) -> None:
    nets = [Affine(48, seed=s) for s in (0, 1, 2)]
    for net in nets:
        net.w.data.mul_(0.1)
    x, y = images(4, (3, 4, 4)), torch.arange(4) % 3
    goal = (y + 1) % 3
    g = adaea_by_hand(nets, x, goal if targeted else y, targeted, 0.02)
    attack = parts.AdaEA() | parts.RowWeights()
    made = sg.craft(nets, x, y, attack, threat=T, steps=1, step=0.02, target=goal if targeted else None)
    assert torch.allclose(made, x + 0.02 * g.sign(), atol=1e-6)
    assert 0 < int((g == 0).sum()) < g.numel() / 2, "some pixels must be left alone, and not most"


def test_agreement_is_the_mean_cosine_over_pairs() -> None:
    e = torch.eye(3).view(3, 1, 3, 1, 1)
    assert float(agreement([e[0], e[1]])) == 0
    assert float(agreement([e[0], -e[0]])) == -1
    assert float(agreement([e[0], -2 * e[0], 3 * e[0]])) == pytest.approx(-1 / 3)
    assert torch.isfinite(agreement([e[0] * 0, e[1]])).all()


def test_two_steps_of_cwa_by_hand() -> None:
    nets, x, y = bowls()
    alpha, mu, back, long = 0.02, 0.9, 0.2, 0.5
    here, outer, m = x, torch.zeros_like(x), torch.zeros_like(x)
    fit = lambda v: torch.clamp(v, x - T.eps, x + T.eps)  # noqa: E731
    for _ in range(2):
        at = fit(here - back * T.eps * ((slope(nets[0], here) + slope(nets[1], here)) / 2).sign())
        for net in nets:
            g = slope(net, at)
            m = mu * m + g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            at = fit(at + long * T.eps * 6**0.5 * m)
        outer = outer + hat(at - here)
        here = fit(here + alpha * outer.sign())
    attack = parts.Momentum() | parts.CWA(back, long, mu) | parts.Margin()
    made = sg.craft(nets, x, y, attack, threat=T, steps=2, step=alpha)
    assert torch.allclose(made, here, atol=1e-6)
    assert presets.get("cwa").step(T, 10) == pytest.approx(0.02) and presets.get("cwa").cost(10, 4) == 80


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_its_batch(name: str) -> None:
    nets, x, y = [Residual(seed=s) for s in range(2)], images(6, (3, 8, 8)), torch.arange(6) % 4
    every: dict[str, Any] = {"threat": L2(0.5), "seed": 3, "chunk": 4, "steps": 3}
    whole = sg.craft(nets, x, y, name, **every)
    order = torch.tensor([4, 1, 5])
    assert torch.equal(sg.craft(nets, x[order], y[order], name, ids=order, **every), whole[order])


def test_views_are_seen_by_every_net() -> None:
    """A view that darkens to nothing leaves no gradient to anybody."""

    class Night(parts.View):
        def __call__(self, x: Tensor, draw: Any) -> Tensor:
            return x * 0

    nets, x, y = [Residual(seed=s) for s in range(2)], images(2, (3, 8, 8)), torch.arange(2)
    for name in NAMES:
        assert torch.equal(sg.craft(nets, x, y, presets.get(name) | Night(), threat=T, steps=2), x), name


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (parts.AdaEA() | parts.Momentum(), "fusion RowWeights beside AdaEA"),
        (parts.AdaEA() | parts.RowWeights() | parts.FIA() | parts.Tap(), "one net for FIA|loss of the scores"),
        (parts.SVRE() | parts.Neighbourhood(1.5), "no probe beside SVRE"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(attack: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sg.craft([Residual(), Residual(seed=1)], images(2, (3, 8, 8)), torch.arange(2), attack, threat=T)


@pytest.mark.parametrize("name", NAMES)
def test_one_net_is_no_ensemble(name: str) -> None:
    with pytest.raises(ValueError, match="Expected an ensemble of nets"):
        sg.craft(Residual(), images(2, (3, 8, 8)), torch.arange(2), replace(presets.get(name), steps=1), threat=T)


@pytest.mark.parametrize("name", ["lgv", "swag"])
def test_one_net_is_no_vicinity_and_it_is_said_where_one_comes_from(name: str) -> None:
    with pytest.raises(ValueError, match=r"one net. Give several: .*refine.lgv\(net, data\) or refine.swag"):
        sg.craft(Residual(), images(2, (3, 8, 8)), torch.arange(2), name, threat=T)
