"""Checkpoints: nothing but plain data, refused where they do not belong."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import blackbox as bb
from blackbox import checkpoint as disk
from blackbox.testing import Failing, affine_problem
from tests.toys import RandomSigns

PROBLEM = affine_problem("Linf")


def go(path: Path | None, model: Any = None, **change: Any) -> bb.AttackResult:
    setting: dict[str, Any] = {
        "attack": RandomSigns(), "threat": bb.Linf(0.01), "budget": 12, "seed": 0, "objective": "margin",
        "x": PROBLEM.x, "y": PROBLEM.y, "ids": [3, 1, 4, 15, 9], "target": None, "access": "logits", "decimals": None, "probe": 0.0,
    }  # fmt: skip
    setting.update(change)
    access, decimals, probe = setting.pop("access"), setting.pop("decimals"), setting.pop("probe")
    oracle = bb.Oracle(
        model or PROBLEM.target, access, 3, k=2, returns="logits", rows_per_call=2, decimals=decimals, probe=probe
    )
    return bb.attack(oracle, setting.pop("x"), setting.pop("y"), checkpoint=path, **setting)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "er" / "run.checkpoint"
    with pytest.raises(bb.TargetError) as caught:
        go(path, Failing(PROBLEM.target, 9))
    assert caught.value.result.queries.sum() == 14 and path.exists()
    return path


def test_it_goes_on(stopped: Path) -> None:
    whole, resumed = go(None), go(stopped)
    assert torch.equal(whole.x_adv, resumed.x_adv) and torch.equal(whole.queries, resumed.queries)
    assert resumed.config["carried"] == 14 and "14 of these queries were paid before" in resumed.summary()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"budget": 13}, "budget: 12 there, 13 here"),
        ({"threat": bb.Linf(0.02)}, "threat: .*0.01.* there, .*0.02"),
        ({"attack": "square"}, "attack: 'RandomSigns"),
        ({"objective": "cross-entropy"}, "objective: .*margin.* there"),
        ({"access": "scores"}, "access: 'LOGITS' there, 'SCORES' here"),
        ({"decimals": 3}, "channel: "),
        ({"probe": 1 / 255}, "channel: "),
        ({"ids": [3, 1, 4, 15, 10]}, "samples: "),
        ({"x": PROBLEM.x.clamp(0, 0.6)}, "samples: "),
        ({"y": (PROBLEM.y + 1) % 3}, "samples: "),
        ({"target": (PROBLEM.y + 1) % 3}, "objective: .*samples: |objective: "),
    ],
)
def test_other_settings_are_refused_by_name(stopped: Path, change: dict[str, Any], named: str) -> None:
    before = stopped.read_bytes()
    with pytest.raises(bb.CheckpointError, match=f"belongs to other settings.*{named}"):
        go(stopped, **change)
    assert stopped.read_bytes() == before


def test_another_cohort_size_is_no_other_setting(stopped: Path) -> None:
    assert torch.equal(go(stopped, cohort=2).x_adv, go(None).x_adv)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    files = {
        "text": b"hello",
        "empty": b"",
        "pickle": pickle.dumps({"version": 1}),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(bb.CheckpointError, match=r"Expected .* to be a checkpoint of this package"):
            go(tmp_path / name)
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(bb.CheckpointError, match="to be a checkpoint of this package"):
        go(tmp_path / "other")
    torch.save({"version": 99, "settings": {}, "body": {}}, tmp_path / "later")
    with pytest.raises(bb.CheckpointError, match=r"version 2, but .* has version 99"):
        go(tmp_path / "later")


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["BOMB"],)


def test_a_file_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    torch.save({"version": 2, "settings": Bomb(), "body": {}}, tmp_path / "bomb")
    with pytest.raises(bb.CheckpointError):
        go(tmp_path / "bomb")
    assert not (tmp_path / "exploded").exists()


def test_a_cut_file_is_refused(stopped: Path) -> None:
    stopped.write_bytes(stopped.read_bytes()[:-200])
    with pytest.raises(bb.CheckpointError):
        go(stopped)


def test_writing_is_all_or_nothing(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stopped.read_bytes()

    def broken(*args: Any, **kwargs: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        go(stopped)
    assert stopped.read_bytes() == before


@dataclass
class Inner:
    a: torch.Tensor
    b: float | None


class Pair(NamedTuple):
    left: Any
    right: Any


def test_encode_and_decode() -> None:
    state = (Inner(torch.arange(3), None), Pair(np.arange(2.0), [1, "two", True]), (), 0.5)
    back = disk.decode(disk.encode(state), torch.device("cpu"))
    assert isinstance(back[0], Inner) and torch.equal(back[0].a, torch.arange(3)) and back[0].b is None
    assert isinstance(back[1], Pair) and back[1].left.tolist() == [0, 1] and back[1].right == [1, "two", True]
    assert back[2:] == ((), 0.5)


def test_what_a_state_cannot_hold() -> None:
    with pytest.raises(TypeError, match=r"a State to hold tensors.*it holds set"):
        disk.encode((1, {2}))


def test_a_class_that_is_no_state_is_refused() -> None:
    with pytest.raises(bb.CheckpointError, match="dataclass or a named tuple"):
        disk.decode({"class": "os:system", "fields": {}}, torch.device("cpu"))


def test_fingerprints() -> None:
    x = torch.rand(3, 2)
    assert disk.fingerprint(x) == disk.fingerprint(x.clone()) != disk.fingerprint(x.view(2, 3))
    assert disk.fingerprint(x) != disk.fingerprint(x.double())
