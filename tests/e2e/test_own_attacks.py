"""An attack of one's own from the command line: attacked with, checked, swept over in processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from blackbox.sweep.run import run
from blackbox.sweep.study import Study
from tests.commands import Cli, sentence
from tests.own_attack import OWN


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(OWN)
    return Path("mine.py")


def test_attacked_with_and_checked(file: Path, said: Cli) -> None:
    words = ("--target", "digits:knn", "--eps", "0.3", "--budget", "12", "--n", "4")
    out = said("attack", *words, "--attack", "mine.py:Flip,square", "--set", "Flip.count=2", "--out", "r")
    assert out.returncode in (0, 3) and "plan             Flip on knn" in out.stdout, out.stderr
    assert '"count": 2' in Path("r/run.json").read_text() and Path("r/Flip/outcomes.csv").is_file()
    sentence(said("attack", *words, "--attack", "mine.py:Flip", "--set", "cuont=2"), 2, "Did you mean 'count'")
    out = said("doctor", "--attack", "mine.py:Flip", "--set", "count=2")
    assert out.returncode == 0 and "ok               same in any company" in out.stdout, out.stdout + out.stderr
    file.write_text(OWN.replace("> s.loss\n", "> s.loss.mean()\n"))
    out = said("doctor", "--attack", "mine.py:Flip")
    assert out.returncode == 1 and "mine.py:Flip fails the contract of attacks" in out.stderr
    assert "FAILED           same in any company" in out.stdout


def test_swept_over_in_processes(file: Path) -> None:
    study = Study(attack={
        "targets": "digits:knn", "attacks": ["mine.py:Flip", {"name": "mine.py:Flip", "count": 2}], "threats": "linf:0.3",
        "budgets": 8,
    }, images={"n": 4}, block=2)  # fmt: skip
    here, there = run(study, "here.sqlite"), run(study, "there.sqlite", jobs=2, backend="loky")
    assert not there.incomplete and str(here) == str(there)
