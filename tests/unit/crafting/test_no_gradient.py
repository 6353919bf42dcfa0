"""Surrogates whose gradient is zero are counted and told of; those that let none pass are refused in a sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from surrogates.crafting.gradients import Autograd
from tests.surrogate_doubles import Affine, images


class On(nn.Module):
    """What ``f`` makes of an affine net and an image."""

    def __init__(self, f: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.f = Affine(16), f

    def forward(self, x: Tensor) -> Tensor:
        return self.f(self.net, x)


def craft(net: nn.Module, n: int = 5, **how: object) -> tuple[Tensor, list[str]]:
    x = images(n)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with torch.no_grad():
            y = net(x).argmax(1)
        made = sg.craft(net, x, y, "mi-fgsm", threat=bb.Linf(0.1), **how)  # type: ignore[arg-type]
    return (made != x).flatten(1).any(1), [str(w.message) for w in told]


def test_images_without_a_gradient_are_counted() -> None:
    moved, told = craft(On(lambda net, x: net(x)))
    assert moved.all() and not told
    moved, told = craft(On(lambda net, x: net((x * 255).round() / 255)))
    assert not moved.any() and len(told) == 1
    assert told[0].startswith("5 of 5 images had a gradient of zero at every step of mi-fgsm") and "round its input" in told[0]
    certain = On(lambda net, x: net(x) * 1e4)
    moved, told = craft(certain)
    assert not moved.any() and "5 of 5 images" in told[0] and "loss='margin'" in told[0]
    moved, told = craft(certain, loss="margin")  # the advice works when followed
    assert moved.all() and not told


def test_some_of_the_images_are_counted_across_calls() -> None:
    bright = images(5).flatten(1).mean(1)
    dark = float(bright.sort().values[1:3].mean())

    def half(net: nn.Module, x: Tensor) -> Tensor:
        return torch.where(x.flatten(1).mean(1, keepdim=True) < dark, net(x).detach(), net(x))

    moved, told = craft(On(half), chunk=2)
    assert torch.equal(moved, bright > dark) and told[0].startswith("2 of 5 images")


def test_probabilities_taken_for_logits_are_told_of() -> None:
    _, told = craft(On(lambda net, x: net(x).softmax(1)))
    assert len(told) == 1 and "answers of the net are probabilities" in told[0] and "without its softmax" in told[0]
    assert not craft(On(lambda net, x: net(x).softmax(1).log()))[1]
    with pytest.warns(UserWarning, match="answers of the prior's net are probabilities"):
        sg.prior(On(lambda net, x: net(x).softmax(1))).check((1, 4, 4), 3)


def numpyish(net: nn.Module, x: Tensor) -> Tensor:
    return torch.from_numpy(net(x).detach().numpy())


class NoGrad(On):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.f(self.net, x)


class Loose(nn.Module):
    """Its weights are no parameters and want a gradient, the image is cut off."""

    w = torch.ones(16, 3, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return x.detach().flatten(1) @ self.w


@pytest.mark.parametrize("net", [NoGrad(lambda net, x: net(x)), On(numpyish), Loose()], ids=["no_grad", "numpy", "loose"])
def test_no_gradient_passes(net: nn.Module) -> None:
    x, y = images(2), torch.zeros(2, dtype=torch.int64)
    says = rf"none passes through {type(net).__name__}: is its forward under torch.no_grad"
    target = Affine(16)
    oracle = bb.Oracle(target, "scores", 3)
    with pytest.raises(ValueError, match=says):
        sg.craft(net, x, y, "fgsm", threat=bb.Linf(0.1))
    with pytest.raises(ValueError, match=says):
        bb.attack(oracle, x, y, "hybrid", bb.Linf(0.1), 20, prior=sg.prior(net))
    with pytest.raises(ValueError, match=says):
        sg.minimum_norm.deepfool(net, x, y)
    assert oracle.rows == 0


def test_a_net_without_gradients_hides_behind_no_other() -> None:
    with pytest.raises(ValueError, match="none passes through NoGrad"):
        Autograd([Affine(16), NoGrad(lambda net, x: net(x))], images(2))


def test_a_prior_counts_its_gradients_of_zero() -> None:
    rounding = On(lambda net, x: net((x * 255).round() / 255))
    x = images(3)
    target = Affine(16)
    with torch.no_grad():
        y = target(x).argmax(1)
    with pytest.warns(UserWarning, match="gradient of the prior is zero at a grey image"):
        result = bb.attack(bb.Oracle(target, "scores", 3), x, y, "p-rgf", bb.Linf(0.1), 40, prior=sg.prior(rounding))
    told = result.config["prior"]
    assert told["zero_gradients"] == told["gradients"] > 0 and "gradient was zero" in result.summary()
    fine = bb.attack(bb.Oracle(target, "scores", 3), x, y, "p-rgf", bb.Linf(0.1), 40, prior=sg.prior(Affine(16)))
    assert fine.config["prior"]["zero_gradients"] == 0 and "gradient was zero" not in fine.summary()


def test_a_transfer_table_says_what_was_returned_unchanged() -> None:
    x = images(4)
    net = Affine(16)
    with torch.no_grad():
        y = net(x).argmax(1)
    with pytest.warns(UserWarning, match="4 of 4 images"):
        table = sg.transfer_matrix(
            {"a": net, "b": On(lambda net, x: net((x * 255).round() / 255))}, {"t": bb.Oracle(net, "scores", 3)}, x, y, ["fgsm"]
        ).table()
    assert "4 of 4 images have no gradient on b with fgsm" in table and "on a with" not in table
