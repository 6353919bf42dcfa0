"""Why it transfers, against gradients that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from blackbox.app import compute, curves, draw, verdict, why
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
    made = why.explain(table, table.shots[0], "mine", "theirs")
    for cosine, word in ((0.5, "partly the same way"), (0.1, "no more than chance"), (-0.5, "partly against")):
        assert word in curves.headline(replace(made, cosine=cosine, usual=0.25))
    said = " ".join(curves.told(table, table.shots[0], replace(made, cosine=-0.5, usual=0.25)))
    assert "raises the one model's error tends to lower the other's" in said and "different pixels" not in said


@pytest.mark.parametrize("most, words", [(0.03, "Neither"), (0.06, "Only the surrogate is fooled"), (0.09, "Both models are fooled")])
def test_the_verdict_is_the_sliders_own(table, most, words):
    """The surrogate gives way at 0.05, the target at 0.08."""
    table.most = most
    made = why.explain(table, table.shots[0], "mine", "theirs")
    frame = compute.redraw(table, table.shots[0], "mine", "theirs", "fgsm", most)
    slider = verdict.of(frame, draw.eps_words(table, most), dict(enumerate(table.classes)))[1]
    said = " ".join(curves.told(table, table.shots[0], made))
    assert slider.startswith(words) and f" {slider}. " in f"{said} "
    assert ("not far enough to change its label" in said) is (most == 0.06), "at 0.03 the loss rises by less than 0.05"


def rises(made, ours, theirs, own_by_chance, by_chance, flips=(True, True)):
    """``made`` with straight losses that rise so far by the end of the slider, and labels that change there or not."""
    share = np.arange(len(made.eps)) / made.end

    def curve(up, chance, flip):
        return why.Curves(up * share, np.stack([c * share for c in chance]), (share >= 1).astype(int) * flip)

    return replace(made, own=curve(ours, own_by_chance, flips[0]), other=curve(theirs, by_chance, flips[1]))


@pytest.mark.parametrize(
    "ours, theirs, by_chance, cosine, words, never",
    [(1.0, 0.5, [0, 0, 0], 0.9, ["it transfers", "rises too; chance finds no hill."], ["speak of small steps"]),
     (1.0, 0.5, [0.2, -0.2, 0], 0.9, ["rises too."], ["no hill"]),
     (1.0, 0.5, [0.4, 0.4, 0.4], 0.9, ["along random directions as well"], ["no hill"]),
     (1.0, 0.5, [0, 0, 0], -0.9, ["The gradients do not show it"], []),
     (1.0, 0.04, [0, 0, 0], 0.9, ["loss hardly rises."], ["no hill", "rises too"]),
     (1.0, -0.5, [0, 0, 0], 0.9, ["loss falls."], ["no hill", "rises too"]),
     (0.04, 0.5, [0, 0, 0], 0.9, [], ["no hill", "rises too", "hardly"])],
)  # fmt: skip
def test_a_hill_is_told_of_only_where_there_is_one(table, ours, theirs, by_chance, cosine, words, never):
    made = replace(why.explain(table, table.shots[0], "mine", "theirs"), cosine=cosine, usual=0.25)
    said = " ".join(curves.told(table, table.shots[0], rises(made, ours, theirs, [0, 0, 0], by_chance)))
    assert all(word in said for word in words) and not any(word in said for word in never), said


def test_whose_gradient_is_zero_is_said_and_its_picture_says_so(table):
    """A target that votes: its probability is the same for a small nudge, and jumps once."""

    def votes(x):
        odd = (x.flatten(1).sum(1) > 2.34).float()
        return torch.stack([0.8 - 0.6 * odd, 0.2 + 0.6 * odd], 1)

    table.targets = {**table.targets, "votes": Once(lambda: Model("votes", "toy", votes))}
    made = why.explain(table, table.shots[0], "mine", "votes")
    assert (made.surrogate.zero, made.target.zero, made.other.jumps) == (False, True, True)
    html = curves.tab(table, table.shots[0], made, "x")
    assert curves.headline(made).startswith("The target's gradient is zero here")
    assert html.count("no change seen") == 1 and "scores jump, so" in html
    none = why.Slope(torch.zeros(1, 2, 2), why.AUTOGRAD)
    assert curves.headline(replace(made, surrogate=none)).startswith("Both gradients are zero")
    assert curves.headline(replace(made, surrogate=none, target=made.surrogate)).startswith("The surrogate's gradient is zero")


@pytest.mark.parametrize(
    "curve, jumps",
    [(np.linspace(0, 3, 21) ** 2, False), (np.log1p(np.exp(np.linspace(-9, 9, 21))), False), (np.repeat([0.0, 2, 3], 7), True),
     (np.linspace(0, 0.1, 21) + 3 * (np.arange(21) > 9), True), (0.01 * (np.arange(21) > 9), False), (np.zeros(21), False)],
)  # fmt: skip
def test_a_staircase_is_told_from_a_slope(curve, jumps):
    assert why.Curves(curve, np.zeros((3, 21)), np.zeros(21, dtype=int)).jumps is jumps


def test_of_a_hill_that_chance_finds_for_the_surrogate_alone(table):
    made = rises(why.explain(table, table.shots[0], "mine", "theirs"), 1.0, 0.5, [0.1, 0, 0], [0, 0, 0])
    said = " ".join(curves.told(table, table.shots[0], made))
    assert "rises too; along random directions it does not." in said and "no hill" not in said
