"""Files that an earlier version wrote still open, and runs that it left go on (``old_files/``, written before files moved)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.checkpoint import CheckpointError

OLD = Path(__file__).with_name("old_files")
CLASSES = 4
# attack, what the target shows, threat, whether it is given surrogates
RUNS: dict[str, tuple[str, str, bb.Threat, bool]] = {
    "square": ("square", "scores", bb.Linf(0.02), False),
    "hybrid": ("hybrid", "scores", bb.Linf(0.02), True),
    "hybrid-labels": ("hybrid", "labels", bb.Linf(0.02), True),
    "hop-skip-jump": ("hop-skip-jump", "labels", bb.L2(0.08), False),
    "bandits": ("bandits", "scores", bb.Linf(0.02), False),
    "fd-ifgsm": ("fd-ifgsm", "scores", bb.Linf(0.02), False),
    "sparse": ("sparse", "scores", bb.L0(1), False),
}


def paid(x: Tensor) -> Tensor:
    """The target of these runs, linear and row by row; a journal remembers it by this name."""
    weight = torch.tensor(np.random.default_rng(77).standard_normal((CLASSES, 16)), dtype=torch.float32)
    return ((x.flatten(1) - 0.5)[:, None] * weight).sum(2)


def net(seed: int) -> nn.Module:
    weight = np.random.default_rng(77).standard_normal((CLASSES, 16))
    weight += 0.5 * np.random.default_rng(seed).standard_normal((CLASSES, 16))
    made = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))
    with torch.no_grad():
        made[1].weight.copy_(torch.tensor(weight, dtype=torch.float32))
        made[1].bias.copy_(-0.5 * made[1].weight.sum(1))
    return made.eval()


def run(name: str, **more: Any) -> bb.AttackResult:
    attack, access, threat, informed = RUNS[name]
    x = torch.tensor(np.random.default_rng(78).uniform(0.2, 0.8, (4, 1, 4, 4)), dtype=torch.float32)
    prior = sg.prior([net(1), net(2)], chunk=4) if informed else None
    oracle = bb.Oracle(paid, access, CLASSES, returns="logits", rows_per_call=2)
    return bb.attack(oracle, x, paid(x).argmax(1), attack, threat, 60, prior=prior, seed=3, **more)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "old"))


# Hybrid is another search since these were written: makers that need no prior propose first.
CHANGED = ("hybrid.checkpoint", "hybrid-labels.checkpoint")
SAME = [p.name for p in sorted(OLD.glob("*.checkpoint")) if p.name not in CHANGED]


@pytest.mark.parametrize("file", [*SAME, "square.journal"])
def test_an_interrupted_run_goes_on(file: str, old: Path) -> None:
    """It ends as a run that was never interrupted, and what was paid before is not paid again."""
    name, _, kind = file.partition(".")
    resumed, alone = run(name, **{kind: old / file}), run(name)
    assert resumed.config["carried"] > 0
    assert resumed.queries.equal(alone.queries) and resumed.success.equal(alone.success)
    assert resumed.x_adv.allclose(alone.x_adv)


@pytest.mark.parametrize("file", [*CHANGED, "hybrid.journal"])
def test_a_run_of_a_search_that_has_changed_is_refused(file: str, old: Path) -> None:
    name, _, kind = file.partition(".")
    before = (old / file).read_bytes()
    other = r"other settings \(attack: .* there, .* here\)\. Give another|9 parts instead of 14.* Remove the file"
    with pytest.raises(ValueError, match=other):
        run(name, **{kind: old / file})
    assert (old / file).read_bytes() == before


@pytest.mark.parametrize("lost", ["field", "class"])
def test_a_state_of_another_version_is_refused(lost: str, tmp_path: Path) -> None:
    """Where the settings are in words what they were."""
    path = tmp_path / "run.checkpoint"
    shutil.copy(OLD / "square.checkpoint", path)
    content = torch.load(path, weights_only=True)
    state = content["body"]["cohorts"][0]["state"]
    if lost == "field":
        state["fields"]["best"] = state["fields"].pop("x")
    else:
        state["class"] += "Then"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"Expected a state .*another version.* Remove the file to start afresh"):
        run("square", checkpoint=path)


@pytest.mark.parametrize("name", ["square", "hybrid"])
def test_a_result_opens(name: str) -> None:
    result = bb.AttackResult.load(OLD / f"result-{name}")
    assert len(result) == 4 and result.config["votes"] == 3 and name in result.summary()


def test_a_transfer_matrix_opens() -> None:
    matrix = sg.TransferMatrix.load(OLD / "transfer")
    assert {r.source for r in matrix.runs} == {"a", "b"} and matrix.attacks == ("fgsm", "mi-fgsm") and len(matrix.runs) == 6


def test_an_evaluation_opens() -> None:
    from blackbox.evaluation import Evaluation

    found = Evaluation.load(OLD / "evaluation")
    assert found.row("scores", 10).robust.n == 4


def test_a_sweep_is_not_run_again(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell of the old store is known by its key."""
    from blackbox.sweep import Store, Study

    monkeypatch.chdir(old / "sweep")
    with Store("out/store.sqlite", look=True) as store:
        before = len(store.done())
    table = Study.load("study.toml").run("out/store.sqlite")
    with Store("out/store.sqlite", look=True) as store:
        assert len(store.done()) == before == table.done == table.total > 0
