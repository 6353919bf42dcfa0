"""Why it transfers, against gradients that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blackbox.app import curves, why
from blackbox.app.bench import Once
from blackbox.specs import Model


def test_differences_are_the_gradient_of_a_linear_loss():
    w = torch.arange(1.0, 33.0).view(2, 4, 4)
    x = torch.full((1, 2, 4, 4), 0.5)
    x[0, 0, 0, 0] = 1.0  # one-sided there

    def loss(points):
        return (points.double() * w.double()).flatten(1).sum(1).numpy()

    assert torch.allclose(why.differences(loss, x, 0.1), w.double(), atol=1e-4)
    blocks = why.differences(loss, x.clamp(0.5, 0.5), 0.1, side=2)
    mean = w.double().view(2, 2, 2, 2, 2).mean((0, 2, 4))  # of a block, over both channels
    assert torch.allclose(blocks[0, ::2, ::2], mean, atol=1e-4) and (blocks[0] == blocks[1]).all()
    odd = why.differences(lambda p: p.double().flatten(1).sum(1).numpy(), torch.full((1, 1, 5, 7), 0.5), 0.1, side=2)
    assert odd.shape == (1, 5, 7) and torch.allclose(odd, torch.ones(1, 5, 7, dtype=torch.float64), atol=1e-4)


def test_the_affine_models_gradients_are_parallel_and_the_queries_are_counted(table):
    made = why.explain(table, table.shots[0], "mine", "theirs")
    assert made.cosine == pytest.approx(1, abs=1e-4) and made.usual == pytest.approx(0.98)
    assert (made.target.how, made.target.queries) == (why.DIFFERENCES, 2 * 4)
    assert made.asked == 2 * 4 + 4 * 21 == table.viewer("theirs").counts["why"]
    assert why.explain(table, table.shots[0], "mine", "theirs") is made, "asked once"
    eps = made.eps
    np.testing.assert_allclose(made.own.uphill, np.log1p(np.exp(-0.2 + 4 * eps)), atol=1e-5)
    np.testing.assert_allclose(made.other.uphill, np.log1p(np.exp(-0.16 + 2 * eps)), atol=1e-5)
    assert made.eps[made.end] == pytest.approx(table.most)
    assert made.own.label.tolist() == (eps > 0.05).astype(int).tolist()
    html = curves.tab(table, table.shots[0], made, "x")
    assert "cosine 1.00" in html and "from 8 queries" in html and "92 queries, not charged" in html


def test_a_net_of_ones_own_is_asked_for_its_gradient_itself(table):
    net = table.net("mine")
    table.targets = {**table.targets, "net": Once(lambda: Model("net", "toy", net, net))}
    made = why.explain(table, table.shots[0], "mine", "net")
    assert (made.target.how, made.target.queries, made.same) == (why.AUTOGRAD, 0, True)
    assert "not transfer" in curves.headline(made) and "That is transfer" not in " ".join(curves.told(table, table.shots[0], made))


def test_of_a_target_that_shows_labels_only_the_walk_is_shown(table):
    made = why.explain(table, table.shots[0], "mine", "mute")
    assert (made.target.how, made.target.gradient) == (why.LABELS, None) and np.isnan(made.cosine)
    assert set(made.other.uphill) <= {0.0, 1.0} and made.other.uphill[0] == 0
    assert "shows its label only" in curves.tab(table, table.shots[0], made, "x")


def test_the_words_follow_the_cosine(table):
    from dataclasses import replace

    made = why.explain(table, table.shots[0], "mine", "theirs")
    for cosine, word in ((0.5, "partly the same way"), (0.1, "no more than chance"), (-0.5, "partly against"), (np.nan, "is zero")):
        assert word in curves.headline(replace(made, cosine=cosine, usual=0.25))
