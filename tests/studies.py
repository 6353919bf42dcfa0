"""A small study in a folder of its own, whose target writes down what it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blackbox.sweep import Study, Table
from blackbox.sweep import work as worker
from tests.commands import ROOT

TARGET = """
import os, pathlib, time, torch
HERE = pathlib.Path(__file__).parent
W = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))

def linear(x):
    with open(HERE / "asked", "a") as f:
        f.write(f"{len(x)}\\n")
    with open(HERE / "processes", "a") as f:
        f.write(f"{os.getpid()}\\n")
    time.sleep(float(os.environ.get("SLOW", "0")))
    return (x.flatten(1)[:, None] * W).sum(2)

def dies(x):
    if not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getpid(), 9)
    return linear(x)

def net():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))

def refuses(x):
    raise ConnectionError("not today")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "target.py").write_text(TARGET)
    draw = np.random.default_rng(0)
    images = draw.uniform(0.2, 0.8, (14, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", images=images, labels=draw.integers(0, 3, 14))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    worker.forget()
    return tmp_path


def study(target: str = "target.py:linear", **more: Any) -> Study:
    return Study(
        images={"data": "npz:data.npz"}, block=4, classes=3,
        attack={"targets": target, "attacks": ["square", "simba"], "threats": "linf:0.05", "budgets": [10, 30], "seeds": [0, 1]},
        **more,
    )  # fmt: skip


def asked(folder: Path) -> int:
    path = folder / "asked"
    return sum(map(int, path.read_text().split())) if path.exists() else 0


def same(a: Table, b: Table) -> bool:
    assert a.outcomes.keys() == b.outcomes.keys()
    return all(
        a.outcomes[p].keys() == b.outcomes[p].keys()
        and all(
            np.array_equal(a.outcomes[p][k], b.outcomes[p][k], equal_nan=a.outcomes[p][k].dtype.kind == "f")
            for k in a.outcomes[p]
        )
        for p in a.outcomes
    )
