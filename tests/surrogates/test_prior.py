"""Nets as a prior: exact logits and gradients, independent of the batch, counted, and checked with one sentence."""

from __future__ import annotations

import copy

import pytest
import torch
from surrogate_doubles import Affine
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.prior import Prior
from surrogates.nets import Normalised
from surrogates.prior import lean

SHAPE = (3, 8, 8)


def nets(count: int = 2, classes: int = 4) -> list[nn.Module]:
    return [sg.build("cnn", classes, SHAPE, seed=i) for i in range(count)]


def images(n: int = 11) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))


def test_the_gradient_is_that_of_the_covector() -> None:
    pair = [Affine(192, seed=0), Affine(192, seed=1)]
    prior = sg.prior(pair)
    assert isinstance(prior, Prior)
    x, v = images(), torch.randn(11, 2, 3, generator=torch.Generator().manual_seed(1))
    prior.check(SHAPE, 3)
    g = prior.gradient(x, lambda scores, rows: v[rows])
    want = sum(v[:, m] @ net.w for m, net in enumerate(pair))
    assert torch.allclose(g.flatten(1), want, atol=1e-4)
    assert torch.allclose(prior.logits(x), torch.stack([net(x) for net in pair], 1), atol=1e-5)


def test_rows_do_not_depend_on_their_batch_and_are_counted() -> None:
    prior = sg.prior(nets())
    prior.check(SHAPE, 4)
    assert (prior.gradients, prior.passes) == (0, 0), "a check is not charged"
    x = images()

    def pull(scores: Tensor, rows: Tensor) -> Tensor:
        v = torch.zeros_like(scores)
        v[:, :, 1] = 1.0
        v[:, 1] *= (rows % 2 == 0)[:, None]
        return v

    whole, scores = prior.gradient(x, pull), prior.logits(x)
    assert torch.equal(prior.gradient(x[4:5], pull), whole[4:5])
    assert torch.equal(prior.gradient(x[4:], pull), whole[4:]) and torch.equal(prior.logits(x[7:9]), scores[7:9])
    assert prior.gradients == 2 * (11 + 1 + 7) and prior.passes == 2 * (11 + 2)


def test_a_member_that_is_not_asked_is_not_charged() -> None:
    prior = sg.prior(nets())
    prior.gradient(images(3), lambda scores, rows: torch.eye(2)[0].view(1, 2, 1).expand_as(scores))
    assert (prior.gradients, prior.passes) == (3, 3)


def test_nets_are_left_as_they_were() -> None:
    net = nets(1)[0].train()
    before = copy.deepcopy(net.state_dict())
    prior = sg.prior(net)
    prior.check(SHAPE, 4)
    prior.gradient(images(), lambda scores, rows: torch.ones_like(scores))
    assert net.training and all(p.requires_grad and p.grad is None for p in net.parameters())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_prior_says_which_nets_it_is() -> None:
    one, two = nets()
    assert repr(sg.prior(one)) == repr(sg.prior(copy.deepcopy(one))) != repr(sg.prior(two))


class Poisoned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt(x.flatten(1)[:, :3] * 0)  # finite, but its gradient is 0 / 0


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: [], "Expected a prior of one or more torch modules"),
        (lambda: None, "Expected a prior of one or more torch modules"),
        (lambda: [lambda x: x], "Expected a prior of one or more torch modules"),
        (lambda: [*nets(1), sg.build("cnn", 5, SHAPE, seed=0)], "tell the same classes apart"),
        (lambda: [*nets(1), sg.build("cnn", 4, (3, 6, 6), seed=0)], "take images of one shape"),
    ],
    ids=["empty", "none", "function", "classes", "shapes"],
)
def test_what_is_no_prior(made, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        sg.prior(made())


def test_what_does_not_fit_the_target() -> None:
    prior = sg.prior(nets())
    with pytest.raises(ValueError, match="net 0 of the prior to tell the target's 10 classes apart, but it has 4"):
        prior.check(SHAPE, 10)
    with pytest.raises(ValueError, match=r"images of shape \(3, 9, 9\), which are attacked, but it takes \(3, 8, 8\)"):
        prior.check((3, 9, 9), 4)
    with pytest.raises(ValueError, match="Expected finite gradients from the nets of the prior"):
        sg.prior(Poisoned()).check(SHAPE, 3)


def test_an_attack_with_nets_end_to_end() -> None:
    """The target is one of the members: a query suffices. NaN gradients stop the run before anything is paid."""
    net = nets(1)[0]
    x = images()
    y = sg.predict(net, x)
    oracle = bb.Oracle(net, "scores", 4)
    result = bb.attack(oracle, x, y, "hybrid", bb.Linf(0.1), 20, prior=sg.prior(net))
    assert result.success.all() and result.config["prior"]["gradients"] > 0
    assert float(result.queries.double().mean()) < 4
    with pytest.raises(ValueError, match="finite gradients"):
        bb.attack(
            bb.Oracle(Poisoned(), "scores", 3, returns="logits"),
            x,
            y % 3,
            "hybrid",
            bb.Linf(0.1),
            20,
            prior=sg.prior(Poisoned()),
        )


def test_the_lean_copy_says_the_same() -> None:
    """Batch norms are folded for speed: logits and gradients stay those of the net, and the net is left as it was."""
    for name in ("resnet20", "cnn"):
        net = sg.build(name, 5, (3, 16, 16), seed=1).train()
        x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            net(x)  # running statistics that are not the initial ones
        made, weights = lean(net), [p.clone() for p in net.parameters()]
        assert made is not net and net.training
        net.eval()
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        said, meant = made(a), net(b)
        assert torch.allclose(said, meant, atol=1e-4)
        (one,), (other,) = torch.autograd.grad(said[:, 2].sum(), a), torch.autograd.grad(meant[:, 2].sum(), b)
        assert torch.allclose(one, other, atol=1e-4)
        assert all(torch.equal(p, q) for p, q in zip(weights, net.parameters(), strict=True))


def test_a_net_in_bfloat16_is_folded_as_well() -> None:
    """Folding in bfloat16 would look like a mistake of its own rounding; the copy is folded before it is rounded."""
    net = sg.build("vgg", 5, (3, 16, 16), seed=1).train()
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        net(x)
    net.eval()
    made = lean(copy.deepcopy(net).to(torch.bfloat16))
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in made.modules())
    assert all(p.dtype == torch.bfloat16 for p in made.parameters())
    with torch.no_grad():
        said, meant = made(x.to(torch.bfloat16)).float(), net(x)
    assert float((said - meant).abs().max()) < 0.05 * float(meant.abs().max())


def test_a_net_that_cannot_be_traced_is_used_as_it_is() -> None:
    class Branching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :4] * (1.0 if float(x.sum()) > 0 else 2.0)

    net = Normalised(Branching(), (1, 4, 4), 4)
    assert lean(net) is net
