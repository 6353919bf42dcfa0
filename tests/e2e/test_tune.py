"""``blackbox tune``: what works through a real subprocess, what does not in this one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import blackbox as bb
from tests.commands import Cli
from tests.commands import run as cli


def test_tune_tries_every_setting_on_every_model_and_names_the_cheapest(tmp_path: Path) -> None:
    out = tmp_path / "t"
    done = cli(
        "tune", "--attack", "square", "--set", "p_init=0.1,0.4", "--model", "digits:mlp,knn", "--eps", "0.2", "--n", "10",
        "-b", "30", "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    body = json.loads((out / "tuned.json").read_text())
    assert {(r["settings"], r["model"]) for r in body["rows"]} == {
        (s, m) for s in ("p_init=0.1", "p_init=0.4") for m in ("mlp", "knn")
    }
    mean = {s: sum(r["mean"] for r in body["rows"] if r["settings"] == s) for s in ("p_init=0.1", "p_init=0.4")}
    assert body["chosen"] == min(mean, key=lambda s: mean[s])
    assert f"--attack square --set {body['chosen']}" in done.stdout and "none of a target" in done.stdout


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "Expected --set with values of square to choose among"),
        (["p_init"], "Expected --set NAME=VALUE,VALUE"),
        (["q=1,2"], "p_init"),
        (["p_init=1,x"], "x"),
    ],
)
def test_bad_words(pairs: list[str], said: str) -> None:
    from blackbox.cli.tune import _grid

    with pytest.raises(ValueError, match=said):
        _grid("square", pairs)


def test_a_value_that_cannot_be_is_said_in_a_sentence(said: Cli) -> None:
    done = said("tune", "--model", "digits:mlp", "--eps", "0.2", "--n", "5", "--set", "p_init=0,1")
    assert done.returncode == 2 and "in (0, 1]" in done.stderr and "Traceback" not in done.stderr


def test_processes_change_nothing() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 16))
        net[1].bias.copy_(torch.tensor([8.0, -8.0]))
    grid = bb.variants("square", p_init=[0.1, 0.8])
    x, y = torch.full((3, 1, 4, 4), 0.48), torch.zeros(3, dtype=torch.int64)
    one = bb.tune(grid, {"affine": net}, x, y, bb.Linf(0.1), 20, classes=2)
    two = bb.tune(grid, {"affine": net}, x, y, bb.Linf(0.1), 20, classes=2, jobs=2)
    assert all(np.array_equal(one.cost[n]["affine"], two.cost[n]["affine"]) for n in grid)
