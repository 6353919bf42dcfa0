"""A run that is taken up again with another model of the same name is refused, before anything is paid."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

import blackbox as bb
from blackbox.oracle.same import odd, same_answer

X = torch.rand(6, 12, generator=torch.Generator().manual_seed(1))


class Net(torch.nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(12, 4, generator=torch.Generator().manual_seed(seed)))
        self.left, self.asked = 10**9, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= len(x)
        if self.left < 0:
            raise KeyboardInterrupt
        self.asked += len(x)
        return (x - 0.5) @ self.weight


Y = Net(0)(X).argmax(1)


def go(net: Any, access: str = "scores", attack: str = "square", **more: Any) -> bb.AttackResult:
    target = bb.targets.FunctionTarget(net, name="net")
    oracle = bb.Oracle(target, access, 4, randomised=more.pop("randomised", None))
    return bb.attack(oracle, X, Y, attack, bb.Linf(0.1), 60, votes=1, **more)


@pytest.mark.parametrize("kind", ["journal", "checkpoint"])
@pytest.mark.parametrize("stops", [80, 10**9])
@pytest.mark.parametrize(("access", "attack"), [("scores", "square"), ("labels", "hop-skip-jump")])
def test_another_model_of_the_same_name(tmp_path: Path, kind: str, stops: int, access: str, attack: str) -> None:
    """Broken off or finished, with scores or labels alone; the same model goes on."""
    kept = {kind: tmp_path / "file"}
    old, new = Net(0), Net(9)
    old.left = stops
    try:
        go(old, access, attack, **kept)
    except KeyboardInterrupt:
        assert stops == 80
    with pytest.raises(bb.CheckpointError, match="asked again about .* otherwise.*another model of the same name.*Nothing was paid"):
        go(new, access, attack, **kept)
    assert new.asked <= 8
    whole, again = go(Net(0), access, attack), go(Net(0), access, attack, **kept)
    assert torch.equal(whole.x_adv, again.x_adv) and torch.equal(whole.queries, again.queries)
    assert again.config["verify_rows"] <= len(X)  # what was asked again is on no other account


def test_weights_are_recognised_without_a_question(tmp_path: Path) -> None:
    for kind in ("journal", "checkpoint"):
        args = (X, Y, "square", bb.Linf(0.1), 20)
        bb.attack(bb.Oracle(Net(0), "scores", 4), *args, **{kind: tmp_path / kind})  # type: ignore[arg-type]
        new = Net(9)
        with pytest.raises(bb.CheckpointError, match="weights: '[0-9a-f]{16}' there, '[0-9a-f]{16}' here"):
            bb.attack(bb.Oracle(new, "scores", 4), *args, **{kind: tmp_path / kind})  # type: ignore[arg-type]
        assert not new.asked


def test_a_journal_from_before_weights_were_noted_goes_on(tmp_path: Path) -> None:
    args, path = (X, Y, "square", bb.Linf(0.1), 20), tmp_path / "j"
    first = bb.attack(bb.Oracle(Net(0), "scores", 4), *args, journal=path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE head SET value = json_remove(value, '$.weights') WHERE name = 'settings'")
    assert torch.equal(bb.attack(bb.Oracle(Net(0), "scores", 4), *args, journal=path).x_adv, first.x_adv)


def test_a_target_that_answers_by_chance_is_not_asked_and_the_result_says_so(tmp_path: Path) -> None:
    go(Net(0), journal=tmp_path / "j", randomised=True)
    new = Net(9)
    result = go(new, journal=tmp_path / "j", randomised=True)
    assert not new.asked and result.config["journal"]["checked"] is None
    assert "could not be checked that the target is the same" in result.summary()
    assert go(Net(0), journal=tmp_path / "k").config["journal"]["checked"] == 0


def test_a_finished_run_is_read_while_the_target_is_away(tmp_path: Path) -> None:
    first = go(Net(0), journal=tmp_path / "j")

    def away(x: torch.Tensor) -> torch.Tensor:
        raise ConnectionError("nobody is there")

    assert torch.equal(go(away, journal=tmp_path / "j").x_adv, first.x_adv)


def test_what_may_be_the_same_answer() -> None:
    score, label = torch.tensor([0.2, 0.8]).numpy(), torch.tensor(3).numpy()
    assert same_answer([score], [score + 5e-4]) and not same_answer([score], [score + 0.01])
    assert same_answer([score], [score + 0.01], 0.01)  # rounded to hundredths
    assert same_answer([label, score], [label, score]) and not same_answer([label], [label + 1])
    assert not same_answer([label], [label, score]) and not same_answer([score], [score[:1]])
    assert odd(7) == 0 and odd(8) == 1
