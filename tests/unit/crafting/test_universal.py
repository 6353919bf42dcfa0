"""One change for all images from nets: the optimum of a linear net, what each method keeps to, goals, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import blackbox as bb
import surrogates as sg
from tests.surrogate_doubles import Residual

SHAPE = (3, 4, 4)
DRAWS = np.random.default_rng(3)
X = torch.tensor(DRAWS.uniform(0.3, 0.7, (8, *SHAPE)), dtype=torch.float32)
W = torch.tensor(DRAWS.normal(size=48), dtype=torch.float32)
Y = torch.zeros(8, dtype=torch.int64)


def linear() -> nn.Module:
    """Two classes, w x + b, which no change of size 0.1 makes give class 1."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([0 * W, W]))
        net[1].bias.copy_(torch.stack([torch.zeros(()), -(X.flatten(1) @ W).max() - 0.11 * W.abs().sum()]))
    return net.eval()


OPTIMA = {"Linf": (bb.Linf(0.1), 0.1 * W.sign()), "L2": (bb.L2(0.4), 0.4 * W / W.norm())}


@pytest.mark.parametrize("norm", list(OPTIMA))
@pytest.mark.parametrize(("method", "near"), [("sgd", 0.9999), ("uap", 0.97), ("generator", 0.7)])
def test_a_linear_net_has_a_best_change(method: str, near: float, norm: str) -> None:
    threat, best = OPTIMA[norm]
    made = sg.universal(linear(), X, Y, threat, method, epochs=6 if method != "generator" else 30, batch=8, rate=1e-2, most=100)
    assert float(made.change.flatten() @ W) > near * float(best @ W)
    assert float(threat.distance(made.change[None], torch.zeros(1, *SHAPE))) <= threat.eps + threat.tolerance
    assert made.config["method"] == method and made.config["fooled"] == 0 and made.config["gradients"] > 0
    if method == "sgd":
        assert torch.allclose(made.change.flatten(), best, atol=1e-6)


@pytest.mark.parametrize("method", ["sgd", "generator"])
@pytest.mark.parametrize("threat", [bb.Patch(2, location=(1, 2)), bb.Patch((2, 3), location="random"), bb.Frame(1)], ids=str)
def test_patches_and_frames_change_nothing_outside(method: str, threat: bb.Threat) -> None:
    net = linear()
    made = sg.universal(net, X, Y, threat, method, epochs=3, batch=4, most=100)
    given = made.apply(X)
    place = threat.mask(SHAPE, np.arange(8, dtype=np.uint64), 0)
    assert not bool(((given != X) & ~place).any()) and bool((given != X).flatten(1).any(1).all())
    with torch.no_grad():
        assert float(net(given)[:, 1].mean()) > float(net(made.noise().apply(X))[:, 1].mean())


def test_fixed_content_of_a_linear_net_is_black_and_white() -> None:
    made = sg.universal(linear(), X, Y, bb.Patch(4, location=(0, 0)), epochs=6, batch=8, most=100)
    assert torch.equal(made.change.flatten(), (W > 0).float())


def test_a_mask_a_target_a_goal_and_several_nets() -> None:
    nets = [Residual(seed=0).eval(), Residual(seed=1).eval()]
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[1] = True
    with torch.no_grad():
        y = sum(net(X) for net in nets).argmax(1)
    away = (y + 1) % 4
    made = {
        "left": sg.universal(nets, X, y, bb.Linf(0.2), mask=mask, epochs=3),
        "reached": sg.universal(nets, X, y, bb.Linf(0.2), target=away, mask=mask, epochs=3),
        "goal": sg.universal(nets, X, None, bb.Linf(0.2), goal=bb.goals.NoneOf(y[:, None]), mask=mask, epochs=3),
    }
    for change in made.values():
        assert not bool((change.apply(X) != X)[:, :, ~mask].any()) and bool(change.change[:, mask].any())
    with torch.no_grad():
        before = sum(net(X) for net in nets)
        after = {name: sum(net(change.apply(X)) for net in nets) for name, change in made.items()}
    for name in ("left", "goal"):
        assert float(after[name].log_softmax(1).gather(1, y[:, None]).mean()) < float(before.log_softmax(1).gather(1, y[:, None]).mean())
    reached = [z.log_softmax(1).gather(1, away[:, None]).mean() for z in (before, after["reached"])]
    assert float(reached[1]) > float(reached[0])
    again = sg.universal(nets, X, y, bb.Linf(0.2), mask=mask, epochs=3)
    assert torch.equal(again.change, made["left"].change) and again.config == made["left"].config


def test_it_is_measured_on_a_target_beside_noise() -> None:
    made = sg.universal(linear(), X, Y, bb.Linf(0.1), epochs=3, most=100)
    weak = linear()
    with torch.no_grad():
        weak[1].bias[1] += 0.05 * W.abs().sum()
    oracle = bb.Oracle(weak, "labels", 2)
    found = bb.universal_rate(made, oracle, X, Y)
    assert found.rate.n == 8 and found.rate.k > found.noise_rate.k and oracle.rows == found.queries == 24
    assert "noise of the same size" in found.summary()


def three() -> nn.Module:
    """Three classes; images are of the first, and a change in the ball of 0.1 takes all of them to the second."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([0 * W, W, 0 * W]))
        net[1].bias.copy_(torch.stack([torch.zeros(()), -(X.flatten(1) @ W).max() - 0.02 * W.abs().sum(), torch.tensor(-9.0)]))
    return net.eval()


@pytest.mark.parametrize("threat", [bb.Linf(0.1), bb.L2(1), bb.Patch(4, location=(0, 0)), bb.Frame(1)], ids=str)
def test_nets_that_see_all_images_are_a_prior_of_the_search_by_queries(threat: bb.Threat) -> None:
    oracle = bb.Oracle(three(), "scores", 3)
    found = bb.universal(oracle, X, Y, "hybrid", threat, 40, prior=sg.universal_prior(three(), X, Y, threat))
    assert found.rate.k == 8 and found.tried <= 3 and oracle.rows == found.queries == 8 * (found.tried + 1)
    with pytest.raises(ValueError, match="universal_prior"):
        bb.universal(oracle, X, Y, "hybrid", threat, 40, prior=sg.prior([three()]))
    with pytest.raises(ValueError, match="given or random place"):
        sg.universal_prior(three(), X, Y, bb.Patch(2))


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ("one of sgd, uap, generator", {"method": "gan"}),
        ("Take sgd", {"method": "uap", "threat": bb.Patch(2, location=(0, 0))}),
        ("was to be searched", {"threat": bb.Patch(2)}),
        ("no one place", {"threat": bb.Patch(2, location="random"), "mask": torch.ones(4, 4, dtype=torch.bool)}),
        ("mask of bools", {"mask": torch.full((4, 4), 0.5)}),
        ("fits into images", {"threat": bb.Patch(5, location=(0, 0))}),
        ("Linf, L2 or L1", {"threat": bb.L0(3)}),
        ("step and rate", {"step": 0.0}),
        ("y", {"y": None}),
    ],
)
def test_what_does_not_fit_is_refused(said: str, settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=said):
        sg.universal(linear(), X, **{"y": Y, "threat": bb.Linf(0.1), "epochs": 1, **settings})  # type: ignore[arg-type]
