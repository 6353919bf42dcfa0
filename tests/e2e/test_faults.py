"""Faults at random calls of every long verb, a few of the trials that `experiments.studies.faults` runs by the thousand; and
the verbs themselves, cut off and given again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import blackbox as bb
from experiments.studies import faults
from tests.commands import Cli, sentence


def test_nothing_is_lost_and_nothing_wrong_is_left() -> None:
    found = faults.in_a_process(30, 1768)  # every verb, every fault
    assert found["trials"] == 30 and found["kills"] >= 3 and set(found["verbs"]) == set(faults.VERBS), found
    assert found["lost"] == found["wrong"] == found["different"] == 0, found["amiss"]


FLAKY = """
import pathlib
import torch
from experiments.studies import faults_target

HERE = pathlib.Path(__file__).parent
W = torch.from_numpy(faults_target.data()[0])

def target(x):
    count = HERE / "calls"
    n = int(count.read_text()) + 1 if count.exists() else 1
    count.write_text(str(n))
    if n == int((HERE / "fails").read_text()):
        raise ConnectionError("503 Service Unavailable")
    with open(HERE / "rows", "a") as f:
        f.writelines(f"{hash(row.numpy().tobytes())}\\n" for row in x)
    return ((x.flatten(1)[:, None] - 0.5) * W).sum(2)
"""
WORDS = {
    "attack": ("--target", "flaky.py:target", "--eps", "0.1", "--budget", "12", "-n", "6", "--attack", "square"),
    "evaluate": ("--target", "flaky.py:target", "--eps", "0.1", "--budgets", "3,8", "-n", "6", "--arch", "mlp", "--epochs", "1"),
    "surrogate": ("--target", "flaky.py:target", "--arch", "mlp", "--queries", "20", "--epochs", "1", "--holdout", "20"),
    "transfer": ("--from", "digits:mlp", "--to", "flaky.py:target", "--eps", "0.1", "-n", "8", "--attacks", "fgsm"),
}  # fmt: skip
FAILS = {"attack": 3, "evaluate": 9, "surrogate": 2, "transfer": 2}


@pytest.mark.parametrize("verb", WORDS)
def test_a_verb_that_is_cut_off_says_how_to_go_on_and_does(verb: str, said: Cli, tmp_path: Path) -> None:
    (tmp_path / "flaky.py").write_text(FLAKY)
    (tmp_path / "fails").write_text(str(FAILS[verb]))
    words = (verb, *WORDS[verb], "--journal", "kept.journal", "--out", "out", "-q")
    first = said(*words)
    sentence(first, 1, "503", "Give the same command again: it goes on from there.")
    summaries = [p.read_text() for p in (tmp_path / "out").rglob("summary.txt")]
    assert any(text.startswith("INCOMPLETE") for text in summaries), summaries
    second = said(*words)
    assert second.returncode in (0, 3), second.stderr
    rows = (tmp_path / "rows").read_text().split()
    (tmp_path / "calls").unlink(), (tmp_path / "rows").unlink(), (tmp_path / "fails").write_text("0")
    assert said(verb, *WORDS[verb], "--out", "alone", "-q").returncode in (0, 3)
    alone = (tmp_path / "rows").read_text().split()
    files = len(list(tmp_path.glob("kept*.journal")))
    assert set(rows) == set(alone) and len(alone) <= len(rows) <= len(alone) + 8 * files
    for one in (tmp_path / "alone").rglob("summary.txt"):
        other = (tmp_path / "out" / one.relative_to(tmp_path / "alone")).read_text()
        shown, expected = (  # how many queries were sent differs, and is said behind "in all"
            [line.partition("; in all")[0] for line in text.splitlines() if "[" in line] for text in (other, one.read_text())
        )
        assert not other.startswith("INCOMPLETE") and shown == expected
    if verb == "evaluate":
        body = json.loads((tmp_path / "out" / "evaluation.json").read_text())
        assert body["complete"] and not body["failures"]


def test_retries_and_both_kinds_of_file_are_said_for_every_verb(said: Cli, tmp_path: Path) -> None:
    (tmp_path / "flaky.py").write_text(FLAKY)
    (tmp_path / "fails").write_text("1")
    for verb in (*WORDS, "tune"):
        shown = said(verb, "--help").stdout
        assert all(option in shown for option in ("--retries", "--journal", "--checkpoint")), verb
    assert all(option in said("sweep", "--help").stdout for option in ("--retries", "--journal", "--checkpoint"))
    sentence(said("transfer", *WORDS["transfer"], "--journal", "a", "--checkpoint", "b"), 2, "either --checkpoint or --journal")
    sentence(said("transfer", *WORDS["transfer"], "--out", "o"), 1, "With --journal FILE, the same command would go on")
    (tmp_path / "calls").unlink()
    assert said("transfer", *WORDS["transfer"], "--retries", "1", "--out", "o", "-q").returncode == 0
    with np.load(tmp_path / "o" / "transfer.npz") as saved:
        assert (saved["adv_target"] >= 0).all()
    assert bb.__version__
