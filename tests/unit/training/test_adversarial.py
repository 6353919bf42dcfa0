"""Adversarial training: examples where they must be, gradients known in advance, nets that withstand more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import L2, Linf
from surrogates.training.adversarial import Adversarial, Free, adversarial_examples
from tests.surrogate_doubles import Affine, images

X = images(64, (1, 4, 4))
Y = (X[:, 0, 0, 0] * 5).long() % 3
ONCE = {"epochs": 1, "batch_size": 64, "least_updates": 1, "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, "warmup": 0.0,
        "schedule": "constant"}  # fmt: skip


def draws(count: int, seed: int = 0) -> Stream:
    return Stream(seed, np.arange(count, dtype=np.uint64))


def test_enough_fgsm_steps_reach_the_corner_that_an_affine_net_fears() -> None:
    """Two classes: the gradient is always +-(w1 - w0), so every example ends at x + eps sign of it."""
    net, x, threat = Affine(16, classes=2), images(20), Linf(0.1)
    labels = net(x).argmax(1)
    away = (net.w[1] - net.w[0]).detach().sign().view(1, 1, 4, 4) * torch.where(labels == 0, 1, -1)[:, None, None, None]
    found = adversarial_examples(net, x, labels, threat, 8, 0.05, draws(20))
    torch.testing.assert_close(found, threat.project(x + 0.1 * away, x))
    one = adversarial_examples(net, x, labels, threat, 1, 0.125, draws(20))  # 1.25 eps: the corner only from some starts
    assert bool(((one - x).abs() <= 0.1 + 1e-6).all())
    moved = ((one - x) * away).flatten(1)
    # uniform start u: the end is min(u + 0.125, 0.1), on average 0.375 * 0.0625 + 0.625 * 0.1
    assert bool((moved >= 0.025 - 1e-6).all()) and float(moved.mean()) == pytest.approx(0.0859, abs=0.004)


def test_an_example_does_not_depend_on_its_batch() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 3)).train()
    ids = np.array([5, 2, 8], dtype=np.uint64)
    x, y = images(3), torch.tensor([0, 1, 2])
    before = [v.clone() for v in net.state_dict().values()]
    whole = adversarial_examples(net, x, y, L2(0.5), 3, 0.2, Stream(1, ids))
    alone = torch.cat(
        [adversarial_examples(net, x[i : i + 1], y[i : i + 1], L2(0.5), 3, 0.2, Stream(1, ids[i : i + 1])) for i in range(3)]
    )
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=0)
    assert net.training and all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))


def test_free_uses_one_pass_for_both_steps() -> None:
    """Two replays of one batch, done by hand: weights and perturbation from the same backward pass."""
    net, eps = Affine(16), 0.1
    w, b, passes = net.w.detach().clone(), net.b.detach().clone(), []
    hook = net.register_forward_hook(lambda net, given, out: passes.append(len(out)))
    trained = sg.train(net, (X, Y), sg.Recipe(**ONCE, update=Free(Linf(eps), replays=2)))
    hook.remove()
    rng = Stream(0 + (1 << 32), np.arange(64, dtype=np.uint64))
    order = Stream(0, np.arange(64, dtype=np.uint64)).shared_permutation(1, "order", 64)
    x0, y = X[order], Y[order]
    x = x0 + (2 * rng.take(order.numpy()).uniform(0, "start", (1, 4, 4)) - 1) * eps
    x = Linf(eps).project(x, x0)
    for _ in range(2):
        x, w, b = (v.detach().requires_grad_() for v in (x, w, b))
        gx, gw, gb = torch.autograd.grad(F.cross_entropy(x.flatten(1) @ w.T + b, y), (x, w, b))
        w, b, x = w - 0.1 * gw, b - 0.1 * gb, Linf(eps).project(x + eps * gx.sign(), x0)
    torch.testing.assert_close(trained.w.detach(), w.detach())
    torch.testing.assert_close(trained.b.detach(), b.detach())
    assert passes == [1, 64, 64] and sg.report(trained).updates == 1  # the first counts the classes


@pytest.fixture(scope="module")
def digits() -> dict[str, sg.Dataset]:
    return sg.split(sg.load("digits"), {"train": 700, "test": 300}, seed=0)


@pytest.mark.parametrize(
    "update", [Adversarial(Linf(0.15)), Adversarial(Linf(0.15), "fgsm"), Free(Linf(0.15), 4)], ids=str
)
def test_trained_nets_withstand_what_plain_ones_do_not(digits: dict[str, sg.Dataset], update: Any) -> None:
    def robust_accuracy(update: Any) -> float:
        net = sg.train(sg.build("mlp", 10, (1, 8, 8)), digits["train"], sg.Recipe(epochs=6, update=update))
        x, y = digits["test"].images, digits["test"].labels
        x_adv = sg.craft(net, x, y, "pgd", threat=Linf(0.15))
        return sg.accuracy(net, (x_adv, y)).value

    assert robust_accuracy(update) > robust_accuracy(None) + 0.2


def test_the_epoch_kept_is_the_robust_one(digits: dict[str, sg.Dataset]) -> None:
    """Held-out loss is that of adversarial examples, which is larger than the clean one."""
    recipe = sg.Recipe(epochs=3, held_out=0.3, update=Adversarial(Linf(0.15), "fgsm"))
    net = sg.train(sg.build("mlp", 10, (1, 8, 8)), digits["train"], recipe)
    out = sg.report(net)
    clean = sg.accuracy(net, digits["test"]).value
    assert out.held_out_accuracy[out.best - 1] < clean - 0.05
    assert out.best == int(np.argmin(out.held_out_loss)) + 1


BAD: list[tuple[Any, str]] = [
    (lambda: Adversarial(Linf(float("inf"))), "finite eps"),
    (lambda: Adversarial(Linf(0.1), "cw"), "one of pgd, fgsm"),
    (lambda: Adversarial(Linf(0.1), steps=0), "steps of at least 1"),
    (lambda: Adversarial(Linf(0.1), step=-1.0), "positive step"),
    (lambda: Free(Linf(0.1), 0), "replays"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_bad_input_gets_a_sentence(call: Any, words: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert words in str(error.value) and "\n" not in str(error.value)


def test_the_mixed_loss_is_the_share_it_says() -> None:
    lost: list[float] = []
    batch = SimpleNamespace(
        net=Affine(16, classes=2), x=images(2), labels=torch.tensor([0, 1]), rng=draws(2),
        loss=lambda x=None: (torch.tensor(1.0 if x is None else 5.0), torch.zeros(2, 2)), descend=lambda loss: lost.append(float(loss)),
    )  # fmt: skip
    for clean in (0.0, 0.25, 0.5):
        Adversarial(Linf(0.1), attack="fgsm", clean=clean)(batch)  # type: ignore[arg-type]
    assert lost == [5.0, 4.0, 3.0]
    with pytest.raises(ValueError, match="clean to be a share"):
        Adversarial(Linf(0.1), clean=1.0)
