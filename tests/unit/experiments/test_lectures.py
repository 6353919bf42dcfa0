"""The lectures' experiments on cases whose answers are known in advance."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import surrogates as sg
from experiments.lectures import epsilon_sweep, given, linearity_and_dimension, targeted_from_start, taylor
from experiments.lectures.detector_defence import Guarded, suspicion, threshold

NET = """
import torch
def load():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    with torch.no_grad():
        w = torch.linspace(-1, 1, 16)
        net[1].weight.copy_(torch.stack([w, -w]))
        net[1].bias.copy_(torch.tensor([0.2, -0.2]))
    return net.eval()
"""
SPREAD = 2 * np.linspace(-1, 1, 16)  # w_0 - w_1


@pytest.fixture
def linear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A linear net of two classes and grey images on which it is right: no pixel reaches the edge below eps 0.4."""
    (tmp_path / "net.py").write_text(NET)
    rng = np.random.default_rng(0)
    images = (0.5 + 0.05 * rng.standard_normal((40, 1, 4, 4))).astype(np.float32)
    labels = (images.reshape(40, -1) @ SPREAD + 0.4 < 0).astype(np.int64)
    labels[:2] = 1 - labels[:2]  # two that the net has wrong
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    monkeypatch.chdir(tmp_path)
    return {"model": "net.py:load", "data": "npz:data.npz"}


def margin(seen: given.Seen) -> np.ndarray:
    return np.abs(seen.images.flatten(1).numpy().astype(np.float64) @ SPREAD + 0.4)


def test_only_images_that_the_model_has_right_are_taken(linear: dict[str, str]) -> None:
    seen = given.see(given.Subject(**linear))
    assert len(seen.labels) == 40 and int(seen.right.sum()) == 38
    first = seen.one(0)
    assert torch.equal(first.images[0], seen.images[2])
    with pytest.raises(ValueError, match="Expected 39 images that load has right, but there are 38"):
        seen.take(39)
    with pytest.raises(ValueError, match="--index from 0, but it was -1"):
        seen.one(-1)


def test_a_linear_net_changes_its_label_where_the_margin_is_used_up(linear: dict[str, str]) -> None:
    settings = epsilon_sweep.Settings(**linear, eps=(0.0, 0.01, 0.1, 0.3), points=20)
    found, shown = epsilon_sweep.measure(settings)
    one = given.see(settings).one(0)
    border = float(margin(one)[0]) / np.abs(SPREAD).sum()
    assert found["regions"][0]["stop"] == pytest.approx(border, abs=4e-5)
    assert [r["label"] for r in found["regions"]] == [int(one.labels), 1 - int(one.labels)]
    p = torch.sigmoid(torch.tensor(margin(one)[0] - 0.1 * np.abs(SPREAD).sum()))
    assert found["rows"][2]["confidence in the class left"] == pytest.approx(float(p), abs=1e-5)
    assert torch.allclose(shown["images"][2], one.images[0] + 0.1 * shown["pattern"], atol=1e-6)


def test_a_pattern_can_be_estimated_from_queries_alone(linear: dict[str, str]) -> None:
    settings = epsilon_sweep.Settings(**linear, eps=(0.0, 0.1), points=3)
    _, by_gradient = epsilon_sweep.measure(settings)
    found, by_query = epsilon_sweep.measure(replace(settings, direction="numerical"))
    assert torch.equal(by_query["pattern"], by_gradient["pattern"]) and "32 queries" in found["pattern"]
    with pytest.raises(ValueError, match="two different radii"):
        epsilon_sweep.measure(replace(settings, eps=(0.1,)))


def test_the_tangent_of_an_affine_loss_is_exact(linear: dict[str, str]) -> None:
    found, _ = taylor.measure(taylor.Settings(**linear, images=10, points=9, most=0.9))
    row = found["losses"]["margin"]
    assert (
        row["each"]["radius of linearity"] == [pytest.approx(0.9)] * 10
    )  # also where pixels reach the edge of the box
    assert row["drawn"]["loss"] == pytest.approx(row["drawn"]["tangent"], abs=1e-5)
    assert row["drawn"]["slope"] == pytest.approx(np.abs(SPREAD).sum(), rel=1e-5)
    curved = found["losses"]["cross-entropy"]["each"]["radius of linearity"]
    assert max(curved) < 0.5  # softplus of an affine function


def test_effect_of_the_sign_is_eps_times_the_l1_norm() -> None:
    settings = linearity_and_dimension.Settings(models=50)
    for d in (3, 400):
        row = linearity_and_dimension.random_models(settings, d)
        assert row["effect"] == pytest.approx(row["eps |w|_1"], rel=1e-9)
        assert np.mean(row["effect"]) == pytest.approx(row["expected"], rel=5 * 0.75 / math.sqrt(50 * d))
        rms = math.sqrt(np.square(row["noise"]).mean())
        assert rms == pytest.approx(row["expected noise"], rel=0.5)


def test_accuracies_of_the_best_linear_model_are_the_closed_form() -> None:
    row = linearity_and_dimension.equally_easy(linearity_and_dimension.Settings(), 1024)
    for what, theory in row["theory"].items():
        k, n = row["best"][what]
        assert abs(k / n - theory) < 4 * math.sqrt(theory * (1 - theory) / n)
    assert row["theory"]["adversarial"] == pytest.approx(0.6554, abs=1e-4)  # Phi(2 - 0.05 * 32)


def test_the_smallest_eps_of_a_linear_net_is_exact(tmp_path: Path) -> None:
    row = linearity_and_dimension.real(linearity_and_dimension.Settings(epochs=3), sg.load("digits"), 4)
    n = row["accuracy"][0]
    assert row["changed just above"] == [n, n]
    assert row["changed just below"][0] <= 0.01 * n  # float rounding on a margin of next to nothing
    assert row["FGSM changes it just above"][0] <= n


def test_all_walks_reach_the_class_and_the_weight_keeps_them_near(linear: dict[str, str]) -> None:
    settings = targeted_from_start.Settings(**linear, target="1", weights=(0.0, 5.0), budgets=(100, 400), steps=150)
    seen = given.see(settings)
    one = seen.where(seen.labels != 1).one(0)
    nearest = float(margin(one)[0]) / np.linalg.norm(SPREAD)  # of the hyperplane
    found, _ = targeted_from_start.measure(settings)
    free, near = (found["ways"]["own gradients"][w] for w in ("0", "5"))
    assert all(free["success"]) and all(near["success"])
    assert min(near["distance"]) >= nearest - 1e-5 and max(near["distance"]) < 1.5 * nearest < min(free["distance"])
    # there is no third class to start from
    assert found["starts"] == [name for name in targeted_from_start.NAMES if name != "another class"]
    walk = [row["distance"] for row in found["labels alone"]]
    assert nearest - 1e-5 <= walk[1] <= walk[0]
    assert all(row["queries"] <= row["budget"] for row in found["labels alone"])
    with pytest.raises(ValueError, match="a class to be one of 0, 1"):
        targeted_from_start.measure(replace(settings, target="seven"))


def test_a_photograph_takes_the_label_the_net_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.full((8, 8), 130, np.uint8)).save(tmp_path / "grey.png")
    settings = given.Subject(image=str(tmp_path / "grey.png"), model="digits:mlp", data="digits")
    seen = given.see(settings)
    assert seen.file and seen.right.all() and len(seen.classes) == 10 and settings.called == "grey"
    told = given.see(given.Subject(image=settings.image, model="digits:mlp", label=str((int(seen.labels) + 1) % 10)))
    assert not told.right.any()


def test_class_names_must_be_as_many_as_the_net_has_classes(linear: dict[str, str], tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 130, np.uint8)).save(tmp_path / "grey.png")
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\n")
    with pytest.raises(
        ValueError, match="--class-names with 2 names, as many as net.py:load has classes, but there are 3"
    ):
        given.see(given.Subject(image="grey.png", model="net.py:load", class_names="names.txt"))


def test_classes_are_found_by_number_and_by_both_names() -> None:
    names = ("n02099712 Labrador_retriever", "n02012849 crane", "n03126707 crane")
    assert given.class_index("Labrador retriever", names) == given.class_index("labrador_retriever", names) == 0
    assert given.class_index("2", names) == 2
    with pytest.raises(ValueError, match="numbers 1, 2 are"):
        given.class_index("crane", names)


def affine(rows: list[list[float]], bias: list[float]) -> nn.Sequential:
    net = nn.Sequential(nn.Flatten(), nn.Linear(len(rows[0]), len(rows)))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor(rows))
        net[1].bias.copy_(torch.tensor(bias))
    return net.eval()


BORDER = affine([[1.0, 0.5, 0.0, 0.0], [-1.0, -0.5, 0.0, 0.0]], [-0.5, 0.5])  # x0 + x1 / 2 = 1 / 2


def test_reach_comes_to_rest_at_the_border() -> None:
    reference = torch.tensor([0.7, 0.6, 0.5, 0.5]).view(1, 1, 2, 2).expand(3, -1, -1, -1)
    start = torch.stack([torch.zeros(4), torch.ones(4), torch.tensor([0.1, 0.9, 0.2, 0.0])]).view(3, 1, 2, 2)
    far = (0.7 + 0.3 - 0.5) / math.sqrt(1.25)
    x, distance = targeted_from_start.reach(BORDER, start, reference, 1, 1.0, 300, 0.02)
    assert (BORDER(x).argmax(1) == 1).all()
    assert (distance >= far - 1e-5).all() and (distance < 1.25 * far).all()
    assert torch.allclose(x[:, 0, 1], torch.full((3, 2), 0.5), atol=0.1)  # what the net does not look at is restored
    free, _ = targeted_from_start.reach(BORDER, start, reference, 1, 0.0, 300, 0.02)
    assert (BORDER(free).softmax(1)[:, 1] > BORDER(x).softmax(1)[:, 1]).all() and torch.equal(free[:, 0, 1], start[:, 0, 1])


def test_reach_gives_its_last_point_where_it_did_not_arrive() -> None:
    grey = torch.full((1, 1, 2, 2), 0.9)
    x, distance = targeted_from_start.reach(BORDER, grey, grey, 1, 1000.0, 20, 0.02)
    assert BORDER(x).argmax(1) == 0 and 0 < distance[0] < 0.05
    with pytest.raises(ValueError, match="weights of at least 0"):
        targeted_from_start.reach(BORDER, grey, grey, 1, -1.0, 20, 0.02)


def test_guarded_rejects_exactly_where_the_alarm_is_raised() -> None:
    detector = affine([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], [0.0, 0.0])  # suspicion: the third pixel
    x = torch.rand(200, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(suspicion(detector, x), x[:, 0, 1, 0])
    limit = threshold(detector, x, 0.1)
    alarm = suspicion(detector, x) > limit
    assert int(alarm.sum()) == 20
    said = sg.predict(Guarded(BORDER, detector, limit), x)
    assert torch.equal(said == 2, alarm)
    assert torch.equal(said[~alarm], sg.predict(BORDER, x)[~alarm])
    with pytest.raises(ValueError, match="share in"):
        threshold(detector, x, 1.0)
