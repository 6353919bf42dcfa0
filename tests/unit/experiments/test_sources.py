"""The sources' experiments on cases whose answers are known in advance, and each once from command to figure."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from experiments import epsilon_sweep, given, linearity_and_dimension, picture, stored, targeted_from_start, taylor

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
    with pytest.raises(ValueError, match="--direction to be one of"):
        epsilon_sweep.measure(replace(settings, direction="gradients"))
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
    import surrogates as sg

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


def command(monkeypatch: pytest.MonkeyPatch, name: str, *words: str) -> None:
    module: Any = import_module(f"experiments.{name}")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    given.run(name, module.Settings, str(module.__doc__), module.measure, module.draw)


SMALL = {
    "epsilon_sweep": ["--eps", "0,0.1,64/255", "--points", "8"],
    "taylor": ["--images", "8", "--points", "5"],
    "targeted_from_start": ["--steps", "5", "--budgets", "40", "--weights", "0,1"],
    "attack_comparison": ["--images", "5", "--steps", "2", "--iterations", "3", "--searches", "2", "--budget", "40"],
    "linearity_and_dimension": [
        "--dimensions",
        "4,64",
        "--models",
        "3",
        "--samples",
        "60",
        "--epochs",
        "1",
        "--sides",
        "4",
    ],
    "adversarial_training": [
        "--parts",
        "100,60,20",
        "--epochs",
        "1",
        "--budget",
        "10",
        "--queried",
        "5",
        "--steps",
        "2",
        "--arch",
        "mlp",
    ],
    "detector_defence": [
        "--parts",
        "120,80,30",
        "--epochs",
        "2",
        "--budget",
        "10",
        "--steps",
        "2",
        "--arch",
        "mlp",
        "--detector",
        "mlp",
    ],
}


@pytest.mark.parametrize("name", SMALL)
def test_each_is_one_command(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    command(monkeypatch, name, *SMALL[name], "--seed", "3")
    made = json.loads((tmp_path / f"experiments/results/{name}_digits.json").read_text())
    assert made["command"] == f"python -m experiments.{name} {' '.join(SMALL[name])} --seed 3"
    assert made["settings"]["seed"] == 3 and made["versions"]["torch"] and made["seconds"] >= 0
    with Image.open(tmp_path / f"docs/{name}_digits.png") as image:
        assert min(image.size) > 400 and len(image.convert("L").getcolors(256) or ()) > 20
    assert "wrote" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--image", "none.png"], "Expected an image file at none.png, but there is none."),
        (["--image", "words.png"], "Expected words.png to be a readable image, but it is no image that Pillow knows."),
        (["--label", "eleven"], "Expected a class to be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, but it was 'eleven'."),
        (["--label", "11"], "Expected a class from 0 to 9, but it was 11."),
        (["--model", "digits:resnet"], "Expected digits: and one of"),
        (["--model", "digits:knn"], "Expected a net, to take the gradient of, but digits:knn has no gradients."),
        (["--eps", "0,high"], "Expected --eps to be a number such as 0.03 or 8/255, but it was 'high'."),
        (["--index", "5000"], "Expected 5001 images that cnn has right"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.png").write_text("no image")
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, "epsilon_sweep", *words)
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith(told) and said.count("\n") == 1


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


def test_pictures_of_noise_stay_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert (tmp_path / "noise.png").stat().st_size > 500_000
    assert picture.shrink(tmp_path / "noise.png", 150_000).stat().st_size <= 150_000


def test_stored_reads_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["x/some.py", "--a", "b c"])
    stored.store(stored.RESULTS / "some.json", given.Subject(), {"found": 1}, 1.26)
    made = stored.load("some")
    assert made is not None and made["found"] == 1 and made["command"] == "python -m experiments.some --a 'b c'"
