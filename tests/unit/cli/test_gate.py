"""``blackbox evaluate`` as a gate: the exit code is the verdict."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from blackbox.cli import exits
from tests.commands import Cli, sentence

ROOT = Path(__file__).resolve().parents[3]
MODELS = """
import torch

def border(at):
    def brightness(x):
        over = x.flatten(1).mean(1) - at
        return torch.stack([-over, over], 1)
    return brightness

far, near, wrong = border(0.9), border(0.452), border(0.1)

def dies(x):
    raise ConnectionError("the line is dead")
"""
SAME = ["--data", "npz:grey.npz", "--eps", "0.1", "--budgets", "40", "--levels", "labels"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """models.py, and twelve images of 0.45, class 0: ``far`` is right on all whatever the attack, ``near`` falls on all."""
    (tmp_path / "models.py").write_text(MODELS)
    np.savez(tmp_path / "grey.npz", images=np.full((12, 1, 4, 4), 0.45, np.float32), labels=np.zeros(12, np.int64))
    return tmp_path


def test_the_exit_code_is_the_verdict(said: Cli, here: Path) -> None:
    def evaluate(model: str, *gate: str, out: str = "now"):
        return said("evaluate", "-t", f"models.py:{model}", *SAME, "--classes", "2", "--out", out, *gate)

    assert evaluate("far", "--fail-under", "labels@40=1", "--fail-under", "clean=100%", out="main").returncode == exits.OK
    assert json.loads((here / "main" / "gate.json").read_text())["state"] == "pass"

    missed = evaluate("near", "--fail-under", "labels=0.5", "--fail-under", "clean=1")
    sentence(missed, exits.GATE, "labels at least 50 %")
    assert "clean" not in missed.stderr
    suite = ElementTree.parse(here / "now" / "junit.xml").getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")

    sentence(evaluate("near", "--baseline", "main"), exits.GATE, "labels@40 against the baseline")
    assert evaluate("far", "--baseline", "main", out="again").returncode == exits.OK

    failed = evaluate("dies", "--baseline", "main", out="dead")
    assert failed.returncode == exits.FAILED and "the line is dead" in failed.stderr
    assert json.loads((here / "dead" / "gate.json").read_text())["state"] == "unknown"


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        (["--fail-under", "labels@20=0.5"], "one of clean, noise, labels@40"),
        (["--fail-under", "transfer=0.5"], "one of clean, noise, labels@40"),
        (["--fail-under", "labels"], "ROW=SHARE"),
        (["--baseline", "nowhere"], "nowhere"),
    ],
)
def test_a_gate_that_could_not_be_checked_is_refused_before_the_first_query(
    said: Cli, here: Path, gate: list[str], says: str
) -> None:
    sentence(said("evaluate", "-t", "models.py:dies", *SAME, "--classes", "2", *gate), exits.USAGE, says)


def test_the_workflow_to_copy_asks_for_what_there_is(said: Cli, here: Path) -> None:
    """Its command runs as it stands, but for the model, the data and their number."""
    steps = yaml.safe_load((ROOT / "docs" / "how-to" / "robustness.yml").read_text())["jobs"]["gate"]["steps"]
    [script] = [s["run"] for s in steps if s.get("name") == "Gate"]
    [command] = [line for line in script.replace("\\\n", " ").splitlines() if line.strip().startswith("blackbox")]
    words = [w for w in shlex.split(command)[1:] if w != "$baseline"]
    changed = {"--target": "models.py:far", "--data": "npz:grey.npz", "--n": "4"}
    for option, value in changed.items():
        words[words.index(option) + 1] = value
    assert said(*words, "--classes", "2").returncode == exits.OK
    assert (here / "runs" / "now" / "junit.xml").is_file()


def test_a_run_that_a_failure_ended_does_not_pass(said: Cli, here: Path) -> None:
    """Its only checked row is complete and keeps the bar: the run is an error of its own, in the files too."""
    with (here / "models.py").open("a") as file:
        file.write("\ndef later(x, calls=[0]):\n    calls[0] += 1\n    return far(x) if calls[0] < 3 else dies(x)\n")
    out = said("evaluate", "-t", "models.py:later", *SAME, "--classes", "2", "--out", "cut", "--fail-under", "clean=1")
    assert out.returncode == exits.FAILED and "the line is dead" in out.stderr
    verdict = json.loads((here / "cut" / "gate.json").read_text())
    assert verdict["state"] == "unknown"
    assert [(c["kind"], c["name"], c["state"]) for c in verdict["checks"]] == [
        ("fail-under", verdict["checks"][0]["name"], "pass"), ("run", "run", "unknown"),
    ]  # fmt: skip
    suite = ElementTree.parse(here / "cut" / "junit.xml").getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"]) == ("2", "0", "1")
    assert "the line is dead" in suite[1].find("error").attrib["message"]


def test_settings_of_the_ceiling_are_checked_before_the_first_query(said: Cli, here: Path) -> None:
    for text, says in (("step=5", "Did you mean 'steps'"), ("steps=0", "steps of the ceiling"), ("50", "--ceiling as name=value")):
        sentence(said("evaluate", "-t", "models.py:dies", *SAME, "--classes", "2", "--ceiling", text), exits.USAGE, says)
