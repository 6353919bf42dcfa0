"""``blackbox evaluate`` and ``attack --surrogate``: what works through real subprocesses, what does not in this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import Cli
from tests.commands import run as cli


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("s") / "s1"
    done = cli("surrogate", "--target", "digits:mlp", "--arch", "mlp", "--queries", "200", "--epochs", "5", "-q", "-o", str(where))
    assert done.returncode == 0, done.stderr
    return where


def test_evaluate_writes_a_page_and_every_row(tmp_path: Path, surrogate: Path) -> None:
    out = tmp_path / "e"
    done = cli(
        "evaluate", "--target", "digits:mlp", "--eps", "0.15", "--n", "12", "--budgets", "10,40",
        "--surrogate", str(surrogate), "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    body = json.loads((out / "evaluation.json").read_text())
    rows = {(r["sees"], r["budget"]): r for r in body["rows"] if r["sees"] in ("labels", "scores", "everything")}
    assert set(rows) == {(s, b) for s in ("labels", "scores") for b in (10, 40)} | {("everything", 0)}
    for sees in ("labels", "scores"):
        assert set(rows[sees, 10]["wrong"]) <= set(rows[sees, 40]["wrong"])
        assert rows[sees, 40]["queries"] <= 12 * 50
    assert "robust accuracy" in done.stdout and "mi-fgsm from s1" in done.stdout
    assert (out / "robustness.png").stat().st_size > 5_000 and "<table" in (out / "report.html").read_text()
    assert json.loads((out / "run.json").read_text())["settings"]["budgets"] == [10, 40]


def test_attack_takes_surrogates_and_tells_their_bill(tmp_path: Path, surrogate: Path) -> None:
    done = cli(
        "attack", "--target", "digits:svm-rbf", "--eps", "0.2", "--n", "10", "--budget", "40", "--surrogate", str(surrogate),
        "--out", str(tmp_path / "a"),
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    # this surrogate is poor: what it starts with is on the bill, and the images go on without it
    assert "auto on svm-rbf" in done.stdout and "gradients" in done.stdout and "successes: start 10 for" in done.stdout


def test_answers_for_training_are_on_the_bill(tmp_path: Path) -> None:
    out = tmp_path / "a"
    done = cli(
        "attack", "--target", "digits:svm-rbf", "--eps", "0.2", "--n", "10", "--budget", "40", "--own", "digits", "--arch", "mlp",
        "--epochs", "3", "--answers", "60", "--out", str(out),
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    bill = json.loads((out / "training.json").read_text())
    spent = sum(int(line.split(",")[k]) for k in [_column(out, "queries")] for line in _lines(out)[1:])
    assert bill["answers"] == 60 and bill["total"] == 60 + spent and bill["amortised"] == bill["an image"] + 6
    assert "60 answers bought for training, 6.0 an image" in done.stdout and f"{60 + spent} queries in all" in done.stdout


def _lines(out: Path) -> list[str]:
    return (out / "outcomes.csv").read_text().splitlines()


def _column(out: Path, name: str) -> int:
    return _lines(out)[0].split(",").index(name)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["attack", "--attack", "square", "--surrogate", "{s}"], "Expected --surrogate with an attack that takes one"),
        (["attack", "--attack", "hybrid"], "Expected a prior for hybrid"),
        (["attack", "--surrogate", "digits:forest"], "Expected a net on --surrogate"),
        (["attack", "--attack", "square", "--own", "digits"], "Expected --own with an attack that takes one"),
        (["attack", "--answers", "5"], "Expected --own with --answers"),
        (["attack", "--own", "digits", "--answers", "401"], "between 0 and the 400 images of --own"),
        (["attack", "--own", "digits", "--answers", "5", "--journal", "j"], "they would be paid for again"),
        (["evaluate", "--budgets", "100,10"], "ascending"),
        (["evaluate", "--own", "npz:nowhere.npz"], "nowhere.npz"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(said: Cli, surrogate: Path, words: list[str], sentence: str) -> None:
    verb, *rest = (w.replace("{s}", str(surrogate)) for w in words)
    done = said(verb, "--target", "digits:svm-rbf", "--eps", "0.1", "--n", "5", "--out", "x", *rest)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr
