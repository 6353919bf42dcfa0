"""``blackbox tune``: what works through a real subprocess, what does not in this one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox.evaluation import Tuned
from tests.commands import Cli
from tests.commands import run as cli
from tests.unit.evaluation.test_search import BUDGET, Aim, X, Y, same, tune
from tests.unit.evaluation.test_tuning import Border


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


def test_a_range_is_searched_and_the_same_command_goes_on(said: Cli) -> None:
    words = ("tune", "--model", "digits:mlp", "--eps", "0.2", "--n", "8", "-b", "20", "--set", "p_init=0.05..0.8:log", "--storage", "t.db")
    first = said(*words, "--trials", "2", "--out", "one")
    assert first.returncode == 0, first.stderr
    done = said(*words, "--trials", "4", "--out", "two")
    assert done.returncode == 0 and "4 settings of square × 1 models" in done.stdout
    one, two = (json.loads(Path(o, "tuned.json").read_text()) for o in ("one", "two"))
    assert two["rows"][:2] == one["rows"] and len(two["rows"]) == 4
    assert all(0.05 <= float(r["settings"].removeprefix("p_init=")) <= 0.8 for r in two["rows"])
    assert f"--attack square --set {two['chosen']}" in done.stdout
    wrong = said(*words[:-4], "--set", "p_init=0.1..", "--trials", "2")
    assert wrong.returncode == 2 and "p_init=0.01..0.5:log" in wrong.stderr


def test_a_killed_search_goes_on_with_what_it_would_have_tried(tmp_path: Path) -> None:
    import optuna

    def killed(done: int, total: int, so_far: Tuned) -> None:
        if done == 6:
            raise KeyboardInterrupt

    storage = tmp_path / "new" / "tune.db"
    with pytest.raises(KeyboardInterrupt):
        tune(9, storage=storage, progress=killed)
    (name,) = optuna.get_all_study_names(f"sqlite:///{storage}")
    optuna.load_study(study_name=name, storage=f"sqlite:///{storage}").ask()  # at work when the process was killed
    straight = tune(9)
    assert same(tune(9, storage=storage), straight) and straight.stopped
    read: list[int] = []
    assert same(tune(9, storage=storage, progress=lambda *now: read.append(now[0])), straight) and not read
    assert list(tune(1, storage=storage, seed=1).attacks) != list(straight.attacks)[:1]  # another search in the same file


def test_a_model_that_fails_leaves_what_is_done(tmp_path: Path) -> None:
    class Broken(Border):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.rows > 250:
                raise ConnectionError("gone")
            return super().forward(x)

    how = {"classes": 2, "trials": 4, "storage": tmp_path / "t.db"}
    with pytest.raises(bb.TargetError, match="gone"):
        bb.tune(bb.ranges(Aim, at=(0.01, 0.9)), {"border": Broken()}, X, Y, bb.Linf(0.1), BUDGET, **how)
    model = Border()
    bb.tune(bb.ranges(Aim, at=(0.01, 0.9)), {"border": model}, X, Y, bb.Linf(0.1), BUDGET, **how)
    fresh = Border()
    bb.tune(bb.ranges(Aim, at=(0.01, 0.9)), {"border": fresh}, X, Y, bb.Linf(0.1), BUDGET, classes=2, trials=4)
    assert model.rows < fresh.rows  # the trials before the failure were not run again
