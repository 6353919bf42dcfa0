"""What the page computes, against closed forms; nothing here imports gradio."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch

import blackbox as bb
import surrogates as sg
from blackbox.app import compute, draw, plots, verdict
from blackbox.app.bench import Bench, Once, Shot
from blackbox.specs import Model
from surrogates.analysis.ray import Region


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("eps, own, other", [(0.0, 0, 0), (0.049, 0, 0), (0.051, 1, 0), (0.079, 1, 0), (0.081, 1, 1)])
def test_labels_flip_at_the_eps_that_the_weights_say(table, eps, own, other):
    made = compute.redraw(table, table.shots[0], "mine", "theirs", "fgsm", eps)
    assert (made.surrogate.label, made.target.label) == (own, other)
    assert (made.surrogate.fooled, made.target.fooled) == (bool(own), bool(other))
    assert made.change == pytest.approx(eps, abs=1e-6)
    assert float(made.surrogate.after[1]) == pytest.approx(sigmoid(-0.2 + 4 * eps), abs=1e-5)
    assert float(made.target.after[1]) == pytest.approx(sigmoid(-0.16 + 2 * eps), abs=1e-5)
    assert float(made.target.before[1]) == pytest.approx(sigmoid(-0.16), abs=1e-5)


@pytest.mark.parametrize("way", ["fgsm", "i-fgsm", "mi-fgsm"])
def test_the_slider_shows_what_craft_makes(table, way):
    shot, net = table.shots[2], table.net("mine")
    made = compute.redraw(table, shot, "mine", "theirs", way, 0.03)
    x_adv = sg.craft(net, shot.image[None], torch.tensor([0]), way, threat=bb.Linf(0.03), seed=0)
    assert torch.allclose(made.image, x_adv[0], atol=1e-7)


def test_random_signs_have_the_same_size_and_come_back_the_same(table):
    made, again = (compute.redraw(table, table.shots[0], "mine", "theirs", compute.NOISE, 0.1) for _ in range(2))
    assert torch.allclose((made.image - made.clean).abs(), torch.tensor(0.1))
    assert (made.image == again.image).all()


def test_every_look_at_the_target_is_counted_and_none_is_taken_twice(table):
    counts = [
        compute.redraw(table, table.shots[0], "mine", "theirs", "fgsm", eps).asked for eps in (0.0, 0.0, 0.02, 0.04)
    ]
    assert counts == [2, 2, 3, 4]  # the first look, the clean image once, then one a move
    assert table.viewer("theirs").rows == 4


def test_a_new_bench_knows_nothing_of_one_that_is_gone(table):
    parts = {name: getattr(table, name) for name in ("data", "surrogates", "targets")}
    shot = table.shots[0]
    for _ in range(50):  # each may come to lie where the last one lay
        assert compute.redraw(Bench(**parts), shot, "mine", "theirs", "fgsm", 0.02).asked == 3


def test_a_target_that_shows_labels_only(table):
    made = compute.redraw(table, table.shots[0], "mine", "mute", "fgsm", 0.08)
    assert (made.target.label_before, made.target.label, made.target.after) == (0, 1, None)
    assert made.target.bars() == []
    assert "shows its label" in draw.frame(table, made, "x")


def test_of_an_upload_what_counts_is_a_change_of_mind(table):
    shot = Shot(torch.full((1, 2, 2), 0.56), None, "mine.png")  # 1 to the surrogate (0.04), 0 to the target (-0.04)
    made = compute.redraw(table, shot, "mine", "theirs", "fgsm", 0.02)
    assert (made.surrogate.leave, made.target.leave) == (1, 0)
    assert made.surrogate.fooled and made.surrogate.label == 0
    assert made.target.right and not made.target.fooled


def test_a_model_that_is_wrong_before_any_change_is_not_fooled(table):
    shot = Shot(table.shots[0].image, 1, "mislabelled")
    made = compute.redraw(table, shot, "mine", "theirs", "fgsm", 0.1)
    assert not made.target.right and not made.target.fooled
    assert "wrong before any change" in draw.frame(table, made, "x")


def test_bars_begin_with_the_right_class(table):
    said = compute.Said("m", 2, 2, 0, torch.tensor([0.1, 0.2, 0.7, 0.0]), torch.tensor([0.6, 0.25, 0.1, 0.05]))
    assert [k for k, _, _ in said.bars(3)] == [2, 0, 1]
    assert said.bars(2) == [(2, pytest.approx(0.7), pytest.approx(0.1)), (0, pytest.approx(0.1), pytest.approx(0.6))]


def test_ray_and_tangent_of_the_affine_surrogate_agree(table):
    ray = compute.ray(table, table.shots[0], "mine", 0.1, "margin")
    assert len(ray.epsilons) == compute.STEPS["small"]
    np.testing.assert_allclose(ray.loss[0], -0.2 + 4 * ray.epsilons, atol=1e-6)
    np.testing.assert_allclose(ray.tangent, ray.loss, atol=1e-6)


def test_regions_of_both_models_and_their_price(table):
    made = compute.crossing(table, table.shots[0], "mine", "theirs", 0.1)
    assert [r.label for r in made.surrogate] == [0, 1] and [r.label for r in made.target] == [0, 1]
    assert made.surrogate[0].stop == pytest.approx(0.05, abs=2e-4)
    assert made.target[0].stop == pytest.approx(0.08, abs=2e-4)
    assert made.asked == table.viewer("theirs").counts["regions"] > compute.STEPS["small"]
    for drawing in (lambda narrow: plots.crossing(table, made, narrow),
                    lambda narrow: plots.taylor(table, table.shots[0], made.ray, "cross-entropy", narrow)):  # fmt: skip
        assert plots.svg(drawing, "x", "x").count("data:image/svg+xml;base64,") == 2
    assert "0.0500" in draw.regions(table, made) or "0.0501" in draw.regions(table, made)


def test_one_model_on_both_sides_is_a_white_box_attack_and_no_transfer(table):
    other = copy.deepcopy(table.net("mine"))
    table.targets = {**table.targets, "copy": Once(lambda: Model("copy", "toy", other, other))}
    for target, same in (("copy", True), ("theirs", False)):
        made = compute.redraw(table, table.shots[0], "mine", target, "fgsm", 0.09)
        html = draw.frame(table, made, "x")
        assert made.same is same and ("it transfers" in html) is not same
        assert ("This is the same model: a white-box attack" in html) is same


@pytest.mark.parametrize(
    "eps, way, words",
    [(0.0, "fgsm", "Nothing is changed yet"), (0.03, "fgsm", "Neither model is fooled"), (0.06, "fgsm", "Only the surrogate is fooled"),
     (0.09, "fgsm", "Both models are fooled at eps 0.090: it transfers"), (0.01, compute.NOISE, "does not fool the target")],
)  # fmt: skip
def test_the_sentence_above_the_pictures_says_what_they_show(table, eps, way, words):
    assert words in draw.frame(table, compute.redraw(table, table.shots[0], "mine", "theirs", way, eps), "x")


def test_a_surrogate_that_was_wrong_before_is_not_called_fooled():
    names = {0: "even", 1: "odd"}

    def said(before, after):
        return compute.Said("m", 0, before, after, None, None)

    assert verdict.between(said(1, 1), said(0, 0), "eps 0.1", names)[1] == "The surrogate is wrong before any change"
    assert verdict.between(said(1, 1), said(0, 1), "eps 0.1", names)[1].endswith("; the surrogate was wrong before any change")


def test_each_class_has_a_line_of_its_own():
    colours = plots._colours([Region(0, 0, 1), Region(3, 1, 2)], 0, [4, 5, 6, 7])
    assert len(set(colours.values())) == 6 and list(colours) == [0, 3, 4, 5, 6, 7]


def test_photographs_are_measured_in_255ths(table):
    assert (table.photographs, table.unit, draw.eps_words(table, 0.05)) == (False, 1, "eps 0.050")
    table.data = sg.Dataset(torch.full((2, 3, 64, 64), 0.5), torch.tensor([0, 1]), ("a", "b"), "toy")
    assert (table.photographs, table.unit, draw.eps_words(table, 4 / 255)) == (True, 255, "eps 4/255")


@pytest.mark.parametrize(
    "way, eps, sentence", [("pgd", 0.1, "Expected one of fgsm"), ("fgsm", 1.5, "Expected eps between 0 and 1")]
)
def test_settings_that_cannot_be(table, way, eps, sentence):
    with pytest.raises(ValueError, match=sentence):
        compute.redraw(table, table.shots[0], "mine", "theirs", way, eps)


def test_class_names_are_escaped(table):
    bad = sg.Dataset(table.data.images, table.data.labels, ("<script>alert(1)</script>", "b"), "toy")
    table.data = bad
    html = draw.frame(table, compute.redraw(table, table.shots[0], "mine", "theirs", "fgsm", 0.08), "<i>x</i>")
    assert "<script>" not in html and "<i>x</i>" not in html


def test_nothing_here_needs_gradio():
    assert "gradio" not in {name.split(".")[0] for name in vars(compute)} and compute.__name__ in sys.modules
