"""Averages, snapshots and draws of weights: against sums done by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import surrogates as sg
from blackbox.threat import Linf
from surrogates.training import averaging as refine
from surrogates.training.update import Update
from tests.surrogate_doubles import Affine, images

X = images(64, (1, 4, 4))
Y = (X[:, 0, 0, 0] * 5).long() % 3
FEW = replace(refine.AGAIN, epochs=3, lr=0.05, batch_size=16, least_updates=1)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).eval()


def values(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def ends(recipe: sg.Recipe = FEW) -> list[list[Tensor]]:
    """The weights after each epoch of the very run that a refiner makes."""
    seen: list[list[Tensor]] = []
    for epochs in range(1, recipe.epochs + 1):  # constant rate: a shorter run is the beginning of a longer one
        seen.append(values(sg.train(net(), (X, Y), replace(recipe, epochs=epochs), seed=2)))
    return seen


def test_swa_is_the_mean_of_the_epochs_with_statistics_of_its_own() -> None:
    start = net()
    before = [v.clone() for v in start.state_dict().values()]
    mean = refine.swa(start, (X, Y), FEW, seed=2)
    for found, *seen in zip(values(mean), *ends(), strict=True):
        torch.testing.assert_close(found, torch.stack(seen).mean(0))
    assert all(torch.equal(a, b) for a, b in zip(before, start.state_dict().values(), strict=True))
    with torch.no_grad():  # the mean over equal batches is the mean over all images
        hidden = mean[0](X)  # type: ignore[index]
    torch.testing.assert_close(mean[1].running_mean, hidden.mean((0, 2, 3)))  # type: ignore[index]
    assert not mean.training and len(sg.report(mean).loss) == 3


def test_lgv_keeps_the_weights_along_the_way() -> None:
    made = refine.lgv(net(), (X, Y), FEW, per_epoch=2, seed=2)  # four updates an epoch: after the 2nd and the 4th
    assert len(made) == 6
    for found, expected in zip(made[1::2], ends(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(values(found), expected, strict=True))
    assert len(refine.lgv(net(), (X, Y), FEW, per_epoch=99, seed=2)) == 12
    x_adv = sg.craft(made, X[:5], Y[:5], "mi-fgsm", threat=Linf(0.1))
    assert x_adv.shape == X[:5].shape


def test_swag_draws_around_the_mean_with_the_variance_of_the_epochs() -> None:
    drawn = refine.swag(net(), (X, Y), FEW, count=200, scale=2.0, seed=2)
    seen = [torch.cat([p.flatten() for p in e]) for e in ends()]
    weights = torch.stack([torch.cat([p.flatten() for p in values(d)]) for d in drawn])
    mean, spread = torch.stack(seen).mean(0), torch.stack(seen).std(0, unbiased=False)
    wide = spread > 1e-4
    z = (weights - mean)[:, wide] / (2 * spread[wide])
    assert abs(float(z.mean())) < 0.02 and 0.97 < float(z.std()) < 1.03
    assert not torch.equal(weights[0], weights[1])
    again = refine.swag(net(), (X, Y), FEW, count=2, scale=2.0, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(values(again[1]), values(drawn[1]), strict=True))
    with torch.no_grad():
        torch.testing.assert_close(drawn[3][1].running_mean, drawn[3][0](X).mean((0, 2, 3)))  # type: ignore[index]


def test_ema_follows_the_weights_at_a_distance() -> None:
    flat = replace(FEW, epochs=1)
    start, end = values(net()), ends(flat)[0]
    none = refine.ema(net(), (X, Y), flat, decay=0.0, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(values(none), end, strict=True))  # no memory: the last weights
    slow = refine.ema(net(), (X, Y), flat, decay=0.9, seed=2)
    for a, b, c in zip(start, values(slow), end, strict=True):
        assert float((b - c).norm()) < float((a - c).norm())


def test_sam_steps_by_the_gradient_uphill() -> None:
    def slope(w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        w, b = w.clone().requires_grad_(), b.clone().requires_grad_()
        loss = F.cross_entropy(X.flatten(1) @ w.T + b, Y)
        gw, gb = torch.autograd.grad(loss, (w, b))
        return gw, gb

    affine, rho, lr = Affine(16), 0.3, 0.1
    w, b = affine.w.detach(), affine.b.detach()
    gw, gb = slope(w, b)
    length = (gw.square().sum() + gb.square().sum()).sqrt()
    gw, gb = slope(w + rho * gw / length, b + rho * gb / length)
    once = sg.Recipe(
        epochs=1, batch_size=64, least_updates=1, lr=lr, momentum=0.0, weight_decay=0.0, schedule="constant", warmup=0.0
    )
    found = refine.sam(affine, (X, Y), once, rho=rho)
    torch.testing.assert_close(found.w.detach(), w - lr * gw)
    torch.testing.assert_close(found.b.detach(), b - lr * gb)
    assert torch.equal(affine.w.detach(), w)  # the net given stays as it is


def test_sam_counts_each_image_once_in_running_statistics() -> None:
    once = sg.Recipe(epochs=1, batch_size=64, least_updates=1)
    with torch.no_grad():
        hidden = net()[0](X).mean((0, 2, 3))  # type: ignore[index]
    found = refine.sam(net(), (X, Y), once)
    torch.testing.assert_close(found[1].running_mean, 0.1 * hidden)  # type: ignore[index]
    assert found[1].momentum == 0.1  # type: ignore[index]


def test_sasd_learns_what_the_net_knows_and_scales_all_layers_but_the_last() -> None:
    """A net is at the minimum of its own distillation, where hard labels pull it away; scaling is of the weights alone."""
    affine, start = Affine(16), net()
    flat = replace(FEW, weight_decay=0.0, least_updates=1)
    torch.testing.assert_close(refine.sasd_ws(affine, (X, Y), flat, rho=1e-6).w, affine.w, atol=1e-4, rtol=0)
    assert float((refine.sam(affine, (X, Y), flat, rho=1e-6).w - affine.w).detach().abs().max()) > 0.01
    whole, scaled = (refine.sasd_ws(start, (X, Y), FEW, scale=s, seed=1).state_dict() for s in (1.0, 0.5))
    for name, value in whole.items():
        torch.testing.assert_close(scaled[name], value * 0.5 if name == "0.weight" else value, atol=0, rtol=0)
    soft = F.softmax(start(X), 1).detach()
    answers = sg.Answers(X, Y, soft, np.arange(64), 3)
    other = sg.train(net(), answers, replace(FEW, update=refine.SAM()), seed=1)
    torch.testing.assert_close(other.state_dict()["4.weight"], whole["4.weight"], atol=1e-5, rtol=0)


def test_half_the_usual_rate_unless_told() -> None:
    mean = refine.swa(net(), (X, Y), replace(refine.AGAIN, epochs=1, least_updates=1, batch_size=16))
    assert sg.report(mean).lr == 0.05
    flat = refine.swa(Affine(16), (X, Y), replace(refine.AGAIN, epochs=1))
    assert sg.report(flat).lr == 0.0125


BAD: list[tuple[Any, str]] = [
    (lambda: refine.ema(net(), (X, Y), FEW, decay=1.0), "decay in"),
    (lambda: refine.lgv(net(), (X, Y), FEW, per_epoch=0), "per_epoch"),
    (lambda: refine.swag(net(), (X, Y), FEW, count=0), "count of at least 1"),
    (lambda: refine.swag(net(), (X, Y), replace(FEW, epochs=1)), "at least 2 epochs"),
    (lambda: refine.SAM(0.0), "rho to be positive"),
    (lambda: refine.sasd_ws(net(), (X, Y), FEW, scale=0.0), "scale in (0, 1]"),
    (lambda: refine.swa(net(), (X, Y), replace(FEW, held_out=0.2)), "without held_out"),
    (lambda: refine.swa(net(), (X, torch.ones(64, dtype=torch.int64)), FEW), "at least two classes"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_bad_input_gets_a_sentence(call: Any, words: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("refiner", [refine.swa, refine.ema, refine.lgv, refine.swag, refine.sasd_ws])
def test_a_run_that_diverges_is_refused_not_averaged(refiner: Any) -> None:
    with pytest.raises(ValueError, match="diverged"), pytest.warns(UserWarning, match="Diverged"):
        refiner(sg.build("mlp", 3, (1, 4, 4)), (X, Y), replace(FEW, lr=1e20))


def test_what_came_before_divergence_is_kept() -> None:
    class Mine(Update):
        """Goes wrong in the third epoch."""

        def __call__(self, batch: Any) -> Any:
            loss, scores = super().__call__(batch)
            return (loss * float("nan"), scores) if batch.rng.seed >> 32 == 3 else (loss, scores)

    with pytest.warns(UserWarning, match="Diverged in epoch 3"):
        made = refine.lgv(net(), (X, Y), replace(FEW, epochs=5, update=Mine()), seed=2)
    assert len(made) == 8
    for found, expected in zip(made[3::4], ends(), strict=False):
        assert all(torch.equal(a, b) for a, b in zip(values(found), expected, strict=True))


@pytest.mark.parametrize("name", ["lgv", "swag"])
def test_presets_take_one_net_a_step(name: str) -> None:
    nets = [Affine(16, seed=i) for i in range(4)]
    calls = [0, 0, 0, 0]

    def count(i: int) -> Any:
        def hook(*_: Any) -> None:
            calls[i] += 1

        return hook

    plan = sg.presets.get(name)
    assert plan.cost(8, nets=4) == 8
    for i, member in enumerate(nets):
        member.register_forward_hook(count(i))
    sg.craft(nets, X[:1], Y[:1], name, threat=Linf(0.1), steps=8)
    once = [c - 1 for c in calls]  # one call to count the classes
    assert sum(once) == 8
    if name == "lgv":
        assert once == [2, 2, 2, 2]
    with pytest.raises(ValueError, match="ensemble"):
        sg.craft(nets[0], X[:1], Y[:1], name, threat=Linf(0.1))
