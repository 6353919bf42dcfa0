"""Why it transfers: affine nets, whose gradients one can write down."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import surrogates as sg
from blackbox.oracle.oracle import Oracle
from blackbox.threat import L1, Linf
from tests.surrogate_doubles import Affine, images

X, Y = images(5), torch.tensor([0, 1, 0, 1, 1])


def pair() -> tuple[Affine, Affine, torch.Tensor, torch.Tensor]:
    """Two nets of two classes, and their weight differences."""
    a, b = Affine(16, 2, seed=1), Affine(16, 2, seed=2)
    return a, b, (a.w[1] - a.w[0]).detach().double(), (b.w[1] - b.w[0]).detach().double()


@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
def test_alignment_of_affine_nets_is_that_of_their_weights(loss: str) -> None:
    a, b, u, v = pair()
    found = sg.alignment(a, b, X, Y, loss=loss)
    assert np.allclose(found.cosine, float(u @ v / (u.norm() * v.norm())), atol=1e-5)
    mean = found.mean
    assert mean.n == 5 and mean.value == pytest.approx(float(u @ v / (u.norm() * v.norm())), abs=1e-5)
    assert np.allclose(sg.alignment(a, a, X, Y, loss=loss).cosine, 1)


def test_gradient_size_is_exact_in_the_dual_norm() -> None:
    a, _, u, _ = pair()
    p = (a(X).detach().double().softmax(1))[range(5), 1 - Y].numpy()  # d CE / dx = p_other (w_other - w_own)
    for threat, length in ((None, u.norm()), (Linf(0.1), u.abs().sum()), (L1(1.0), u.abs().max())):
        assert np.allclose(sg.gradient_size(a, X, Y, threat=threat), p * float(length), rtol=1e-5)
    assert np.allclose(sg.gradient_size(a, X, Y, loss="margin"), float(u.norm()), rtol=1e-6)


def test_no_gradient_has_no_direction() -> None:
    a, b, _, _ = pair()
    with torch.no_grad():
        b.w.zero_()
    found = sg.alignment(a, b, X, Y)
    assert np.isnan(found.cosine).all() and found.mean.n == 0 and not found.target_size.any()


def test_variability_is_the_variance_over_trainings() -> None:
    nets = [Affine(16, 2, seed=s) for s in (1, 2, 3)]
    values = np.stack([torch.nn.functional.cross_entropy(n(X), Y, reduction="none").detach().numpy() for n in nets])
    assert np.allclose(sg.loss_variability(nets, X, Y), (values**2).mean(0) - values.mean(0) ** 2, atol=1e-4)
    assert np.allclose(sg.loss_variability([nets[0], nets[0]], X, Y), 0)
    with pytest.raises(ValueError, match="two or more trainings"):
        sg.loss_variability(nets[0], X, Y)


@pytest.mark.parametrize("edge", [False, True])
def test_two_queries_find_the_cosine_to_an_affine_target(edge: bool) -> None:
    """As many directions as dimensions are left: the size is exact, so is the cosine; also where half of the entries lie on
    the walls of the box, beyond which nobody can ask."""
    a, b, u, v = pair()
    x = X.clone()
    if edge:
        x[:, :, ::2] = x[:, :, ::2].round()
    oracle, probe = Oracle(b, "logits", 2, returns="logits"), sg.DirectionalProbe(directions=15, h=0.01)
    assert probe.plan(5, 1) == 5 * 2 * 16
    found = probe({"a": a}, oracle, x, Y, budget=160)
    assert found.queries == oracle.rows == oracle.counts["alignment"] == 160
    assert np.allclose(found.size, float(v.norm()), rtol=1e-4)
    assert np.allclose(found.cosine, float(u @ v / (u.norm() * v.norm())), atol=1e-4)
    assert np.allclose(found.slope, found.cosine * found.size)
    assert found.mean("a").value == pytest.approx(float(u @ v / (u.norm() * v.norm())), abs=1e-4)


def test_several_surrogates_share_the_random_directions() -> None:
    a, b, u, v = pair()
    c = Affine(16, 2, seed=3)
    w = (c.w[1] - c.w[0]).detach().double()
    oracle, probe = Oracle(b, "scores", 2), sg.DirectionalProbe(directions=12, h=0.01)
    found = probe({"a": a, "twin of a": a, "c": c, "b": b}, oracle, X[:2], Y[:2])  # b is among them: nothing is left
    for name, other in (("a", u), ("twin of a", u), ("c", w), ("b", v)):
        want = float(other @ v / (other.norm() * v.norm()))
        assert found.mean(name).value == pytest.approx(want, abs=2e-3), name
    assert found.queries == probe.plan(2, 4) == 2 * 2 * 16


def test_few_directions_estimate_the_size_and_no_cosine_is_above_one() -> None:
    d = 400
    a, b = Affine(d, 2, seed=1), Affine(d, 2, seed=2)
    x, y = images(60, (1, 20, 20)), torch.arange(60) % 2
    probe, oracle = sg.DirectionalProbe(directions=8), Oracle(b, "logits", 2, returns="logits")
    found = probe({"a": a, "self": b}, oracle, x, y)
    size = float((b.w[1] - b.w[0]).detach().norm())
    assert np.allclose(found.cosine[1], 1, atol=1e-2) and np.abs(found.cosine).max() <= 1 + 1e-9
    alone = probe({"a": a}, oracle, x, y)
    assert math.sqrt((alone.size**2).mean()) == pytest.approx(size, rel=0.1)
    assert alone.size.std() / size == pytest.approx(1 / math.sqrt(16), rel=0.35)  # 1 / sqrt(2 m)


def test_an_image_is_probed_alike_in_any_batch() -> None:
    a, b, _, _ = pair()
    probe, oracle = sg.DirectionalProbe(directions=4), Oracle(b, "scores", 2, rows_per_call=1)
    whole = probe({"a": a}, oracle, X, Y, ids=[0, 1, 2, 3, 4], seed=3)
    part = probe({"a": a}, oracle, X[[3, 1]], Y[[3, 1]], ids=[3, 1], seed=3)
    assert np.array_equal(whole.size[[3, 1]], part.size) and np.array_equal(whole.cosine[:, [3, 1]], part.cosine)


def test_a_target_of_eight_bits_is_asked_what_it_can_see() -> None:
    a, b, u, v = pair()

    def rounded(x: torch.Tensor) -> torch.Tensor:
        return b((x * 255).round() / 255)

    oracle = Oracle(rounded, "logits", 2, returns="logits", probe=1 / 255)
    found = sg.DirectionalProbe(directions=15)({"a": a}, oracle, X, Y)
    assert found.mean("a").value == pytest.approx(float(u @ v / (u.norm() * v.norm())), abs=0.05)


def test_a_surrogate_without_a_gradient_is_left_out_not_guessed() -> None:
    a, b, _, _ = pair()
    with torch.no_grad():
        a.w.zero_()
    found = sg.DirectionalProbe(directions=15)({"a": a}, Oracle(b, "logits", 2, returns="logits"), X, Y)
    assert np.isnan(found.cosine).all() and found.mean("a").n == 0 and (found.size > 0).all()


def test_what_cannot_be_probed_gets_a_sentence() -> None:
    a, b, _, _ = pair()
    probe, oracle = sg.DirectionalProbe(), Oracle(b, "scores", 2)
    with pytest.raises(ValueError, match="at most 15 directions"):
        probe({"a": a}, oracle, X, Y)
    with pytest.raises(ValueError, match=r"within 100 queries, but it is 330"):
        probe({"a": a}, oracle, X, Y, budget=100)
    with pytest.raises(ValueError, match="labels only"):
        sg.DirectionalProbe(4)({"a": a}, Oracle(b, "labels", 2), X, Y)
    with pytest.raises(ValueError, match="at least one direction"):
        sg.DirectionalProbe(0)
    assert oracle.rows == 0


def test_rank_correlation_of_known_orders() -> None:
    hits = np.arange(100)[None] < np.array([[10], [30], [50], [70], [90]])
    up = sg.rank_correlation([0.1, 0.2, 0.3, 0.4, 0.9], hits)
    assert up.value == pytest.approx(1) and up.low == pytest.approx(1) and up.n == 5
    assert sg.rank_correlation([5, 4, 3, 2, 1], hits).high == pytest.approx(-1)
    mixed = sg.rank_correlation([2, 1, 4, 3, 5], hits)
    assert mixed.value == pytest.approx(1 - 6 * 4 / (5 * 24)) and mixed.low < 0.5 and mixed.high == pytest.approx(1)
    per_image = np.where(np.arange(100) < 50, np.arange(5)[:, None] * 1.0, np.nan)
    assert sg.rank_correlation(per_image, hits).value == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 4 pairs"):
        sg.rank_correlation([1, 2, 3], hits[:3])
    with pytest.raises(ValueError, match="same pairs"):
        sg.rank_correlation([1, 2, 3, 4], hits)
