"""What a run says was sent to its target is what the target received, over all the runs that it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import blackbox as bb
from blackbox.results import received
from blackbox.targets import FunctionTarget
from blackbox.testing import ReluNet
from tests.toys import RandomSigns

NET = ReluNet.random((3, 6, 6), seed=3)
X = torch.rand(6, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Line(torch.nn.Module):
    """A model behind a line that breaks after so many rows; counts the rows that arrive, also in vain."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.most, self.error = 0, 10**9, OSError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows += len(x)
        if self.rows > self.most:
            raise self.error("the line is dead")
        return NET(x)


def attack(line: Any, **file: Any) -> bb.AttackResult:
    oracle = bb.Oracle(line, "logits", 3, rows_per_call=4)
    try:
        return bb.attack(oracle, X, NET(X).argmax(1), RandomSigns(), bb.Linf(0.03), 20, **file)
    except (bb.TargetError, KeyboardInterrupt) as error:
        found: bb.AttackResult = error.result  # type: ignore[union-attr]
        return found


@pytest.mark.parametrize("kind", ["journal", "checkpoint"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("steps", [(20, 20, 20), (20, 3, 0, 9, 30), (1000,), (20, 200)])
def test_after_any_number_of_resumes(tmp_path: Path, kind: str, error: type[BaseException], steps: tuple[int, ...]) -> None:
    line, file = Line(), {kind: tmp_path / "file"}
    for step in steps:  # cut off after so many rows more; the last ones of the attack are the checks of its examples
        line.most, line.error = line.rows + step, error
        said = attack(line, **file)
        assert received(said) == line.rows and "at least" not in said.summary(), said.summary()
    line.most = 10**9
    for _ in range(3):
        said = attack(line, **file)
        assert said.complete and received(said) == line.rows, said.summary()
        assert f"= {line.rows} sent" in said.summary()


@pytest.mark.parametrize("kind", ["journal", "checkpoint", None])
def test_rows_that_fill_batches_up_are_counted(tmp_path: Path, kind: str | None) -> None:
    line, file = Line(), {} if kind is None else {kind: tmp_path / "file"}
    target = FunctionTarget(line, batch=16)
    said = attack(target, **file)
    assert received(said) == line.rows and "to fill batches up" in said.summary()
    if kind:
        said = attack(target, **file)
        assert received(said) == line.rows and f"= {line.rows} sent" in said.summary()


def test_where_it_cannot_be_known_it_says_at_least(tmp_path: Path) -> None:
    """A checkpoint of a run that was killed, or of a version that did not count."""
    line, path = Line(), tmp_path / "file"
    line.most, line.error = 30, OSError
    attack(line, checkpoint=path)
    saved = torch.load(path, weights_only=True)
    for name in ("uncharged", "closed", "least"):
        del saved["body"][name]
    torch.save(saved, path)
    line.most = 10**9
    for _ in range(2):
        said = attack(line, checkpoint=path)
        assert "= at least " in said.summary() and received(said) <= line.rows
