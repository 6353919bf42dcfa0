"""Verbs, exit codes, sentences instead of tracebacks, output without a terminal."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.commands import Cli, sentence

TARGET = """
import torch

CALLS = 0

def brightness(x):
    mean = x.flatten(1).mean(1)
    return torch.stack([torch.full_like(mean, 0.5), mean], 1)

def model():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))

def stubborn(x):
    return torch.tensor([[9.0, 0.0]]).repeat(len(x), 1)

def dies_late(x):
    global CALLS
    CALLS += 1
    if CALLS > 5:
        raise ConnectionError("the line is dead")
    return torch.tensor([[9.0, 0.0]]).repeat(len(x), 1)

def dies_later(x):
    global CALLS
    CALLS += len(x)
    if CALLS > 56:
        raise ConnectionError("the line is dead")
    return torch.tensor([[9.0, 0.0]]).repeat(len(x), 1)

broken = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with target.py and grey.npz: twelve images of 0.45, class 0."""
    (tmp_path / "target.py").write_text(TARGET)
    np.savez(tmp_path / "grey.npz", images=np.full((12, 1, 8, 8), 0.45, np.float32), labels=np.array([0] * 12))
    return tmp_path


def test_list_suggests(said: Cli) -> None:
    sentence(said("list", "atacks"), 2, "Did you mean 'attacks'")


@pytest.mark.parametrize("verb", ["demo", "attack", "surrogate", "transfer", "list", "doctor"])
def test_every_verb_has_help(said: Cli, verb: str) -> None:
    out = said(verb, "--help")
    assert out.returncode == 0
    assert out.stdout.startswith("Usage:")


def test_attack_writes_a_folder_that_says_everything(said: Cli, tmp_path: Path) -> None:
    words = ("attack", "--target", "digits:knn", "--attack", "square", "--eps", "0.3", "--budget", "60", "--n", "30",
             "--set", "p_init=0.2", "--seed", "5", "--out", "r")  # fmt: skip
    out = said(*words)
    assert out.returncode == 0, out.stderr
    assert "30 images × at most 60 queries = at most 1,800" in out.stdout
    assert "attack success" in out.stdout
    folder = tmp_path / "r"
    for name in (
        "report.html",
        "report.md",
        "curve.png",
        "examples.png",
        "outcomes.csv",
        "examples.safetensors",
        "summary.txt",
    ):
        assert (folder / name).stat().st_size > 0, name
    made = json.loads((folder / "run.json").read_text())
    assert made["command"].endswith("blackbox " + " ".join(words))
    assert made["settings"]["parameters"]["p_init"] == 0.2
    assert made["settings"]["seed"] == 5
    assert made["settings"]["threat"] == {"norm": "Linf", "eps": 0.3}
    assert set(made["versions"]) >= {"blackbox", "python", "torch", "numpy", "scikit-learn"}
    with open(folder / "outcomes.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert all(int(row["queries"]) <= 60 for row in rows)
    html = (folder / "report.html").read_text()
    assert "data:image/png;base64," in html and 'src="curve' not in html

    import blackbox as bb

    again = bb.AttackResult.load(folder)
    assert again.summary() in out.stdout
    assert "Traceback" not in out.stderr


def test_own_function_as_a_target(said: Cli, own: Path) -> None:
    out = said(
        "attack",
        "-t",
        "target.py:brightness",
        "-a",
        "fd-fgsm",
        "-d",
        "npz:grey.npz",
        "--threat",
        "linf:14/255",
        "-b",
        "200",
        "-o",
        "r",
    )
    assert out.returncode == 0, out.stderr  # the limit lies at 0.05 < 14/255
    assert "100 % [76, 100] (12/12)  of images the target had right" in out.stdout
    out = said(
        "attack",
        "-t",
        "target.py:brightness",
        "-a",
        "fd-fgsm",
        "-d",
        "npz:grey.npz",
        "--eps",
        "12/255",
        "-b",
        "200",
        "-o",
        "r",
    )
    sentence(out, 3, "No success")


def test_a_function_without_arguments_makes_the_model(said: Cli, own: Path) -> None:
    out = said(
        "attack",
        "-t",
        "target.py:model",
        "-d",
        "npz:grey.npz",
        "--eps",
        "0.3",
        "-b",
        "20",
        "--access",
        "logits",
        "-o",
        "r",
    )
    assert out.returncode in (0, 3), out.stderr
    assert "model" in out.stdout


def test_no_success_is_exit_code_3(said: Cli, own: Path) -> None:
    out = said("attack", "-t", "target.py:stubborn", "-d", "npz:grey.npz", "--eps", "8/255", "-b", "10", "-o", "r")
    sentence(out, 3, "No success", "12")
    assert (own / "r" / "outcomes.csv").exists()


def test_a_target_that_fails_leaves_what_was_paid_for(said: Cli, own: Path) -> None:
    out = said("attack", "-t", "target.py:dies_late", "-d", "npz:grey.npz", "--eps", "8/255", "-b", "50", "-o", "r")
    sentence(out, 1, "the line is dead", "saved in r", "after ")
    cut = "INCOMPLETE: 12 of 12 images are unknown: the target failed after "
    assert any(line.startswith(cut) for line in out.stdout.splitlines())
    assert cut in (own / "r" / "report.md").read_text() and (own / "r" / "summary.txt").read_text().startswith(cut)
    assert "robust accuracy  unknown" in out.stdout and "No success" not in out.stderr
    with open(own / "r" / "outcomes.csv") as file:
        rows = list(csv.DictReader(file))
    assert {(row["status"], row["known"], row["success"]) for row in rows} == {("error", "False", "")}
    assert sum(int(row["queries"]) for row in rows) > 0


def test_several_of_which_one_fails(said: Cli, own: Path) -> None:
    """What the first found stands whole beside what is known of the second, for which the target failed."""
    words = ("-d", "npz:grey.npz", "--eps", "0.2", "-b", "3", "-o", "r")
    out = said("attack", "-t", "target.py:dies_later", "-a", "square,simba", *words)
    sentence(out, 1, "the line is dead", "saved in r/simba")
    assert "INCOMPLETE: simba: " in out.stdout and "images left out: not finished by both" in out.stdout
    assert (own / "r" / "summary.txt").read_text().startswith("INCOMPLETE: simba: ")
    report = said("report", "r", "-o", "p")
    assert report.returncode == 0 and "> INCOMPLETE: r/simba: " in (own / "p" / "report.md").read_text()


def test_targeted(said: Cli, tmp_path: Path) -> None:
    out = said(
        "attack", "-t", "digits:logreg", "--eps", "0.4", "-b", "200", "-n", "10", "--targeted", "random", "-o", "r"
    )
    assert out.returncode == 0, out.stderr
    with open(tmp_path / "r" / "outcomes.csv") as file:
        rows = list(csv.DictReader(file))
    assert all(row["goal"] != row["y"] for row in rows)
    assert len({(int(row["goal"]) - int(row["y"])) % 10 for row in rows}) > 1


def test_checkpoint_goes_on(said: Cli, tmp_path: Path) -> None:
    words = ("attack", "-t", "digits:logreg", "--eps", "0.2", "-b", "50", "-n", "10", "--checkpoint", "c.pt", "-o")
    first, second = said(*words, "a"), said(*words, "b")
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "resumed" in second.stdout and "resumed" not in first.stdout
    assert (tmp_path / "a" / "outcomes.csv").read_text() == (tmp_path / "b" / "outcomes.csv").read_text()
    sentence(said(*words, "c", "--seed", "1"), 2, "belongs to other settings", "seed")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--attack", "sqare", "--eps", "0.1"), ("Did you mean 'square'",)),
        (("--eps", "8"), ("8/255",)),
        (("--attack", "square", "--eps", "0.1", "--set", "p_int=.1"), ("p_init", "Did you mean")),
        (("--attack", "square", "--eps", "0.1", "--set", "p_init=lots"), ("p_init", "lots")),
        (("--eps", "0.1", "--set", "p_init"), ("NAME=VALUE",)),
        (("--eps", "abc"), ("abc", "8/255")),
        ((), ("--eps 8/255",)),
        (("--eps", "-0.1"), ("positive",)),
        (("--threat", "linf:0.1", "--eps", "0.1"), ("either",)),
        (("--norm", "l3", "--eps", "0.1"), ("linf, l2, l1")),
        (("--eps", "0.1", "--access", "pixels"), ("labels", "scores")),
        (("--eps", "0.1", "--budget", "0"), ("budget", "at least 1")),
        (("--eps", "0.1", "--n", "0"), ("--n", "at least 1")),
        (("--eps", "0.1", "--split", "middle"), ("target, surrogate, attack", "middle")),
        (("--eps", "0.1", "--pick", "best"), ("spread", "best")),
        (("--eps", "0.1", "--data", "folder:nowhere"), ("nowhere", "there is none")),
        (("--eps", "0.1", "--data", "cifar10:nowhere"), ("nowhere", "Nothing is downloaded")),
        (("--eps", "0.1", "--data", "pictures"), ("digits", "folder:", "pictures")),
        (("--attack", "square", "--eps", "0.1", "--access", "labels"), ("at least", "labels")),
        (("--norm", "l1", "--eps", "9", "--attack", "nes"), ("Linf", "nes")),
        (("--eps", "0.1", "--data", "digits", "--size", "8"), ("--size",)),
        (("--eps", "0.1", "--targeted", "seven"), ("--targeted", "seven")),
        (("--eps", "0.1", "--targeted", "12"), ("12", "0..9")),
        (("--eps", "0.1", "--threads", "0"), ("--threads",)),
        (("--eps", "0.1", "--attack", "fd-fgsm", "--set", "method=pca"), ("images",)),
        (
            ("--eps", "0.1", "--attack", "fd-fgsm", "--set", "method=pca", "--set", "images=nowhere.npz"),
            ("nowhere.npz",),
        ),
    ],
)
def test_errors_are_one_sentence(said: Cli, words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    out = said("attack", "--target", "digits:logreg", *words)
    sentence(out, 2, *expected)
    assert len(out.stderr.strip().splitlines()) == 1, out.stderr


def test_models_that_cannot_be(said: Cli, own: Path) -> None:
    def tried(spec: str, *words: str, data: str = "digits") -> None:
        sentence(said("attack", "--target", spec, "--eps", "0.1", "--data", data), 2, *words)

    tried("digits:svm", "Did you mean 'svm-rbf'")
    tried("digits:all", "one target")
    tried("resnt20", "Did you mean 'resnet20'")
    tried("cnn", "the weights of cnn, but no file was named")
    tried("resnet20:nothing.safetensors", "nothing.safetensors", "there is none")
    (own / "bad.safetensors").write_bytes(b"no such thing")
    tried("cnn:bad.safetensors", "bad.safetensors", "could not be read")
    (own / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    tried("cnn:evil.pkl", "refused")
    tried("evil.pkl", "is a pickle, which is not read")
    (own / "evil.pt").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    tried("cnn:evil.pt", "unpickling")
    assert not (own / "owned").exists()
    tried("model.onnx", "ONNX file at model.onnx", "there is none")
    tried("missing.py:load", "missing.py", "there is none")
    tried("target.py:brightnes", "Did you mean 'brightness'")
    tried("target.py", "target.py:function")
    tried("target.py:broken", "callable")
    (own / "raises.py").write_text("raise RuntimeError('not today')")
    tried("raises.py:f", "raises.py", "not today")
    tried("digits:knn", "--data digits", data="npz:grey.npz")


def test_normalisation_of_weights(said: Cli, tmp_path: Path) -> None:
    """A net loaded from weights sees (x - mean) / std: with a mean far from that of its training it is wrong about most."""
    import surrogates as sg
    from blackbox.specs import digits

    net = sg.build("mlp", classes=10, shape=(1, 8, 8))
    sg.save_weights(
        sg.train(net, digits.parts()["target"], sg.Recipe(epochs=4, optimiser="adam")), tmp_path / "w.safetensors"
    )
    right = []
    for name, words in (("a", ()), ("b", ("--mean", "2"))):
        out = said("attack", "-t", "mlp:w.safetensors", "--eps", "0.1", "-b", "1", "-n", "100", "-o", name, *words)
        assert out.returncode == 3, out.stderr
        with open(tmp_path / name / "outcomes.csv") as file:
            right.append(sum(row["clean_label"] == row["y"] for row in csv.DictReader(file)))
    assert right[0] > 80 and right[1] < 50
    assert json.loads((tmp_path / "b" / "run.json").read_text())["settings"]["mean"] == "2"
    sentence(said("attack", "-t", "mlp:w.safetensors", "--eps", "0.1", "--mean", "x"), 2, "--mean")


def test_unknown_verb_and_option_are_usage_errors(said: Cli) -> None:
    sentence(said("atack"), 2, "atack")
    sentence(said("attack", "--target", "digits:knn", "--epsilon", "1"), 2, "--epsilon")
    sentence(said("attack"), 2, "--target")


def test_surrogate_then_transfer(said: Cli, tmp_path: Path) -> None:
    out = said(
        "surrogate",
        "--target",
        "digits:svm-rbf",
        "--queries",
        "500",
        "--arch",
        "mlp",
        "--epochs",
        "8",
        "--holdout",
        "150",
        "--out",
        "s1",
    )
    assert out.returncode == 0, out.stderr
    assert "500 to train, 150 to measure; 650 in all" in out.stdout
    assert "agreement" in out.stdout
    made = json.loads((tmp_path / "s1" / "run.json").read_text())
    assert made["settings"]["own_images"] == 400 and made["settings"]["shown_images"] == 500
    report = json.loads((tmp_path / "s1" / "training.json").read_text())
    assert report["queries"] == 500 and report["soft"] is False

    out = said(
        "transfer",
        "--from",
        "s1",
        "--to",
        "digits:svm-rbf,knn",
        "--attacks",
        "fgsm,mi-fgsm",
        "--eps",
        "0.1,0.2",
        "--n",
        "60",
        "--out",
        "t1",
    )
    assert out.returncode == 0, out.stderr
    assert "Linf 0.1" in out.stdout and "Linf 0.2" in out.stdout and "noise" in out.stdout
    folder = tmp_path / "t1"
    for name in ("report.html", "report.md", "transfer.png", "transfer.npz", "rates.csv", "summary.txt", "run.json"):
        assert (folder / name).stat().st_size > 0, name
    with open(folder / "outcomes.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60 * 2 * 2 * (2 + 2)  # images, threats, targets, noise and attacks
    assert {row["target"] for row in rows} == {"svm-rbf", "knn"}

    import surrogates as sg
    from blackbox.statistics import Rate

    matrix = sg.TransferMatrix.load(folder)
    mine = [r for r in rows if r["target"] == "knn" and r["attack"] == "mi-fgsm" and r["threat"] == "Linf 0.2"]
    right = [r for r in mine if r["clean"] == r["label"]]
    by_hand = Rate(sum(r["named"] != r["label"] for r in right), len(right))
    assert matrix.rate("s1", "knn", "mi-fgsm", "Linf 0.2") == by_hand


def test_a_surrogate_of_a_generators_images(said: Cli, tmp_path: Path) -> None:
    words = ("--queries", "200", "--arch", "mlp", "--epochs", "1", "--holdout", "20")
    out = said("surrogate", "--target", "digits:svm-rbf", "--access", "scores", "--strategy", "dfme", *words, "--out", "s1")
    assert out.returncode == 0, out.stderr
    assert "at most 200 queries on a generator's images" in out.stdout and "200 to train, 20 to measure; 220 in all" in out.stdout
    assert "to estimate gradients" in out.stdout and (tmp_path / "s1" / "curve.json").exists()
    sentence(said("surrogate", "--target", "digits:svm-rbf", "--strategy", "dfme", *words), 2, "hard-label")


def test_transfer_and_surrogate_errors(said: Cli) -> None:
    sentence(
        said("transfer", "--from", "digits:knn", "--to", "digits:mlp", "--eps", "0.1"),
        2,
        "gradients",
        "blackbox surrogate",
    )
    sentence(
        said("transfer", "--from", "digits:mlp", "--to", "digits:mlp", "--attacks", "mi-fgms", "--eps", "0.1"), 2, "mi"
    )
    sentence(
        said("transfer", "--from", "digits:mlp", "--to", "digits:mlp", "--eps", "0.1", "--given", "luck"),
        2,
        "target-correct",
    )
    sentence(said("surrogate", "--target", "digits:knn", "--queries", "0"), 2, "--queries")


def test_list_names_every_attack(said: Cli) -> None:
    import blackbox as bb
    import surrogates as sg

    out = said("list")
    assert out.returncode == 0, out.stderr
    cells = {line.split("\t")[0] for line in out.stdout.splitlines()}
    assert cells >= {*bb.attacks.names(), *sg.presets.names(), "digits:svm-rbf", "folder:PATH"}
    row = next(line for line in out.stdout.splitlines() if line.startswith("square\t"))
    assert "1912.00049" in row and "Linf" in row


def test_doctor_checks_the_counting(said: Cli) -> None:
    import blackbox as bb

    out = said("doctor")
    assert out.returncode == 0, out.stdout + out.stderr
    count = len(bb.attacks.names())
    assert f"ok     all {count} attacks on a target that always answers 0" in out.stdout
    assert "torch build" in out.stdout and out.stdout.count("self-check") == 4, "alike lines are one"
    assert "all ok" in out.stdout
