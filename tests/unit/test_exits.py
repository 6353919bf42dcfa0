"""A user's code that calls sys.exit has failed: nothing of it ends the process, and what was paid for is kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from blackbox.specs import python_file
from tests.commands import Cli, sentence
from tests.toys import RandomSigns

X, Y = torch.full((3, 1, 4, 4), 0.45), torch.zeros(3, dtype=torch.int64)


def dark(x: Tensor) -> Tensor:
    return torch.tensor([[9.0, 0.0]]).repeat(len(x), 1)


class Leaves:
    """A target, a net, a step, a report of progress: whatever is called leaves at its third call."""

    access, norms = bb.Access.LABELS, ("Linf",)

    def __init__(self, code: Any = 0) -> None:
        self.code, self.calls = code, 0

    def leave(self) -> None:
        self.calls += 1
        if self.calls >= 3:
            sys.exit(self.code)

    def __call__(self, x: Any) -> Tensor:
        self.leave()
        return dark(x)

    def init(self, t: bb.Task) -> Tensor:
        return t.x0

    def step(self, t: bb.Task, s: Tensor, k: int) -> Any:
        self.leave()
        yield bb.Ask(s)
        return s


@pytest.mark.parametrize("code", [0, None, 1, "no licence"])
def test_a_target_that_leaves_has_failed(code: Any) -> None:
    target = Leaves(code)
    oracle = bb.Oracle(target, "logits", 2, returns="logits", rows_per_call=3)
    said = r"called sys.exit\(" + ("" if code is None else repr(code))
    with pytest.raises(bb.TargetError, match=f"The target .*{said}.* on a call with 3 images, after 6 answered") as caught:
        bb.attack(oracle, X, Y, RandomSigns(), bb.Linf(0.1), 9)
    assert caught.value.result.queries.tolist() == [2, 2, 2] and oracle.rows == 6 and oracle.failed == 3
    with pytest.raises(bb.TargetError, match="called sys.exit"):
        oracle(X)


def test_an_attack_that_leaves_keeps_what_was_paid_for() -> None:
    oracle = bb.Oracle(dark, "logits", 2, returns="logits")
    with pytest.raises(RuntimeError, match=r"A part of the attack Leaves .* called sys.exit\(0\)") as caught:
        bb.attack(oracle, X, Y, Leaves(), bb.Linf(0.1), 9)
    assert caught.value.result.queries.tolist() == [3, 3, 3]  # type: ignore[attr-defined]


def test_ctrl_c_stays_what_it_is() -> None:
    def stopped(x: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bb.attack(bb.Oracle(stopped, "logits", 2), X, Y, RandomSigns(), bb.Linf(0.1), 9)


def test_a_net_that_leaves() -> None:
    class Net(nn.Module):
        def __init__(self, at: int) -> None:
            super().__init__()
            self.body, self.at = nn.Linear(16, 2), at

        def forward(self, x: Tensor) -> Tensor:
            self.at -= 1
            if self.at < 0:
                sys.exit(0)
            return self.body(x.flatten(1))  # type: ignore[no-any-return]

    with pytest.raises(ValueError, match="takes, but on images of shape .* it raised SystemExit"):
        sg.craft(Net(0), X, Y, "fgsm", threat=bb.Linf(0.1))
    with pytest.raises(RuntimeError, match=r"called sys.exit\(0\)"):
        sg.craft(Net(4), X, Y, "mi-fgsm", threat=bb.Linf(0.1))


FILE = """
import argparse, sys
words = argparse.ArgumentParser()
words.add_argument("--lr", default=3.0, type=float)
ARGS = words.parse_args()
SEEN = list(sys.argv)

def net(x):
    return x.flatten(1)[:, :2] * ARGS.lr

def makes():
    sys.exit("no weights")

def leaves(x):
    sys.exit(0)
"""


def test_a_file_has_its_own_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.py"
    path.write_text(FILE)
    mine = ["blackbox", "attack", "--target", "own.py:net"]
    monkeypatch.setattr(sys, "argv", mine)
    made, _ = python_file.load(path, "net")
    assert made.__globals__["SEEN"] == [str(path)] and sys.argv is mine
    with pytest.raises(ValueError, match=r"own.py to load, but it called sys.exit\('no weights'\)\. Put what .* '__main__'"):
        python_file.load(path, "makes")
    (tmp_path / "script.py").write_text("import sys\nsys.exit()\n")
    with pytest.raises(ValueError, match=r"script.py to load, but it called sys.exit\(\)"):
        python_file.load(tmp_path / "script.py", "f")
    assert sys.argv is mine


def test_the_command_ends_with_the_code_of_what_failed(said: Cli, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FILE)
    out = said("attack", "-t", "own.py:leaves", "--classes", "10", "--eps", "0.2", "-b", "9", "-n", "3", "--returns", "logits", "-o", "r")
    sentence(out, 1, "leaves called sys.exit(0)", "saved in r")
    assert (tmp_path / "r" / "outcomes.csv").exists()
    out = said("attack", "-t", "own.py:makes", "--eps", "0.2", "-b", "9", "-n", "3", "-o", "s")
    sentence(out, 2, "own.py to load, but it called sys.exit('no weights')")
