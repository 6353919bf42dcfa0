"""Copies without data: gradients through a target against autograd, exact counts, and a generator that collapses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import surrogates as sg
from blackbox.estimators import Coordinates
from blackbox.oracle.oracle import Oracle, TargetError
from surrogates.acquisition import DFME, MAZE, DataFree, Generator, HardLabel, data_free
from surrogates.acquisition.data_free import losses, methods
from surrogates.acquisition.data_free.collapse import effective_classes, spread
from surrogates.acquisition.data_free.methods import estimated, uncertain
from surrogates.acquisition.data_free.run import Run
from tests.surrogate_doubles import Affine, Rejecting

SHAPE = (1, 4, 4)
QUICK = sg.Recipe(epochs=2)


class Tilted(nn.Module):
    """A copy of an affine target's form, small weights first."""

    def __init__(self, seed: int = 1, scale: float = 0.1) -> None:
        super().__init__()
        self.affine = Affine(16, 3, seed)
        with torch.no_grad():
            self.affine.w.mul_(scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(x)  # type: ignore[no-any-return]


def target(seed: int = 0) -> Affine:
    return Affine(16, 3, seed).centred()


def run_of(net: nn.Module, oracle: Oracle, method: DataFree, queries: int = 10_000) -> Run:
    return Run(net, oracle, method, SHAPE, queries, "spread", 0, None)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_the_gradient_through_an_affine_target_is_that_of_autograd(loss: str) -> None:
    hidden, net = target().double(), Tilted().double()
    x = (0.3 + 0.4 * torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(0))).requires_grad_()
    total = losses.disagreement(loss, net(x.double()), hidden(x.double()).softmax(1)).sum()
    (true,) = torch.autograd.grad(total, x)
    method = DFME(loss=loss, batch=5, estimator=Coordinates(h=0.003))
    oracle = Oracle(lambda v: target()(v), "scores", 3, returns="logits")
    run = run_of(Tilted(), oracle, method)
    told = run.ask(x.detach())
    found = estimated(method.estimator, loss, run, x.detach(), told)
    assert float((found - true).norm() / true.norm()) < 0.01
    assert oracle.counts == {"train": 5, "estimate": 5 * 32} and run.left == 10_000 - 5 * 33


def test_random_directions_find_the_gradient_on_average() -> None:
    x = 0.3 + 0.4 * torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    goal = x.clone().requires_grad_()
    (true,) = torch.autograd.grad(losses.disagreement("kl", Tilted()(goal), target()(goal).softmax(1)).sum(), goal)
    for method, least in ((MAZE(), 0.4), (MAZE(estimator=replace(MAZE().estimator, samples=600)), 0.95)):  # type: ignore[type-var]
        run = run_of(Tilted(), Oracle(target(), "scores", 3, returns="logits"), method)
        found = estimated(method.estimator, "kl", run, x, run.ask(x))
        assert torch.cosine_similarity(found.flatten(1), true.flatten(1)).min() > least


def test_the_losses_of_a_critic() -> None:
    q = torch.tensor([0.1, 0.9], dtype=torch.float64, requires_grad=True)
    for kind, slope in (("minimax", [1 / 0.9, 1 / 0.1]), ("non-saturating", [1 / 0.1, 1 / 0.9])):
        (found,) = torch.autograd.grad(losses.against_critic(kind, q).sum(), q)
        assert found.tolist() == pytest.approx(slope)
    p = torch.tensor([[0.7, 0.2, 0.1]])
    for kind in ("l1", "kl", "minimax"):
        assert float(losses.disagreement(kind, p.log() + 3, p)) == pytest.approx(0, abs=1e-5)  # a constant makes no difference
    with pytest.raises(ValueError, match="l1, kl, minimax, non-saturating, but it was 'hinge'"):
        losses.disagreement("hinge", p, p)
    with pytest.raises(ValueError, match="but it was 'hinge'"):
        DFME(loss="hinge")


@pytest.mark.parametrize("name", methods.names())
@pytest.mark.parametrize("queries", [8, 101])
def test_the_budget_is_spent_to_the_last_query(name: str, queries: int) -> None:
    method = replace(methods.get(name), batch=8, width=4)
    oracle = Oracle(target(), "labels" if name == "hard-label" else "scores", 3, returns="logits")
    got = data_free(Tilted(), oracle, method, queries=queries, shape=SHAPE, recipe=QUICK, evaluation=torch.rand(20, *SHAPE))
    assert oracle.rows == queries == got.bill.total and oracle.counts["verify"] == 20 == got.curve.asked_apart
    assert oracle.counts["estimate"] == got.bill.estimate == (0 if name == "hard-label" or queries == 8 else got.bill.estimate) < queries
    assert len(got.answers) == oracle.counts["train"] and got.curve.queries[-1] == queries and not got.collapses
    assert (got.answers.probabilities is None) == (name == "hard-label")
    assert torch.equal(got.answers.labels, sg.predict(target(), got.answers.images))
    shown = got.images(5)
    assert shown.shape == (5, *SHAPE) and 0 <= float(shown.min()) <= float(shown.max()) <= 1 and spread(shown) > 0.05


def test_a_result_is_a_function_of_the_seed() -> None:
    def once(seed: int) -> Tensor:
        got = data_free(Tilted(), Oracle(target(), classes=3), DFME(batch=8, width=4), queries=60, shape=SHAPE, recipe=QUICK, seed=seed)
        return got.answers.images

    torch.manual_seed(1)
    first, state = once(0), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(first, once(0)) and torch.equal(state, torch.get_rng_state()) and not torch.equal(first, once(1))


def test_a_generator_finds_where_copy_and_target_disagree() -> None:
    oracle, net = Oracle(target(), "scores", 3, returns="logits"), Tilted(scale=0.0)
    method = DFME(batch=16, copy_steps=1, copy_lr=1e-9, generator_lr=0.01, width=8, estimator=Coordinates(h=0.003))
    run = run_of(net, oracle, method, 1 << 40)

    def seen() -> float:
        x = run.images().detach()
        return float(losses.disagreement("l1", net(x), target()(x).softmax(1)).mean().detach())

    before = np.mean([seen() for _ in range(3)])
    for _ in range(30):
        run.round()
    assert np.mean([seen() for _ in range(3)]) > 1.3 * before


class Alike(nn.Module):
    """A generator whose images are all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Parameter(torch.full(SHAPE, 0.5))

    def forward(self, z: Tensor) -> Tensor:
        return self.image.expand(len(z), *SHAPE)


def test_a_generator_that_collapses_is_made_anew_once_and_then_given_up() -> None:
    oracle, made = Oracle(target(), "scores", 3, returns="logits"), []

    def make(seed: int, bad: int) -> nn.Module:
        made.append(seed)
        return Alike() if len(made) <= bad else Generator(SHAPE, 64, 4, seed)

    for bad in (1, 2):
        made.clear()
        with pytest.warns(UserWarning, match="collapsed after"):
            got = data_free(
                Tilted(), oracle, DFME(batch=8), queries=100, shape=SHAPE, recipe=QUICK, seed=5,
                generator=lambda seed, bad=bad: make(seed, bad),  # type: ignore[misc]
            )  # fmt: skip
        assert got.collapses == bad and made == [5, 6] and got.bill.total == 100 and len(got.notes) == bad
        assert "its images are alike (an entry varies by 0.000); it is made anew, once." in got.notes[0]
        late = got.answers.images[-16:]
        assert spread(late) > 0.05
    assert "the rest of the budget is spent on dead leaves" in got.notes[1]
    assert torch.equal(late[-1], got.answers.images[-1]) and effective_classes(torch.tensor([0, 0, 1, 1])) == pytest.approx(2)


def test_a_target_that_names_one_class_is_told_before_the_budget_is_spent() -> None:
    def constant(x: Tensor) -> Tensor:
        return torch.tensor([[0.9, 0.1]]).repeat(len(x), 1)

    oracle, net = Oracle(constant, "scores", 2), sg.build("mlp", 2, SHAPE)
    said = pytest.warns(UserWarning, match="gave the last 64 images class 0")
    with said, pytest.raises(ValueError, match="gave all 136 images class 0") as got:
        data_free(net, oracle, HardLabel(batch=8), queries=5000)
    assert len(got.value.answers) == 136 == oracle.rows  # type: ignore[attr-defined]  # two windows of 64, and dead leaves
    with pytest.warns(UserWarning, match="gave all 24 images class 0"), pytest.raises(ValueError, match="gave all 56 images class 0"):
        data_free(net, Oracle(constant, "scores", 2), HardLabel(batch=8), queries=80)  # a small budget: half of it is left at least


def test_a_target_that_fails_leaves_what_was_paid() -> None:
    calls: list[int] = []

    def fails(x: Tensor) -> Tensor:
        if sum(calls) + len(x) > 62:
            raise RuntimeError("over")
        calls.append(len(x))
        return target()(x)

    oracle = Oracle(fails, "scores", 3, returns="logits", rows_per_call=5)
    with pytest.raises(TargetError) as error:
        data_free(Tilted(), oracle, DFME(batch=8, width=4), queries=500, shape=SHAPE)
    paid = error.value.result  # type: ignore[attr-defined]
    assert len(paid) == oracle.counts["train"] > 0 and oracle.counts["estimate"] and oracle.rows == 61  # of the last batch a part
    assert torch.equal(paid.labels, sg.predict(target(), paid.images))


def test_rejected_images_are_paid_for_and_not_learned_from() -> None:
    oracle = Oracle(Rejecting(target(), lambda x: x.flatten(1).mean(1) < 0.5, "scores"), "scores", 3, returns="logits")
    got = data_free(Tilted(), oracle, DFME(batch=8, width=4), queries=120, shape=SHAPE, recipe=QUICK)
    assert oracle.rows == 120 == len(got.answers) + got.answers.rejected + got.bill.estimate and got.answers.rejected


def test_what_cannot_be_done_is_said_before_the_first_query() -> None:
    labels, scores = Oracle(target(), "labels", 3), Oracle(target(), "scores", 3)
    for oracle, method, queries, message in (
        (labels, "dfme", 500, 'shows scores for DFME, but it shows labels only.*Take "hard-label"'),
        (scores, "maze", 63, r"at least one batch, 64 queries, but it was 63. Give more, or a smaller batch: MAZE\(batch=63\)"),
        (scores, "dfm", 500, "Did you mean.*dfme"),
    ):
        with pytest.raises(ValueError, match=message):
            data_free(Tilted(), oracle, method, queries=queries, shape=SHAPE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Give shape="):
        data_free(Tilted(), scores, queries=500)
    with pytest.raises(ValueError, match="copy_steps to be at least 1"):
        DFME(copy_steps=0)
    assert labels.rows == scores.rows == 0


def test_queries_of_labels_go_where_the_copy_is_unsure() -> None:
    net, x = Tilted(scale=1.0), torch.rand(6, *SHAPE)
    run = run_of(net, Oracle(target(), "labels", 3), HardLabel())

    def entropy(x: Tensor) -> Tensor:
        return torch.special.entr(net(x).softmax(1)).sum(1)

    moved = HardLabel().query(run, x)
    assert bool((entropy(moved) >= entropy(x) - 1e-3).all()) and entropy(moved).mean() > 1.2 * entropy(x).mean()
    h, g = torch.zeros_like(x), uncertain(net, x)
    h[:, 0, 1, 2] = 1e-3
    assert torch.allclose((entropy(x + h) - entropy(x - h)) / 2e-3, g[:, 0, 1, 2], atol=2e-3)
