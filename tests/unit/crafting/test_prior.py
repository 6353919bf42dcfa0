"""Nets as a prior: exact logits and gradients, independent of the batch, counted, and checked with one sentence."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.prior import Prior, view
from blackbox.testing.priors import LinearPrior
from tests.surrogate_doubles import Affine

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


def test_a_view_asks_some_members_on_the_same_account() -> None:
    prior = sg.prior(nets(3))
    x, ones = images(5), lambda scores, rows: torch.ones_like(scores)
    some = view(prior, [2, 0])
    assert isinstance(some, Prior) and (some.members, some.classes) == (2, prior.classes)
    assert torch.equal(some.logits(x), prior.logits(x)[:, [2, 0]])

    def pull(scores: Tensor, rows: Tensor) -> Tensor:
        return torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1).expand_as(scores)

    before = prior.gradients, prior.passes
    made = some.gradient(x, ones)
    assert (prior.gradients, prior.passes) == (some.gradients, some.passes) == (before[0] + 10, before[1])
    assert torch.allclose(made, prior.gradient(x, pull), atol=1e-6)
    assert torch.equal(view(some, [1]).logits(x), prior.logits(x)[:, :1]), "a view of a view"


def test_few_rows_are_computed_in_smaller_pieces_and_stay_their_own() -> None:
    prior = sg.prior(nets())
    few, seen = view(prior, few=True), []
    for net in few._lean:
        net.register_forward_hook(lambda net, given, out: seen.append(len(out)))
    x, ones = images(11), lambda scores, rows: torch.ones_like(scores)
    whole = few.gradient(x, ones)
    assert torch.equal(few.gradient(x[6:7], ones), whole[6:7]) and torch.equal(few.gradient(x[3:9], ones), whole[3:9])
    prior.logits(x)
    assert max(seen[:-2]) < min(seen[-2:]), "pieces go by what the caller says"
    assert torch.allclose(whole, prior.gradient(x, ones), atol=1e-6)


def test_a_prior_without_views_answers_for_some_members_all_the_same() -> None:
    prior = LinearPrior.of_problem(members=3)
    x = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    some = view(prior, [1])
    assert torch.equal(some.logits(x), prior.logits(x)[:, 1:2]) and view(prior, few=True) is prior
    alone = LinearPrior(prior.weight[1:2], prior.bias[1:2])
    ones = lambda scores, rows: torch.ones_like(scores)  # noqa: E731
    assert isinstance(some, Prior) and torch.allclose(some.gradient(x, ones), alone.gradient(x, ones), atol=1e-5)


def test_nets_are_left_as_they_were() -> None:
    net = nets(1)[0].train()
    before = copy.deepcopy(net.state_dict())
    prior = sg.prior(net)
    prior.check(SHAPE, 4)
    prior.gradient(images(), lambda scores, rows: torch.ones_like(scores))
    assert all(not p.requires_grad for p in prior._lean[0].parameters()) and not prior._lean[0].training
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
        (lambda: {"a": nets(1)[0]}, "of one or more torch modules, but it was made of dict. Give nets"),
        (lambda: [*nets(1), sg.build("cnn", 5, SHAPE, seed=0)], "have the same number of classes"),
        (lambda: [*nets(1), sg.build("cnn", 4, (3, 6, 6), seed=0)], "take images of one shape"),
    ],
    ids=["empty", "none", "function", "names", "classes", "shapes"],
)
def test_what_is_no_prior(made, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        sg.prior(made())


def test_what_does_not_fit_the_target() -> None:
    prior = sg.prior(nets())
    with pytest.raises(ValueError, match="net 0 of the prior to have the target's 10 classes, but it has 4"):
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
