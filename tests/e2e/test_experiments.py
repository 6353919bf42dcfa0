"""Each experiment that needs no data folder once, from command to figure, on tiny settings; and the benchmarks."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from experiments import runner

SMALL = {
    "lectures.epsilon_sweep": "--eps 0,0.1,64/255 --points 8",
    "lectures.taylor": "--images 8 --points 5",
    "lectures.targeted_from_start": "--steps 5 --budgets 40 --weights 0,1",
    "lectures.attack_comparison": "--images 5 --steps 2 --iterations 3 --searches 2 --budget 40",
    "lectures.linearity_and_dimension": "--dimensions 4,64 --models 3 --samples 60 --epochs 1 --sides 4",
    "lectures.adversarial_training": "--parts 100,60,20 --epochs 1 --budgets 5,10 --queried 5 --steps 2 --arch mlp",
    "lectures.detector_defence": "--parts 120,80,30 --epochs 2 --budget 10 --steps 2 --arch mlp --detector mlp",
}


def command(monkeypatch: pytest.MonkeyPatch, name: str, words: list[str]) -> None:
    module: Any = import_module(name)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    runner.run(module.Settings, module.measure, getattr(module, "draw", None))


@pytest.mark.parametrize("name", SMALL)
def test_each_is_one_command(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    words, stem = SMALL[name].split(), name.partition(".")[2]
    command(monkeypatch, f"experiments.{name}", words)
    made = json.loads((tmp_path / f"experiments/results/{stem}_digits.json").read_text())
    assert made["command"] == f"python -m experiments.{name} {SMALL[name]}"
    with Image.open(tmp_path / f"docs/{stem}_digits.png") as image:
        assert len(image.convert("L").getcolors(256) or ()) > 20
    assert capsys.readouterr().out.count("wrote") == 2


def test_why_it_transfers_is_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command(monkeypatch, "experiments.studies.why_it_transfers", ["--images", "10", "--probed", "4", "--replicates", "1", "--epochs", "1"])
    made = json.loads((tmp_path / "experiments/results/why_it_transfers.json").read_text())
    assert len(made["rows"]) == 8 and "data" in made["shares"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--image", "none.png"], "Expected an image file at none.png, but there is none."),
        (["--image", "words.png"], "Expected words.png to be a readable image, but it is no image that Pillow knows."),
        (["--label", "eleven"], "Expected a class to be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, but it was 'eleven'."),
        (["--label", "11"], "Expected a class from 0 to 9, but it was 11."),
        (["--model", "digits:resnet"], "Expected digits: and one of"),
        (["--model", "digits:knn"], "Expected a net, to take the gradient of, but digits:knn has no gradients."),
        (["--direction", "gradients"], "Expected --direction to be one of gradient, numerical, random"),
        (["--index", "5000"], "Expected 5001 images that cnn has right"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.png").write_text("no image")
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, "experiments.lectures.epsilon_sweep", words)
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith(told) and said.count("\n") == 1


def test_benchmarks_print_their_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--quick", "--repeats", "1", "--data", "none", "--only", "craft,memory"]
    command(monkeypatch, "benchmarks.__main__", words)
    told = capsys.readouterr().out
    assert "gradients over bare" in told and "gigabytes" in told
    assert not (tmp_path / "experiments/results/benchmarks.json").exists()


def test_the_script_for_a_gpu_says_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        command(monkeypatch, "benchmarks.gpu", [])
    assert "torch finds none" in capsys.readouterr().err
    command(monkeypatch, "benchmarks.gpu", ["--quick"])
    rows = json.loads((tmp_path / "experiments/results/gpu_quick.json").read_text())["rows"]
    assert len(rows) == 4 and all(row["attack over forward"] > 0 and row["craft over backward"] > 0 for row in rows)
